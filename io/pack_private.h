/* pack_private.h - the stages of packing: judge every file, then write what is good. */
#ifndef IO_PACK_PRIVATE_H
#define IO_PACK_PRIVATE_H
#include "io/image.h"
#include "io/manifest.h"
#include "io/pack.h"

struct verdict { /* on the file of a manifest row */
    bool good;
    char *why;   /* when not good */
    enum image_format format;
    uint8_t sha256[32];
    int height, width, channels; /* 3 with equal planes counts as 1 */
};
/* Reads the file, hashes it, decodes it and makes it grey where it is. Thread safe. */
int pack_decode(struct image *image, struct verdict *v, const char *folder, const char *file, struct error *err);
/* (m->count) verdicts, by all cores. */
struct verdict *pack_judge(const struct manifest *m, const char *folder);
void pack_verdicts_free(struct verdict *v, int count);
/* Adds the sections on unreadable, mis-named and doubled files; counts them in the result. */
void pack_report(struct pack_result *result, const struct manifest *m, const struct verdict *v);
/* Writes all shards to `staging`. */
int pack_write(const char *staging, const struct pack_options *o, const struct manifest *m, const struct verdict *v,
               struct error *err);
#endif
