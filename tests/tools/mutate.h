/* mutate.h - damages a copy of some bytes in a way that a seed decides: what transfers, disks and attackers do to a file. */
#ifndef TESTS_MUTATE_H
#define TESTS_MUTATE_H
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

struct bytes {
    uint8_t *data;
    size_t count;
};

static inline size_t place_in(struct random *r, size_t count)
{
    return (size_t)random_below(r, (int64_t)count);
}

/* 1 to 8 bytes replaced: by anything, one bit off, or by a value that lies at the edge of an integer. */
static inline void mutate_bytes(struct random *r, uint8_t *data, size_t count)
{
    static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff};
    for (int64_t n = 1 + random_below(r, 8); n > 0; n--) {
        uint8_t *at = data + place_in(r, count);
        switch (random_below(r, 3)) {
        case 0: *at = (uint8_t)random_below(r, 256); break;
        case 1: *at ^= (uint8_t)(1u << random_below(r, 8)); break;
        case 2: *at = edges[random_below(r, sizeof edges)]; break;
        }
    }
}

/* mem_free the result's data. May be equal to `from` by chance. */
static inline struct bytes mutate(struct random *r, const uint8_t *from, size_t count)
{
    struct bytes to = {mem_alloc(count + 256), count};
    size_t at = place_in(r, count), length = 1 + place_in(r, count - at < 256 ? count - at : 256);
    memcpy(to.data, from, count);
    switch (random_below(r, 8)) {
    case 0: /* the end is missing */
        to.count = at;
        break;
    case 1: /* a piece is missing */
        memmove(to.data + at, to.data + at + length, count - at - length);
        to.count -= length;
        break;
    case 2: /* a piece stands there twice */
        memmove(to.data + at + length, to.data + at, count - at);
        to.count += length;
        break;
    case 3: /* a piece was not written */
        memset(to.data + at, 0, length);
        break;
    case 4: /* four bytes in a row are the largest, or a negative number */
        memset(to.data + at, random_below(r, 2) ? 0xff : 0x80, length < 4 ? length : 4);
        break;
    default: mutate_bytes(r, to.data, count);
    }
    return to;
}
#endif
