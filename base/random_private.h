/* random_private.h - Philox4x32-10 of random.c for those who run many blocks side by side. */
#ifndef BASE_RANDOM_PRIVATE_H
#define BASE_RANDOM_PRIVATE_H
#include "base/random.h"

#define PHILOX_MULTIPLIER_0 0xD2511F53u /* Salmon et al., table 2 */
#define PHILOX_MULTIPLIER_1 0xCD9E8D57u
#define PHILOX_WEYL_0 0x9E3779B9u
#define PHILOX_WEYL_1 0xBB67AE85u
enum { PHILOX_ROUNDS = 10 };

struct random_block { /* what all blocks of a stream share */
    uint32_t place[2]; /* counter words 2 and 3; the block's number is words 0 and 1 */
    uint32_t key[2];
};
struct random_block random_block_of(const struct random *r);
#endif
