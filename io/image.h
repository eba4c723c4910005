/* image.h - pictures in memory: uint8, rows from the top, channels interleaved (H, W, C), C = 1 grey or 3 RGB. */
#ifndef IO_IMAGE_H
#define IO_IMAGE_H
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

struct image {
    int height, width, channels;
    uint8_t *pixels; /* (H, W, C), mem_alloc; image_free */
};
enum image_format { IMAGE_UNKNOWN, IMAGE_PNG, IMAGE_JPEG };
/* By content, not by name. */
enum image_format image_format_of(const uint8_t *data, size_t bytes);
/* PNG (all modes: palette, 1-16 bit, grey, RGB, with or without alpha, interlaced) and JPEG (grey, YCbCr; CMYK refused).
 * Alpha is dropped as Pillow's convert("RGB") does; 16 bit keeps the high byte. A picture whose three channels are equal
 * everywhere is grey: one channel.
 * Truncated or damaged data is an error, never a partly filled picture. At most 64 megapixels. Thread safe. */
int image_decode(struct image *image, const uint8_t *data, size_t bytes, const char *name, struct error *err);
/* Bilinear with antialiasing: triangle filter whose support grows with the scale, coefficients and rounding as in
 * Pillow's Image.resize(BILINEAR) (8-bit fixed-point two-pass), so results are equal to Pillow's. */
void image_resize(struct image *out, const struct image *in, int height, int width);
int image_write_png(const char *path, const struct image *image, struct error *err);
int image_write_jpeg(const char *path, const struct image *image, int quality, struct error *err);
void image_free(struct image *image); /* cleared; fine on an empty one */
#endif
