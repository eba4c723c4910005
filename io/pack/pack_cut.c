/* pack_cut.c - which row goes into which shard: decided from the manifest, before the pictures are read, so that ranks and later runs
 * agree on it. Only of original size a few are looked at, by rank 0, to learn how large they are. */
#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "io/pack/merge.h"
#include "io/pack/pack_private.h"
#include "io/shard/shard.h"

/* Two shards are in memory while one is stored and the next is decoded: with 96 MiB each all of it stays under 500 MB. */
enum { SHARD_IMAGES = 512, SHARD_IMAGES_ORIGINAL = 128, SHARD_BYTES = 96 << 20 };

static int64_t bytes_of_row(const struct pack_options *o, const struct manifest_row *row)
{
    struct image image;
    struct verdict v = {0};
    struct error unreadable; /* told when its turn comes */
    if (o->merge) {
        merge_state(o->merge, row->line, v.sha256, &v.file_bytes, &v.modified_ns);
        return v.file_bytes;
    }
    if (pack_decode(&image, &v, o, row->file, &unreadable)) return 0;
    image_free(&image);
    return (int64_t)v.height * v.width * v.channels;
}

int64_t pack_image_bytes(const struct pack_options *o, const struct manifest *m)
{
    enum { SAMPLES = 16 };
    int64_t largest = 1;
    if (o->size) return 3 * (int64_t)o->size * o->size;
    if (o->shards) return largest; /* not asked */
    for (int k = 0; k < SAMPLES && k < m->count; k++) {
        int64_t bytes = bytes_of_row(o, &m->rows[(int64_t)m->count * k / SAMPLES]);
        if (bytes > largest) largest = bytes;
    }
    return largest;
}

/* Images of a shard when nobody asks otherwise: fewer when they are large. */
static int64_t usual_images(const struct pack_options *o, int64_t image_bytes)
{
    int64_t most = SHARD_BYTES / image_bytes, usual = o->size ? SHARD_IMAGES : SHARD_IMAGES_ORIGINAL;
    return most < 1 ? 1 : most < usual ? most : usual;
}

static int part_count(const struct pack_options *o, int64_t image_bytes, int64_t images, struct error *err)
{
    int64_t usual = usual_images(o, image_bytes), least = (images + SHARD_IMAGES_MAX - 1) / SHARD_IMAGES_MAX;
    int64_t parts = o->shards ? o->shards : (images + usual - 1) / usual;
    if (parts < least)
        return error_set(err, "%" PRId64 " images do not fit in %" PRId64 " shards: at least %" PRId64 " are needed (--shards)",
                         images, parts, least);
    if (parts > 99999) return error_set(err, "%" PRId64 " shards are more than 99999: ask for fewer (--shards)", parts);
    return (int)(parts > images ? images : parts);
}

static void add_text(struct sha256 *sum, const char *text)
{
    sha256_add(sum, text, strlen(text) + 1);
}

static void make_key(struct part *part, const struct manifest *m, const char *settings)
{
    struct sha256 sum;
    int place[3] = {(int)part->split, part->index, part->count};
    sha256_start(&sum);
    add_text(&sum, settings);
    sha256_add(&sum, place, sizeof place);
    for (int i = 0; i < part->images; i++) {
        const struct manifest_row *row = &m->rows[part->rows[i]];
        const uint8_t covid = (uint8_t)row->covid;
        add_text(&sum, row->file);
        add_text(&sum, row->patient);
        add_text(&sum, row->figure);
        sha256_add(&sum, &covid, 1);
        sha256_add(&sum, row->lesion, LESION_COUNT);
    }
    sha256_end(&sum, part->key);
}

static int cut_split(struct part_list *list, enum split split, int *rows, int images, const struct pack_options *o, int64_t image_bytes,
                     const struct manifest *m, const char *settings, struct error *err)
{
    int parts = images ? part_count(o, image_bytes, images, err) : 0;
    if (parts < 0) return -1;
    list->parts = mem_grow(list->parts, (size_t)list->count * sizeof *list->parts, (size_t)(list->count + parts) * sizeof *list->parts);
    for (int k = 0; k < parts; k++) {
        int first = (int)((int64_t)images * k / parts), next = (int)((int64_t)images * (k + 1) / parts);
        struct part *part = &list->parts[list->count++];
        *part = (struct part){.split = split, .index = k, .count = parts, .rows = rows + first, .images = next - first};
        make_key(part, m, settings);
    }
    return 0;
}

int pack_cut(struct part_list *list, const struct pack_options *o, int64_t image_bytes, const struct manifest *m, const struct verdict *v,
             const char *settings, struct error *err)
{
    *list = (struct part_list){.rows = NEW_ARRAY(int, m->count)};
    int used = 0, status = 0;
    for (int s = 0; s < SPLIT_COUNT && !status; s++) {
        int first = used;
        for (int i = 0; i < m->count; i++)
            if (!v[i].why && (int)m->rows[i].split == s) list->rows[used++] = i;
        status = cut_split(list, (enum split)s, list->rows + first, used - first, o, image_bytes, m, settings, err);
    }
    if (status) pack_parts_free(list);
    return status;
}

void pack_parts_free(struct part_list *list)
{
    mem_free(list->parts);
    mem_free(list->rows);
    *list = (struct part_list){0};
}
