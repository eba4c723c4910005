/* same_bytes.h - which files of a manifest have the same bytes, before anything is decoded. */
#ifndef IO_PACK_SAME_BYTES_H
#define IO_PACK_SAME_BYTES_H
#include "io/pack/pack.h"

/* first[i]: the first row whose file has the bytes of row i's (i itself, as a rule). Only files of equal length are read. Files that cannot
 * be read are like no other. mem_free. */
int *same_bytes(const struct manifest *m, const struct pack_options *o);
#endif
