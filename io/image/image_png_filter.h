/* image_png_filter.h - undoing PNG's filters (ISO/IEC 15948, section 9), a row at a time. */
#ifndef IO_IMAGE_IMAGE_PNG_FILTER_H
#define IO_IMAGE_IMAGE_PNG_FILTER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PNG_ROW_SLACK = 16 }; /* bytes behind each of the three rows that may be read, and behind `to` that may be written */
/* to, up: the row and the one above it (zeros above the first), `stride` bytes of pixels of bpp bytes; from: the filter's number and
 * the row as stored. False when there is no such filter. */
bool png_unfilter(uint8_t *to, const uint8_t *from, const uint8_t *up, size_t stride, size_t bpp);
/* The same for a row of `width` pixels of one byte that is changed where it lies; filter: 0 to 4. Needs no slack. */
void png_unfilter_grey(uint8_t *row, const uint8_t *up, size_t width, int filter);
#endif
