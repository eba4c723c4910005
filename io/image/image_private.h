/* image_private.h - the codecs behind image.c. */
#ifndef IO_IMAGE_IMAGE_PRIVATE_H
#define IO_IMAGE_IMAGE_PRIVATE_H
#include <stdbool.h>
#include "base/text.h"
#include "io/image/image.h"

enum { IMAGE_PIXELS_MAX = 64 << 20 };
/* Refuses empty and very large pictures before anything is allocated. */
int image_check_size(int64_t height, int64_t width, const char *name, struct error *err);
/* On failure image->pixels may hold a partly filled picture; image_decode frees it. */
int image_decode_png(struct image *image, const uint8_t *data, size_t bytes, const char *name, const struct image_window *window,
                     struct error *err);
/* True when it could: the same pixels in a fraction of the time. False leaves it to image_decode_png; *image is empty. */
bool image_decode_png_fast(struct image *image, const uint8_t *data, size_t bytes);
/* The bits of a sample, from the header. */
static inline int png_depth(const uint8_t *data, size_t bytes) { return bytes > 24 ? data[24] : 0; }
int image_decode_jpeg(struct image *image, const uint8_t *data, size_t bytes, const char *name, struct error *err);
int image_decode_tiff(struct image *image, const uint8_t *data, size_t bytes, const char *name, const struct image_window *window,
                      struct error *err);
int image_encode_png(struct text *out, const struct image *image, const char *name, struct error *err);
int image_encode_jpeg(struct text *out, const struct image *image, int quality, const char *name, struct error *err);
#endif
