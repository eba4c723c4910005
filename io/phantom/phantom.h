/* phantom.h - a procedural chest-CT set in the layout of covid-ct. SYNTHETIC: no patient, no diagnosis; for tests and a
 * first run only. Deterministic from the seed, whatever the thread count. */
#ifndef IO_PHANTOM_PHANTOM_H
#define IO_PHANTOM_PHANTOM_H
#include <stdint.h>
#include "base/error.h"
#include "io/image/image.h"
#include "io/labels.h"

enum phantom_set { PHANTOM_D0, PHANTOM_D1, PHANTOM_BOTH }; /* Table 1's rows; BOTH = D0+D1 */
struct phantom_options {
    const char *out;
    uint64_t seed;
    enum phantom_set set;
    double scale; /* share of Table 1's counts, for small tests; 1 = all */
    int threads;  /* 0 = all cores */
};
/* Writes the folder (images, five CSVs in covid-ct's exact formats, a file SYNTHETIC saying what it is). Rank 0 only. */
int phantom_write(const struct phantom_options *options, struct error *err);

enum phantom_negative { PHANTOM_NORMAL, PHANTOM_NODULE, PHANTOM_MASS, PHANTOM_OTHER_PNEUMONIA };
struct phantom_case {
    uint64_t seed;
    uint64_t patient, slice;
    int covid;
    uint8_t lesion[LESION_COUNT];
    enum phantom_negative negative;
};
/* One slice of the given size, one channel. */
void phantom_draw(struct image *out, const struct phantom_case *which, int height, int width);
#endif
