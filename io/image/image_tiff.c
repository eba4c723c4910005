/* image_tiff.c - TIFF through libtiff, from memory.
 *
 * DESIGN: rows of 8 and 16 bits that lie in strips are taken as they are stored, so that alpha is dropped and a window sees every
 * grey level; all other kinds (palettes, few bits, tiles, planes) go through libtiff's own conversion to 8-bit RGB. libtiff reports
 * damage by messages to handlers of this one file; warnings about unknown tags are none. */
#include "io/image/image_private.h"
#include "base/memory.h"

#ifdef LADNN_HAVE_TIFF
#include <string.h>
#include <tiffio.h>

enum { ALLOCATION_MAX = 1 << 30 };
struct tiff_job {
    TIFF *tiff;
    const uint8_t *data;
    size_t bytes, at;
    struct image *image;
    const struct image_window *window;
    const char *name;
    struct error *err;
    uint16_t bits, samples, photometric, planar, format;
};

static tmsize_t on_read(thandle_t handle, void *to, tmsize_t count)
{
    struct tiff_job *job = handle;
    size_t left = job->at < job->bytes ? job->bytes - job->at : 0, take = (size_t)count < left ? (size_t)count : left;
    memcpy(to, job->data + job->at, take);
    job->at += take;
    return (tmsize_t)take;
}

static tmsize_t on_write(thandle_t handle, void *from, tmsize_t count)
{
    (void)handle, (void)from, (void)count;
    return -1;
}

static toff_t on_seek(thandle_t handle, toff_t offset, int from)
{
    struct tiff_job *job = handle;
    job->at = (size_t)offset + (from == SEEK_CUR ? job->at : from == SEEK_END ? job->bytes : 0);
    return job->at;
}

static int on_close(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t on_size(thandle_t handle)
{
    return ((struct tiff_job *)handle)->bytes;
}

static int on_error(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
    (void)tiff, (void)module;
    struct tiff_job *job = user;
    char message[400];
    vsnprintf(message, sizeof message, format, args);
    error_set(job->err, "%s: damaged TIFF: %s", job->name, message);
    return 1;
}

static int on_warning(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
    (void)tiff, (void)user, (void)module, (void)format, (void)args;
    return 1;
}

static int refuse(const struct tiff_job *job, const char *why)
{
    return error_set(job->err, "%s: a TIFF %s", job->name, why);
}

static int read_tags(struct tiff_job *job)
{
    uint32_t width = 0, height = 0;
    TIFF *t = job->tiff;
    if (!TIFFGetField(t, TIFFTAG_IMAGEWIDTH, &width) || !TIFFGetField(t, TIFFTAG_IMAGELENGTH, &height) ||
        !TIFFGetField(t, TIFFTAG_PHOTOMETRIC, &job->photometric))
        return refuse(job, "without width, height or colour space");
    TIFFGetFieldDefaulted(t, TIFFTAG_BITSPERSAMPLE, &job->bits);
    TIFFGetFieldDefaulted(t, TIFFTAG_SAMPLESPERPIXEL, &job->samples);
    TIFFGetFieldDefaulted(t, TIFFTAG_PLANARCONFIG, &job->planar);
    TIFFGetFieldDefaulted(t, TIFFTAG_SAMPLEFORMAT, &job->format);
    if (image_check_size(height, width, job->name, job->err)) return -1;
    if (TIFFNumberOfDirectories(t) > 1) return refuse(job, "of several pages; a file must hold one slice");
    if (job->photometric == PHOTOMETRIC_SEPARATED) return refuse(job, "in CMYK; grey or RGB is needed");
    if (job->format != SAMPLEFORMAT_UINT && job->format != SAMPLEFORMAT_INT) return refuse(job, "of floating-point numbers");
    job->image->height = (int)height;
    job->image->width = (int)width;
    return 0;
}

static bool is_grey(const struct tiff_job *job)
{
    return job->photometric == PHOTOMETRIC_MINISBLACK || job->photometric == PHOTOMETRIC_MINISWHITE;
}

/* Rows whose samples of 8 or 16 bits stand side by side. */
static bool is_plain(const struct tiff_job *job)
{
    bool colour = job->photometric == PHOTOMETRIC_RGB && job->samples >= 3;
    return !TIFFIsTiled(job->tiff) && job->planar == PLANARCONFIG_CONTIG && (job->bits == 8 || job->bits == 16) && (is_grey(job) || colour);
}

static uint8_t level(const struct tiff_job *job, const uint8_t *row, size_t sample)
{
    bool inverse = job->photometric == PHOTOMETRIC_MINISWHITE, is_signed = job->format == SAMPLEFORMAT_INT;
    if (job->bits == 8) return (uint8_t)(row[sample] ^ (inverse ? 255 : 0) ^ (is_signed ? 128 : 0));
    uint16_t stored;
    memcpy(&stored, row + 2 * sample, 2);
    double value = is_signed ? (int16_t)stored : stored;
    uint8_t grey = job->window->width > 0 && is_grey(job) ? image_window_apply(job->window, value)
                                                          : (uint8_t)((stored ^ (is_signed ? 0x8000 : 0)) >> 8);
    return inverse ? (uint8_t)(255 - grey) : grey;
}

static int read_rows(struct tiff_job *job)
{
    struct image *image = job->image;
    image->channels = is_grey(job) ? 1 : 3;
    size_t width = (size_t)image->width, channels = (size_t)image->channels, row_bytes = (size_t)TIFFScanlineSize(job->tiff);
    if (row_bytes < width * job->samples * job->bits / 8) return refuse(job, "whose rows are shorter than its width");
    uint8_t *row = mem_zero(row_bytes), *to = image->pixels = mem_zero((size_t)image->height * width * channels);
    int status = 0;
    for (int y = 0; y < image->height && !status; y++) {
        status = TIFFReadScanline(job->tiff, row, (uint32_t)y, 0) == 1 ? 0 : -1;
        for (size_t x = 0; x < width; x++)
            for (size_t c = 0; c < channels; c++) *to++ = level(job, row, x * job->samples + c);
    }
    mem_free(row);
    return status;
}

static int read_converted(struct tiff_job *job)
{
    struct image *image = job->image;
    size_t count = (size_t)image->height * (size_t)image->width;
    if (job->bits == 16 && is_grey(job) && job->window->width > 0)
        return refuse(job, "of 16 bits in tiles or planes, to which no window can be applied");
    uint32_t *rgba = mem_zero(count * sizeof *rgba);
    int status = TIFFReadRGBAImageOriented(job->tiff, (uint32_t)image->width, (uint32_t)image->height, rgba, ORIENTATION_TOPLEFT, 1) == 1 ? 0 : -1;
    image->channels = 3;
    image->pixels = mem_alloc(3 * count);
    for (size_t i = 0; i < count; i++) {
        image->pixels[3 * i] = (uint8_t)TIFFGetR(rgba[i]);
        image->pixels[3 * i + 1] = (uint8_t)TIFFGetG(rgba[i]);
        image->pixels[3 * i + 2] = (uint8_t)TIFFGetB(rgba[i]);
    }
    mem_free(rgba);
    return status;
}

int image_decode_tiff(struct image *image, const uint8_t *data, size_t bytes, const char *name, const struct image_window *window,
                      struct error *err)
{
    struct error mine = {0};
    struct tiff_job job = {.data = data, .bytes = bytes, .image = image, .window = window, .name = name, .err = &mine};
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, ALLOCATION_MAX);
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, &job);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, &job);
    job.tiff = TIFFClientOpenExt(name, "rm", &job, on_read, on_write, on_seek, on_close, on_size, NULL, NULL, options); /* m: not mapped */
    TIFFOpenOptionsFree(options);
    int status = !job.tiff || read_tags(&job) || (is_plain(&job) ? read_rows(&job) : read_converted(&job)) ? -1 : 0;
    if (job.tiff) TIFFClose(job.tiff);
    if (!status && *mine.message) status = -1; /* damage in a part that libtiff could do without */
    if (status && !*mine.message) refuse(&job, "that cannot be read");
    if (status && err) *err = mine;
    return status;
}
#else
int image_decode_tiff(struct image *image, const uint8_t *data, size_t bytes, const char *name, const struct image_window *window,
                      struct error *err)
{
    (void)image, (void)data, (void)bytes, (void)window;
    error_set(err, "%s: a TIFF, and this ladnn was built without libtiff", name);
    return error_hint(err, "install libtiff-dev and build again");
}
#endif
