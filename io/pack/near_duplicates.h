/* near_duplicates.h - pictures that look alike though their files differ: the same slice saved twice, cropped or recompressed. */
#ifndef IO_PACK_NEAR_DUPLICATES_H
#define IO_PACK_NEAR_DUPLICATES_H
#include "io/image/image.h"

enum { LOOK_BYTES = 32, LOOK_DISTANCE = 10, LOOK_CROWD = 500 };
/* Difference hash of 16 x 16 bits: is a point of the picture, reduced to 17 x 16, brighter than its right neighbour? */
void look_of(uint8_t look[LOOK_BYTES], const struct image *image);
/* Calls `found` for every pair i < j of `count` hashes at most LOOK_DISTANCE apart, each pair once, in no order that matters. Not
 * every pair is looked at: of pictures that share a piece of the hash with a crowd, each meets the next LOOK_CROWD only. In the
 * COVID-CT set it finds the one slice that is COVID in test and not COVID in train, saved at two sizes. NULL entries are passed over. */
void look_pairs(const uint8_t *const *looks, int count, void (*found)(void *context, int i, int j, int distance), void *context);
#endif
