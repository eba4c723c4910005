/* explain_write.c - pictures, maps.h5 and explain.csv of an explanation. */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/csv.h"
#include "io/image/lettering.h"
#include "train/explain.h"

enum { STRIP = LETTER_LINE + 2, NAME_LETTERS = 60 };
static const char STRIP_NOTICE[] = "research use only";

/* ---- pictures ---- */

static void open_rgb(struct image *image, int height, int width)
{
    *image = (struct image){height, width, 3, mem_alloc(3 * (size_t)height * (size_t)width)};
    memset(image->pixels, 255, 3 * (size_t)height * (size_t)width);
}

void explain_original(struct image *image, const float *planes, int size)
{
    size_t places = (size_t)size * (size_t)size;
    open_rgb(image, size, size);
    for (size_t i = 0; i < places; i++)
        for (size_t c = 0; c < 3; c++) {
            float value = 255 * (planes[c * places + i] * imagenet_deviation[c] + imagenet_mean[c]);
            image->pixels[3 * i + c] = (uint8_t)lrintf(fminf(255, fmaxf(0, value)));
        }
}

void explain_heat(struct image *image, const float *heat, int size)
{
    size_t places = (size_t)size * (size_t)size;
    open_rgb(image, size, size);
    for (size_t i = 0; i < places; i++) cam_colour(image->pixels + 3 * i, heat[i]);
}

void explain_overlay(struct image *image, const struct image *original, const float *heat, bool notice)
{
    size_t places = (size_t)original->height * (size_t)original->width;
    open_rgb(image, original->height + (notice ? STRIP : 0), original->width);
    for (size_t i = 0; i < places; i++) {
        uint8_t rgb[3];
        cam_colour(rgb, heat[i]);
        for (size_t c = 0; c < 3; c++) image->pixels[3 * i + c] = (uint8_t)((original->pixels[3 * i + c] + rgb[c] + 1) / 2);
    }
    if (notice) image_write_text(image, original->height + 2, 1, STRIP_NOTICE, original->width / LETTER_WIDTH);
}

/* "0007-ct_17" of "CT_COVID/ct 17.png": letters that every file system takes. */
static char *stem_of(const char *name, int64_t i)
{
    char *stem = mem_format("%04" PRId64 "-%.*s", i, NAME_LETTERS, path_base(name)), *dot = strrchr(stem, '.');
    if (dot) *dot = 0;
    for (char *p = stem; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-_.", *p)) *p = '_';
    return stem;
}

static int write_picture(const char *folder, const char *stem, const char *what, const struct image *image, struct error *err)
{
    char *name = mem_format("%s-%s.png", stem, what), *path = path_join(folder, name);
    int rc = image_write_png(path, image, err);
    mem_free(name);
    mem_free(path);
    return rc;
}

int explain_write_pictures(const char *folder, const char *name, int64_t i, const float *planes, const float *heat, int size, struct error *err)
{
    char *stem = stem_of(name, i);
    struct image original, coloured, overlay;
    explain_original(&original, planes, size);
    explain_heat(&coloured, heat, size);
    explain_overlay(&overlay, &original, heat, true);
    int rc = write_picture(folder, stem, "original", &original, err) || write_picture(folder, stem, "heat", &coloured, err) ||
                     write_picture(folder, stem, "overlay", &overlay, err)
                 ? -1
                 : 0;
    image_free(&original);
    image_free(&coloured);
    image_free(&overlay);
    mem_free(stem);
    return rc;
}

/* ---- tables ---- */

static void add_value(struct text *out, double value)
{
    text_add(out, ",");
    if (!isnan(value)) text_add(out, "%.17g", value);
}

static void add_map(struct text *out, const struct explanation *e, int64_t i)
{
    const float *map = e->maps + i * e->h * e->w;
    double most = map[0], sum = 0;
    for (int k = 0; k < e->h * e->w; k++) {
        most = fmax(most, map[k]);
        sum += map[k];
    }
    add_value(out, most);
    add_value(out, sum / (e->h * e->w));
    text_add(out, ",%s,%d", cam_state_names[e->state[i]], e->state[i] == CAM_ALL_NEGATIVE);
}

/* The labels of a picture file are not known. */
static void add_labels(struct text *out, const struct shard_item *item)
{
    if (item) text_add(out, ",%d", item->covid);
    else text_add(out, ",");
    for (int l = 0; l < LESION_COUNT; l++) item ? text_add(out, ",%d", item->lesion[l]) : text_add(out, ",");
}

static void add_row(struct text *out, const struct explanation *e, const struct picture_source *s, const struct explain_options *o, int64_t i)
{
    char *stem = stem_of(pictures_name(s, i), i);
    csv_add_field(out, pictures_name(s, i));
    text_add(out, ",%s", stem);
    add_labels(out, pictures_item(s, i));
    for (int k = 0; k < LOGIT_COUNT; k++) add_value(out, e->probability[i * LOGIT_COUNT + k]);
    text_add(out, ",%s,%s", o->what_name, o->method_name);
    add_map(out, e, i);
    if (e->faithfulness) {
        const struct faithfulness *f = &e->faithfulness[i];
        const double areas[] = {f->deletion, f->insertion, f->random_deletion, f->random_insertion};
        for (int k = 0; k < 4; k++) add_value(out, areas[k]);
    }
    text_add(out, "\n");
    mem_free(stem);
}

static int write_csv(const char *folder, const struct explanation *e, const struct picture_source *s, const struct explain_options *o,
                     struct error *err)
{
    struct text out = {0};
    char *path = path_join(folder, "explain.csv");
    text_add(&out, "file,pictures,covid");
    for (int l = 0; l < LESION_COUNT; l++) text_add(&out, ",%s", lesion_names[l]);
    text_add(&out, ",p_covid");
    for (int l = 0; l < LESION_COUNT; l++) text_add(&out, ",p_%s", lesion_names[l]);
    text_add(&out, ",target,method,map_max,map_mean,state,all_negative");
    if (e->faithfulness) text_add(&out, ",deletion_auc,insertion_auc,random_deletion_auc,random_insertion_auc");
    text_add(&out, "\n");
    for (int64_t i = 0; i < e->count; i++) add_row(&out, e, s, o, i);
    int rc = file_write_atomic(path, out.data, out.length, err);
    text_free(&out);
    mem_free(path);
    return rc;
}

int explain_write_tables(const char *folder, const struct explanation *e, const struct picture_source *s, const struct explain_options *o,
                         const struct tensor_attribute *attributes, int attribute_count, struct error *err)
{
    struct tensor_entry entries[] = {
        {.name = "maps", .type = TENSOR_F32, .ndim = 3, .dims = {e->count, e->h, e->w}, .data = e->maps},
        {.name = "probability", .type = TENSOR_F64, .ndim = 2, .dims = {e->count, LOGIT_COUNT}, .data = e->probability}};
    char *path = path_join(folder, "maps.h5");
    int rc = tensor_file_write(path, entries, 2, attributes, attribute_count, err);
    mem_free(path);
    return rc ? rc : write_csv(folder, e, s, o, err);
}
