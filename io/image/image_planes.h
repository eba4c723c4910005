/* image_planes.h - rows of pixels whose channels lie side by side, and their channels one by one; many pixels at a time. */
#ifndef IO_IMAGE_IMAGE_PLANES_H
#define IO_IMAGE_IMAGE_PLANES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Red, green and blue of `width` pixels of bpp (3, 4) bytes. */
void planes_split(uint8_t *const to[3], const uint8_t *from, size_t width, size_t bpp);
/* The reverse, to pixels of 3 bytes. */
void planes_join(uint8_t *to, const uint8_t *const from[3], size_t width);
/* Red alone; false when green or blue differs from it anywhere. */
bool grey_from_equal(uint8_t *to, const uint8_t *from, size_t width, size_t bpp);
/* Each of `width` bytes three times. */
void grey_to_rgb(uint8_t *restrict to, const uint8_t *restrict from, size_t width);
#endif
