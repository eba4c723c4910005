/* image.c - what does not depend on the file format. */
#include "io/image/image.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/image/image_dicom.h"
#include "io/image/image_planes.h"
#include "io/image/image_private.h"

const char *const image_format_names[] = {"unknown", "PNG", "JPEG", "TIFF", "DICOM"};

enum image_format image_format_of(const uint8_t *data, size_t bytes)
{
    if (bytes >= 8 && !memcmp(data, "\x89PNG\r\n\x1a\n", 8)) return IMAGE_PNG;
    if (bytes >= 3 && !memcmp(data, "\xFF\xD8\xFF", 3)) return IMAGE_JPEG;
    static const char tiff[][5] = {"II*\0", "MM\0*", "II+\0", "MM\0+"}; /* little and big endian, small and big files */
    for (size_t i = 0; bytes >= 4 && i < sizeof tiff / sizeof *tiff; i++)
        if (!memcmp(data, tiff[i], 4)) return IMAGE_TIFF;
    if (bytes >= IMAGE_HEAD_BYTES && !memcmp(data + 128, "DICM", 4)) return IMAGE_DICOM;
    return IMAGE_UNKNOWN;
}

enum image_format image_format_of_name(const char *name)
{
    static const struct {
        const char *end;
        enum image_format format;
    } known[] = {{".png", IMAGE_PNG}, {".jpg", IMAGE_JPEG}, {".jpeg", IMAGE_JPEG},
                 {".tif", IMAGE_TIFF}, {".tiff", IMAGE_TIFF}, {".dcm", IMAGE_DICOM}};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof known / sizeof *known; i++)
        if (!strcasecmp(dot, known[i].end)) return known[i].format;
    return IMAGE_UNKNOWN;
}

bool image_name_is_foreign(const char *name)
{
    static const char *const ends[] = {".bmp", ".gif", ".webp", ".jp2", ".j2k", ".jxl", ".heic", ".avif", ".pgm", ".ppm", ".pnm",
                                       ".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".npy", ".npz"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t end = strlen(ends[i]);
        if (length > end && !strcasecmp(name + length - end, ends[i])) return true;
    }
    return false;
}

int image_check_size(int64_t height, int64_t width, const char *name, struct error *err)
{
    if (height < 1 || width < 1) return error_set(err, "%s: an empty picture", name);
    if (height <= IMAGE_PIXELS_MAX / width) return 0;
    return error_set(err, "%s: %" PRId64 "x%" PRId64 " pixels are more than %d megapixels", name, width, height,
                     IMAGE_PIXELS_MAX >> 20);
}

void image_simplify_grey(struct image *image)
{
    if (image->channels != 3) return;
    size_t width = (size_t)image->width, height = (size_t)image->height;
    uint8_t *grey = mem_alloc(width * height);
    for (size_t y = 0; y < height; y++)
        if (!grey_from_equal(grey + y * width, image->pixels + 3 * y * width, width, 3)) {
            mem_free(grey);
            return;
        }
    mem_free(image->pixels);
    image->pixels = grey;
    image->channels = 1;
}

static int decode_dicom(struct image *image, const uint8_t *data, size_t bytes, const char *name, const struct image_window *window,
                        struct error *err)
{
#ifdef LADNN_HAVE_DCMTK
    const char *why = dicom_decode(data, bytes, window->centre, window->width, IMAGE_PIXELS_MAX, mem_zero, &image->pixels,
                                   &image->height, &image->width);
    image->channels = 1;
    return why ? error_set(err, "%s: a DICOM file %s", name, why) : 0;
#else
    (void)image, (void)data, (void)bytes, (void)window;
    error_set(err, "%s: a DICOM file, and this ladnn was built without DCMTK", name);
    return error_hint(err, "install libdcmtk-dev and build again");
#endif
}

char *image_patient(const char *path)
{
#ifdef LADNN_HAVE_DCMTK
    char patient[256];
    return dicom_patient(path, patient, sizeof patient) && *patient ? mem_string(patient) : NULL;
#else
    (void)path;
    return NULL;
#endif
}

/* A window must see all bits of a grey level. */
static int decode_png(struct image *image, const uint8_t *data, size_t bytes, const char *name, const struct image_window *window,
                      struct error *err)
{
    if (!(window->width > 0 && png_depth(data, bytes) == 16) && image_decode_png_fast(image, data, bytes)) return 0;
    return image_decode_png(image, data, bytes, name, window, err);
}

int image_decode(struct image *image, const uint8_t *data, size_t bytes, const char *name, const struct image_window *window,
                 struct error *err)
{
    static const struct image_window none = {0, 0};
    *image = (struct image){0};
    int status = -1;
    if (!window) window = &none;
    switch (image_format_of(data, bytes)) {
    case IMAGE_PNG: status = decode_png(image, data, bytes, name, window, err); break;
    case IMAGE_JPEG: status = image_decode_jpeg(image, data, bytes, name, err); break;
    case IMAGE_TIFF: status = image_decode_tiff(image, data, bytes, name, window, err); break;
    case IMAGE_DICOM: status = decode_dicom(image, data, bytes, name, window, err); break;
    case IMAGE_UNKNOWN: error_set(err, "%s: %s", name, bytes ? "neither PNG, JPEG, TIFF nor DICOM" : "an empty file");
    }
    if (status) image_free(image);
    else image_simplify_grey(image);
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
