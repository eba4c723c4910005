/* resident.c - see resident.h. */
#include "train/resident.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"

struct resident {
    const struct ops *ops;
    struct dataset *data;
    enum split split;
    struct augment augment;
    int64_t *offset;         /* [item] in the pool */
    uint8_t *bytes;          /* in the backend's memory, as is */
    struct picture *there;   /* (images) */
    struct picture_pool pool;
    struct picture *here;    /* (images) */
};

static size_t picture_bytes(const struct shard_item *item)
{
    return (size_t)item->height * (size_t)item->width * (size_t)item->channels;
}

static size_t lay_out(struct resident *r)
{
    size_t bytes = 0;
    for (int64_t i = 0; i < dataset_count(r->data, r->split); i++) {
        r->offset[i] = (int64_t)bytes;
        bytes += picture_bytes(dataset_item(r->data, r->split, i));
    }
    return bytes;
}

static int fill(struct resident *r, struct pixel_cache *cache, struct error *err)
{
    int rc = 0;
    for (int64_t i = 0; i < dataset_count(r->data, r->split) && !rc; i++) {
        struct image view, own = {0};
        int got = cache ? pixel_cache_get(&view, cache, r->split, i, err) : 0;
        if (got == 0) { /* another rank is at it, or there is no cache */
            got = dataset_read(r->data, r->split, i, &own, err) ? -1 : 1;
            view = own;
        }
        if (got > 0)
            r->ops->upload(r->bytes + r->offset[i], view.pixels, picture_bytes(dataset_item(r->data, r->split, i)));
        else
            rc = -1;
        image_free(&own);
    }
    return rc;
}

int resident_open(struct resident **out, const struct ops *ops, struct dataset *d, enum split split, struct pixel_cache *cache,
                  const struct augment *a, int images, struct error *err)
{
    *out = NULL;
    if (!ops->pictures) return 0;
    struct resident *r = NEW(struct resident);
    *r = (struct resident){.ops = ops, .data = d, .split = split, .augment = *a};
    r->offset = NEW_ARRAY(int64_t, dataset_count(d, split));
    r->here = NEW_ARRAY(struct picture, images);
    size_t bytes = lay_out(r), room = ops->room();
    if (bytes <= room / 2) {
        r->bytes = ops->alloc(bytes);
        r->there = ops->alloc(sizeof(struct picture) * (size_t)images);
    }
    if (!r->bytes || !r->there) {
        log_info("pictures stay on the host: %.0f MB of them, %.0f MB free on %s", (double)bytes / 1e6, (double)room / 1e6, ops->name);
        resident_close(r);
        return 0;
    }
    r->pool.bytes = r->bytes;
    memcpy(r->pool.mean, imagenet_mean, sizeof imagenet_mean);
    memcpy(r->pool.deviation, imagenet_deviation, sizeof imagenet_deviation);
    if (fill(r, cache, err)) {
        resident_close(r);
        return -1;
    }
    log_info("%.0f MB of pictures in the memory of %s", (double)bytes / 1e6, ops->name);
    *out = r;
    return 0;
}

void resident_close(struct resident *r)
{
    if (!r) return;
    r->ops->free(r->bytes);
    r->ops->free(r->there);
    mem_free(r->offset);
    mem_free(r->here);
    mem_free(r);
}

const struct picture_pool *resident_pool(const struct resident *r) { return &r->pool; }

const struct picture *resident_batch(struct resident *r, const int64_t *items, int count, uint64_t epoch)
{
    for (int i = 0; i < count; i++) {
        const struct shard_item *item = dataset_item(r->data, r->split, items[i]);
        struct augment_map map;
        augment_map_draw(&map, &r->augment, item->height, item->width, true, epoch, (uint64_t)items[i]);
        r->here[i] = (struct picture){r->offset[items[i]], item->height, item->width, item->channels,
                                      map.x0, map.x_column, map.x_row, map.y0, map.y_row};
    }
    r->ops->upload(r->there, r->here, sizeof(struct picture) * (size_t)count);
    return r->there;
}
