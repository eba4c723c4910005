/* pack_private.h - the stages of packing. Work is cut into parts, one shard each; a part is decoded, written to the staging
 * folder and entered in the journal as a whole, by any rank, in any run. */
#ifndef IO_PACK_PACK_PRIVATE_H
#define IO_PACK_PACK_PRIVATE_H
#include "io/image/image.h"
#include "io/pack/manifest.h"
#include "io/pack/near_duplicates.h"
#include "io/pack/pack.h"

struct verdict { /* on the file of a manifest row */
    bool good;
    char *why;   /* when not good */
    enum image_format format;
    uint8_t sha256[32], look[LOOK_BYTES];
    int height, width, channels;      /* of the file; 3 with equal planes counts as 1 */
    int64_t file_bytes, modified_ns;  /* to see whether it changed since; of a merged image bytes and checksum */
};
/* Where the file of a manifest row lies (io/FORMAT.md: names). mem_free. */
char *pack_source_path(const struct pack_options *o, const char *file);
/* Reads the file, hashes it, decodes it and makes it grey where it is. Thread safe. */
int pack_decode(struct image *image, struct verdict *v, const struct pack_options *o, const char *file, struct error *err);
void pack_verdicts_free(struct verdict *v, int count);

/* ---- parts ---- */
struct part {
    enum split split;
    int index, count;  /* shard `index` of `count` of its split */
    const int *rows;   /* into the manifest, (images) */
    int images;
    uint8_t key[32];   /* SHA-256 of all that decides the shard, but for the bytes of the files */
};
struct part_list {
    struct part *parts;
    int count;
    int *rows; /* the parts' rows lie in it */
};
/* What a stored picture may take: of one size as a coloured one, so that grey and coloured are cut alike; of original size the largest
 * of a few. */
int64_t pack_image_bytes(const struct pack_options *o, const struct manifest *m);
/* Cuts the rows whose `v` is not known to be bad. `settings`: what decides the shards, as text. */
int pack_cut(struct part_list *list, const struct pack_options *o, int64_t image_bytes, const struct manifest *m, const struct verdict *v,
             const char *settings, struct error *err);
void pack_parts_free(struct part_list *list);

/* ---- one part ---- */
struct pack_job {
    const struct pack_options *o;
    const struct manifest *m;
    struct verdict *v;    /* (m->count); this rank fills in those of its parts */
    const char *staging, *settings;
    int64_t images_read, bytes_read; /* by this rank, of the files */
};
/* The part's verdicts and shard from an earlier run, when the journal has them, the files have not changed since and the shard
 * is whole. Says why not in `why` (when there is a record at all). */
bool journal_read(const struct pack_job *job, const struct part *part, struct text *why);
int journal_write(const struct pack_job *job, const struct part *part, struct error *err);
char *part_path(const struct pack_job *job, const struct part *part, const char *suffix); /* "", ".journal" (mem_free) */

/* Makes the parts that are `mine` (part % ranks = rank): reads, decodes, writes. Collective in its error. */
int pack_make(struct pack_job *job, const struct part_list *list, int64_t *resumed, struct error *err);

/* Adds the sections on unreadable, mis-named and doubled files; counts them in the result. */
void pack_report(struct pack_result *result, const struct manifest *m, const struct verdict *v);
#endif
