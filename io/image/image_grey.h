/* image_grey.h - between grey and colour, many pixels at a time. */
#ifndef IO_IMAGE_IMAGE_GREY_H
#define IO_IMAGE_IMAGE_GREY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first channel of `width` pixels of bpp (3, 4) bytes; false when the second or third differs from it anywhere. */
bool grey_from_equal(uint8_t *to, const uint8_t *from, size_t width, size_t bpp);
/* Each of `count` bytes three times. */
void grey_to_rgb(uint8_t *restrict to, const uint8_t *restrict from, size_t count);
#endif
