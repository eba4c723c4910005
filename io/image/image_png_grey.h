/* image_png_grey.h - undoes the filters of a PNG whose pixels have one byte, PNG_BAND rows at a time. */
#ifndef IO_IMAGE_IMAGE_PNG_GREY_H
#define IO_IMAGE_IMAGE_PNG_GREY_H
#include <stddef.h>
#include <stdint.h>

enum { PNG_BAND = 16 };

struct png_band { /* one row above and PNG_BAND rows, with room around them that only this file touches */
    size_t width, stride;
    uint8_t *memory;
    uint8_t *above; /* pixel 0 of the row above; the rows follow, `stride` bytes apart */
};
/* The row above is 0, as above a picture. */
void png_band_make(struct png_band *b, size_t width);
void png_band_free(struct png_band *b);
static inline uint8_t *png_band_row(const struct png_band *b, int i) { return b->above + (size_t)(i + 1) * b->stride; }
/* Rows as filtered (filter[i] is 0 to 4) become pixels. */
void png_band_unfilter(struct png_band *b, const uint8_t *filter, int rows);
/* The last row becomes the one above. */
void png_band_next(struct png_band *b);
#endif
