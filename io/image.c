/* image.c - what does not depend on the file format. */
#include "io/image.h"

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/image_private.h"

enum image_format image_format_of(const uint8_t *data, size_t bytes)
{
    if (bytes >= 8 && !memcmp(data, "\x89PNG\r\n\x1a\n", 8)) return IMAGE_PNG;
    if (bytes >= 3 && !memcmp(data, "\xFF\xD8\xFF", 3)) return IMAGE_JPEG;
    return IMAGE_UNKNOWN;
}

int image_check_size(int64_t height, int64_t width, const char *name, struct error *err)
{
    if (height < 1 || width < 1) return error_set(err, "%s: an empty picture", name);
    if (height <= IMAGE_PIXELS_MAX / width) return 0;
    return error_set(err, "%s: %" PRId64 "x%" PRId64 " pixels are more than %d megapixels", name, width, height,
                     IMAGE_PIXELS_MAX >> 20);
}

/* An RGB picture whose three channels are equal everywhere becomes one channel. */
static void simplify_grey(struct image *image)
{
    if (image->channels != 3) return;
    size_t count = (size_t)image->height * (size_t)image->width;
    const uint8_t *p = image->pixels;
    for (size_t i = 0; i < count; i++)
        if (p[3 * i] != p[3 * i + 1] || p[3 * i] != p[3 * i + 2]) return;
    for (size_t i = 0; i < count; i++) image->pixels[i] = image->pixels[3 * i];
    image->channels = 1;
}

int image_decode(struct image *image, const uint8_t *data, size_t bytes, const char *name, struct error *err)
{
    *image = (struct image){0};
    int status = -1;
    switch (image_format_of(data, bytes)) {
    case IMAGE_PNG:
        status = image_decode_png_fast(image, data, bytes) ? 0 : image_decode_png(image, data, bytes, name, err);
        break;
    case IMAGE_JPEG: status = image_decode_jpeg(image, data, bytes, name, err); break;
    case IMAGE_UNKNOWN: error_set(err, "%s: %s", name, bytes ? "neither PNG nor JPEG" : "an empty file");
    }
    if (status) image_free(image);
    else simplify_grey(image);
    return status;
}

int image_write_png(const char *path, const struct image *image, struct error *err)
{
    struct text out = {0};
    int status = image_encode_png(&out, image, path, err);
    if (!status) status = file_write_atomic(path, out.data, out.length, err);
    text_free(&out);
    return status;
}

int image_write_jpeg(const char *path, const struct image *image, int quality, struct error *err)
{
    struct text out = {0};
    int status = image_encode_jpeg(&out, image, quality, path, err);
    if (!status) status = file_write_atomic(path, out.data, out.length, err);
    text_free(&out);
    return status;
}

void image_free(struct image *image)
{
    mem_free(image->pixels);
    *image = (struct image){0};
}
