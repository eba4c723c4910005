/* contact_sheet.h - a page of random pictures of a data set with their labels: does the set hold what its maker thinks? */
#ifndef IO_SHARD_CONTACT_SHEET_H
#define IO_SHARD_CONTACT_SHEET_H
#include "io/shard/shard.h"

/* A PNG of at most `samples` pictures (at least 1), drawn over all splits by `seed`. Says "research use only", and SYNTHETIC where
 * it applies. */
int contact_sheet_write(const char *path, struct dataset *d, int samples, uint64_t seed, struct error *err);
#endif
