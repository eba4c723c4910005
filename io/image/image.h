/* image.h - pictures in memory: uint8, rows from the top, channels interleaved (H, W, C), C = 1 grey or 3 RGB. */
#ifndef IO_IMAGE_IMAGE_H
#define IO_IMAGE_IMAGE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "io/image/image_window.h"

struct image {
    int height, width, channels;
    uint8_t *pixels; /* (H, W, C), mem_alloc; image_free */
};
enum image_format { IMAGE_UNKNOWN, IMAGE_PNG, IMAGE_JPEG, IMAGE_TIFF, IMAGE_DICOM };
enum { IMAGE_HEAD_BYTES = 132 }; /* so many tell the format */
extern const char *const image_format_names[]; /* "unknown", "PNG" ... */
/* By content, not by name. */
enum image_format image_format_of(const uint8_t *data, size_t bytes);
/* What a file's name promises. */
enum image_format image_format_of_name(const char *name);
/* Whether the name promises a picture or a volume of a kind that is not read here: .bmp, .webp, .nii ... */
bool image_name_is_foreign(const char *name);
/* PNG (all modes: palette, 1-16 bit, grey, RGB, with or without alpha, interlaced), JPEG (grey, YCbCr; CMYK refused), TIFF (one page; no
 * CMYK, no floating point) and DICOM (one grey slice; uncompressed, JPEG or RLE), the last two when ladnn was built with their libraries.
 * Alpha is dropped as Pillow's convert("RGB") does. `window` says what of 16-bit grey becomes 0..255; with NULL or width 0 that is a
 * DICOM file's own window, and elsewhere the high byte. Other pictures are as they are. A picture whose three channels are equal
 * everywhere is grey: one channel.
 * Truncated or damaged data is an error, never a partly filled picture. At most 64 megapixels. Thread safe. */
int image_decode(struct image *image, const uint8_t *data, size_t bytes, const char *name, const struct image_window *window,
                 struct error *err);
/* Who a DICOM file says its picture is of (PatientID), or NULL: another format, no such entry, or a build without DCMTK. mem_free. */
char *image_patient(const char *path);
/* Bilinear with antialiasing: triangle filter whose support grows with the scale, coefficients and rounding as in
 * Pillow's Image.resize(BILINEAR) (8-bit fixed-point two-pass), so results are equal to Pillow's. */
void image_resize(struct image *out, const struct image *in, int height, int width);
int image_write_png(const char *path, const struct image *image, struct error *err);
int image_write_jpeg(const char *path, const struct image *image, int quality, struct error *err);
/* An RGB picture whose three channels are equal everywhere becomes one channel. */
void image_simplify_grey(struct image *image);
void image_free(struct image *image); /* cleared; fine on an empty one */
#endif
