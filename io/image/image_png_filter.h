/* image_png_filter.h - undoing PNG's filters (ISO/IEC 15948, section 9), PNG_BAND rows of one channel at a time. A filter treats each
 * channel by itself, so pixels of several bytes are as many planes. */
#ifndef IO_IMAGE_IMAGE_PNG_FILTER_H
#define IO_IMAGE_IMAGE_PNG_FILTER_H
#include <stddef.h>
#include <stdint.h>

enum { PNG_BAND = 16, PNG_FILTERS = 5 };

struct png_band { /* one row above and PNG_BAND rows, with room around them that only image_png_filter.c touches */
    size_t width, stride;
    uint8_t *memory;
    uint8_t *above; /* pixel 0 of the row above; the rows follow, `stride` bytes apart */
};
/* The row above is 0, as above a picture. */
void png_band_make(struct png_band *b, size_t width);
void png_band_free(struct png_band *b);
static inline uint8_t *png_band_row(const struct png_band *b, int i) { return b->above + (size_t)(i + 1) * b->stride; }
/* Rows as filtered (filter[i] < PNG_FILTERS, for all of the 1 or 3 planes) become pixels. */
void png_bands_unfilter(struct png_band *b, int planes, const uint8_t *filter, int rows);
/* The last row becomes the one above. */
void png_band_next(struct png_band *b);
#endif
