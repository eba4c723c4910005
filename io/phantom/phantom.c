/* phantom.c - writes the phantom set: pictures by several threads, then the tables in the formats of covid-ct.
 *
 * DESIGN: the plan (phantom_plan.c) fixes every picture beforehand; threads take rows from a counter, draw and write files
 * of their own, so the folder's bytes do not depend on their number. The file SYNTHETIC is written first: a folder left
 * half made says what it is, too. */
#include "io/phantom/phantom.h"

#include <errno.h>
#include <png.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/phantom/phantom_plan.h"

static const char *const class_folders[2] = {"CT_NonCOVID", "CT_COVID"};

/* ---- one picture ---- */

/* Grey to (H, W, channels) with opaque alpha; a tinted one is a little warmer, as photographed screens are. */
static void colour(struct image *out, const struct image *grey, int channels, bool tinted)
{
    int count = grey->height * grey->width;
    *out = (struct image){grey->height, grey->width, channels, mem_alloc((size_t)count * (size_t)channels)};
    for (int i = 0; i < count; i++) {
        uint8_t *p = out->pixels + (size_t)i * (size_t)channels, v = grey->pixels[i];
        p[0] = v;
        p[1] = tinted ? (uint8_t)(v * 250 / 255) : v;
        p[2] = tinted ? (uint8_t)(v * 241 / 255) : v;
        if (channels == 4) {
            p[3] = 255;
        }
    }
}

/* image_write_png writes what the program stores, grey and RGB; alpha exists only in what it must be able to read. */
static int write_rgba(const char *path, const struct image *image, struct error *err)
{
    png_image png;
    memset(&png, 0, sizeof png);
    png.version = PNG_IMAGE_VERSION;
    png.width = (png_uint_32)image->width;
    png.height = (png_uint_32)image->height;
    png.format = PNG_FORMAT_RGBA;
    png.flags = PNG_IMAGE_FLAG_FAST;
    errno = 0;
    if (!png_image_write_to_file(&png, path, 0, image->pixels, 0, NULL)) {
        return error_set(err, "%s: cannot write PNG: %s%s%s", path, png.message, errno ? ": " : "", errno ? strerror(errno) : "");
    }
    return 0;
}

static int write_picture(const char *folder, const struct phantom_row *row, struct error *err)
{
    struct image grey, image;
    phantom_draw(&grey, &row->what, row->height, row->width);
    int channels = row->mode == PHANTOM_GREY ? 1 : row->mode == PHANTOM_RGB ? 3 : 4;
    image = grey;
    if (channels > 1) {
        colour(&image, &grey, channels, row->tinted);
        mem_free(grey.pixels);
    }
    char *path = mem_format("%s/%s/%s", folder, class_folders[row->what.covid], row->file);
    int status = row->jpeg ? image_write_jpeg(path, &image, 92, err)
                 : channels == 4 ? write_rgba(path, &image, err)
                                 : image_write_png(path, &image, err);
    mem_free(path);
    mem_free(image.pixels);
    return status;
}

/* ---- all pictures ---- */

struct crew { /* guarded by lock, but for what never changes */
    const struct phantom_plan *plan;
    const char *folder;
    pthread_mutex_t lock;
    struct progress progress;
    int next, done;
    int failed; /* the first row that failed, or plan->count */
    struct error error;
};

static void *work(void *argument)
{
    struct crew *crew = argument;
    struct error err;
    pthread_mutex_lock(&crew->lock);
    while (crew->next < crew->plan->count && crew->failed == crew->plan->count) {
        int i = crew->next++;
        pthread_mutex_unlock(&crew->lock);
        int status = write_picture(crew->folder, &crew->plan->rows[i], &err);
        pthread_mutex_lock(&crew->lock);
        progress_update(&crew->progress, ++crew->done, "%s", "");
        if (status && i < crew->failed) {
            crew->failed = i;
            crew->error = err;
        }
    }
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

static int core_count(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

static int write_pictures(const struct phantom_plan *plan, const struct phantom_options *options, struct error *err)
{
    struct crew crew = {.plan = plan, .folder = options->out, .failed = plan->count};
    int threads = options->threads > 0 ? options->threads : core_count();
    pthread_t *ids = NEW_ARRAY(pthread_t, threads);
    pthread_mutex_init(&crew.lock, NULL);
    progress_start(&crew.progress, plan->count, "phantom");
    for (int i = 0; i < threads; i++) {
        int status = pthread_create(&ids[i], NULL, work, &crew);
        CHECK_HINT(status == 0, "use fewer threads", "phantom thread %d of %d: %s", i + 1, threads, strerror(status));
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
    }
    progress_end(&crew.progress);
    pthread_mutex_destroy(&crew.lock);
    mem_free(ids);
    if (crew.failed < plan->count) {
        if (err) {
            *err = crew.error;
        }
        return -1;
    }
    return 0;
}

/* ---- tables ---- */

static int write_table(const char *folder, const char *name, struct text *t, struct error *err)
{
    char *path = path_join(folder, name);
    int status = file_write_atomic(path, t->data, t->length, err);
    mem_free(path);
    text_clear(t);
    return status;
}

/* A quoted field; quotes inside are doubled (RFC 4180). */
static void add_quoted(struct text *t, const char *field)
{
    text_add(t, "\"");
    for (; *field; field++) {
        text_add_bytes(t, field, 1);
        if (*field == '"') {
            text_add(t, "\"");
        }
    }
    text_add(t, "\"");
}

/* ",GGO,,,," : each lesion's own name or nothing. */
static void add_lesions(struct text *t, const struct phantom_row *row)
{
    for (int i = 0; i < LESION_COUNT; i++) {
        text_add(t, ",%s", row->what.lesion[i] ? lesion_names[i] : "");
    }
}

static int write_positives(const struct phantom_plan *plan, const char *folder, struct text *t, struct error *err)
{
    text_add(t, ",,C0VID19,GGO,consolidation(Csld),Crazy paving appearance(CrPa),air bronchograms(AirBr),"
                "interlobular septal thickening(InSepThi),\r\n"); /* the zero in C0VID19 is theirs */
    for (int i = 0; i < plan->count; i++) {
        const struct phantom_row *row = &plan->rows[i];
        if (!row->what.covid) {
            continue;
        }
        text_add(t, "%.*s,%s,CVD19", (int)strlen(row->file) - (row->bare ? 4 : 0), row->file, row->patient);
        add_lesions(t, row);
        text_add(t, ",");
        if (strpbrk(row->caption, ",\"\n")) {
            add_quoted(t, row->caption);
        } else {
            text_add(t, "%s", row->caption);
        }
        text_add(t, "\r\n");
    }
    return write_table(folder, "COVID-CT-MetaInfo_new.csv", t, err);
}

static int write_negatives(const struct phantom_plan *plan, const char *folder, struct text *t, struct error *err)
{
    text_add(t, ",image name,patient id\r\n");
    for (int i = 0, index = 0; i < plan->count; i++) {
        if (!plan->rows[i].what.covid) {
            text_add(t, "%d,%s,%s\r\n", index++, plan->rows[i].file, plan->rows[i].patient);
        }
    }
    return write_table(folder, "NonCOVID-CT-MetaInfo.csv", t, err);
}

static int write_split(const struct phantom_plan *plan, const char *folder, enum split split, struct text *t, struct error *err)
{
    char name[32];
    snprintf(name, sizeof name, "%s_meta.csv", split_names[split]);
    text_add(t, "imgname,CVD19,GGO,Csld,CrPa,AirBr,InSepThi\r\n");
    for (int i = 0; i < plan->count; i++) {
        const struct phantom_row *row = &plan->rows[i];
        if (row->split == split) {
            text_add(t, "%s,%s", row->file, row->what.covid ? "CVD19" : "");
            add_lesions(t, row);
            text_add(t, "\r\n");
        }
    }
    return write_table(folder, name, t, err);
}

static int write_note(const struct phantom_plan *plan, const struct phantom_options *options, struct text *t, struct error *err)
{
    static const char *const sets[] = {"D0", "D1", "D0+D1"};
    text_add(t, "SYNTHETIC: every picture in this folder was drawn by a program (ladnn phantom). No patient, no scanner, no\n"
                "diagnosis. Research use only: for tests and first runs. Results on it say nothing about real images.\n\n");
    text_add(t, "seed %llu, set %s, scale %g: %d pictures of %d positive and %d negative made-up patients\n",
             (unsigned long long)options->seed, sets[options->set], options->scale, plan->count, plan->patients[1],
             plan->patients[0]);
    text_add(t, "\nImages and patients per split follow Table 1 of Liu et al. 2020; D1's splits are D0+D1 minus D0. The paper's prose\n"
                "gives D1 483 images, its table 478; the table is followed. Lesion labels have the frequencies of the published D0\n"
                "files without four positives that the paper made negative; D1 has D0's shares. Layout, column names and the\n"
                "oddities of the tables (names without extension, stray bytes, JPEG data named .png) are those of that data set.\n");
    return write_table(options->out, "SYNTHETIC", t, err);
}

/* ---- the folder ---- */

/* Never writes among pictures that it did not draw; what it drew before is replaced. */
static int make_folders(const char *out, struct error *err)
{
    static const char *const tables[] = {"test_meta.csv", "val_meta.csv", "train_meta.csv", "NonCOVID-CT-MetaInfo.csv",
                                         "COVID-CT-MetaInfo_new.csv"};
    char *note = path_join(out, "SYNTHETIC"), *folders[2] = {path_join(out, class_folders[0]), path_join(out, class_folders[1])};
    int status = 0;
    if (!path_exists(note) && (path_exists(folders[0]) || path_exists(folders[1]))) {
        status = error_set(err, "%s holds images that are not marked SYNTHETIC", out);
        error_hint(err, "give a new folder; real images are never overwritten");
    }
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) { /* they come last: a folder with tables is whole */
        char *table = path_join(out, tables[i]);
        unlink(table);
        mem_free(table);
    }
    for (int i = 0; i < 2; i++) {
        status = status || folder_remove(folders[i], err);
    }
    status = status || folder_create(out, err);
    mem_free(note);
    mem_free(folders[0]);
    mem_free(folders[1]);
    return status ? -1 : 0;
}

static int make_class_folders(const char *out, struct error *err)
{
    int status = 0;
    for (int i = 0; i < 2 && !status; i++) {
        char *folder = path_join(out, class_folders[i]);
        status = folder_create(folder, err);
        mem_free(folder);
    }
    return status;
}

int phantom_write(const struct phantom_options *options, struct error *err)
{
    struct phantom_plan plan;
    struct text t = {NULL, 0, 0};
    if (make_folders(options->out, err)) {
        return -1;
    }
    phantom_plan_make(&plan, options);
    int status = write_note(&plan, options, &t, err);
    status = status || make_class_folders(options->out, err);
    status = status || write_pictures(&plan, options, err);
    status = status || write_positives(&plan, options->out, &t, err);
    status = status || write_negatives(&plan, options->out, &t, err);
    for (int split = 0; split < SPLIT_COUNT; split++) {
        status = status || write_split(&plan, options->out, (enum split)split, &t, err);
    }
    text_free(&t);
    phantom_plan_free(&plan);
    return status ? -1 : 0;
}
