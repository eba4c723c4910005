/* pack_cut.c - which row goes into which shard: decided from the manifest alone, before any picture is read, so that ranks and
 * later runs agree on it. */
#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "io/pack/pack_private.h"
#include "io/shard/shard.h"

enum { SHARD_IMAGES = 512, SHARD_IMAGES_ORIGINAL = 128, SHARD_BYTES = 1 << 28 };

/* Images of a shard when nobody asks otherwise: fewer when they are large (as coloured ones, so that grey and coloured are cut alike). */
static int64_t usual_images(const struct pack_options *o)
{
    if (!o->size) return SHARD_IMAGES_ORIGINAL;
    int64_t most = SHARD_BYTES / (3 * (int64_t)o->size * o->size);
    return most < 1 ? 1 : most < SHARD_IMAGES ? most : SHARD_IMAGES;
}

static int part_count(const struct pack_options *o, int64_t images, struct error *err)
{
    int64_t usual = usual_images(o), least = (images + SHARD_IMAGES_MAX - 1) / SHARD_IMAGES_MAX;
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

static int cut_split(struct part_list *list, enum split split, int *rows, int images, const struct pack_options *o,
                     const struct manifest *m, const char *settings, struct error *err)
{
    int parts = images ? part_count(o, images, err) : 0;
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

int pack_cut(struct part_list *list, const struct pack_options *o, const struct manifest *m, const struct verdict *v,
             const char *settings, struct error *err)
{
    *list = (struct part_list){.rows = NEW_ARRAY(int, m->count)};
    int used = 0, status = 0;
    for (int s = 0; s < SPLIT_COUNT && !status; s++) {
        int first = used;
        for (int i = 0; i < m->count; i++)
            if (!v[i].why && (int)m->rows[i].split == s) list->rows[used++] = i;
        status = cut_split(list, (enum split)s, list->rows + first, used - first, o, m, settings, err);
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
