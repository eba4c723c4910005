/* image_png.c - PNG through libpng, from and to memory.
 *
 * DESIGN: libpng leaves by longjmp. Everything that must be freed lives in a struct of the caller's frame; the function
 * that calls setjmp keeps no other variables, so nothing is lost or indeterminate after the jump. Ancillary chunks
 * (profiles, texts, gamma) change no pixel here and are skipped, so a bad colour profile does not refuse a picture;
 * every warning that remains is about damaged data and is an error. */
#include <png.h>
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>

#include "base/memory.h"
#include "io/image/image_private.h"

struct png_job {
    png_structp png;
    png_infop info;
    const uint8_t *data; /* left to read */
    size_t bytes;
    struct text *out;
    struct image *image;         /* decoding */
    const struct image *picture; /* encoding */
    png_bytep *rows;
    const struct image_window *window;
    uint8_t *deep; /* rows of 16-bit grey */
    const char *name;
    struct error *err;
};

static void on_error(png_structp png, png_const_charp message)
{
    struct png_job *job = png_get_error_ptr(png);
    error_set(job->err, "%s: damaged PNG: %s", job->name, message);
    png_longjmp(png, 1);
}

static void on_read(png_structp png, png_bytep to, size_t count)
{
    struct png_job *job = png_get_io_ptr(png);
    if (count > job->bytes) png_error(png, "the file ends too early");
    memcpy(to, job->data, count);
    job->data += count;
    job->bytes -= count;
}

static void on_write(png_structp png, png_bytep data, size_t count)
{
    struct png_job *job = png_get_io_ptr(png);
    text_add_bytes(job->out, (const char *)data, count);
}

static void on_flush(png_structp png)
{
    (void)png;
}

/* Whatever is stored becomes 8-bit grey or RGB without alpha, but grey levels that a window will choose from keep their 16 bits. */
static void set_transforms(png_structp png, png_infop info, bool deep)
{
    int type = png_get_color_type(png, info);
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
    if (!deep) png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
}

static int decode_guarded(struct png_job *job)
{
    png_structp png = job->png;
    if (setjmp(png_jmpbuf(png))) return -1;
    png_set_read_fn(png, job, on_read);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_user_limits(png, IMAGE_PIXELS_MAX, IMAGE_PIXELS_MAX);
    png_read_info(png, job->info);
    struct image *image = job->image;
    image->height = (int)png_get_image_height(png, job->info);
    image->width = (int)png_get_image_width(png, job->info);
    if (image_check_size(image->height, image->width, job->name, job->err)) return -1;
    bool deep = job->window->width > 0 && png_get_bit_depth(png, job->info) == 16 && !(png_get_color_type(png, job->info) & PNG_COLOR_MASK_COLOR);
    set_transforms(png, job->info, deep);
    image->channels = png_get_channels(png, job->info);
    size_t stride = png_get_rowbytes(png, job->info), width = (size_t)image->width * (size_t)image->channels;
    if ((image->channels != 1 && image->channels != 3) || stride != width * (deep ? 2 : 1)) png_error(png, "an unknown pixel layout");
    image->pixels = mem_zero(width * (size_t)image->height);
    if (deep) job->deep = mem_zero(stride * (size_t)image->height);
    job->rows = NEW_ARRAY(png_bytep, image->height);
    for (int y = 0; y < image->height; y++) job->rows[y] = (deep ? job->deep : image->pixels) + (size_t)y * stride;
    png_read_image(png, job->rows);
    png_read_end(png, NULL);
    return 0;
}

static void apply_window(struct png_job *job)
{
    size_t count = (size_t)job->image->height * (size_t)job->image->width;
    for (size_t i = 0; i < count; i++)
        job->image->pixels[i] = image_window_apply(job->window, job->deep[2 * i] << 8 | job->deep[2 * i + 1]);
}

int image_decode_png(struct image *image, const uint8_t *data, size_t bytes, const char *name, const struct image_window *window,
                     struct error *err)
{
    struct png_job job = {.data = data, .bytes = bytes, .image = image, .window = window, .name = name, .err = err};
    job.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &job, on_error, on_error);
    if (job.png) job.info = png_create_info_struct(job.png);
    int status = job.info ? decode_guarded(&job) : error_set(err, "%s: libpng does not start", name);
    png_destroy_read_struct(&job.png, &job.info, NULL);
    if (!status && job.deep) apply_window(&job);
    mem_free(job.rows);
    mem_free(job.deep);
    return status;
}

static int encode_guarded(struct png_job *job)
{
    png_structp png = job->png;
    if (setjmp(png_jmpbuf(png))) return -1;
    const struct image *image = job->picture;
    png_set_write_fn(png, job, on_write, on_flush);
    png_set_IHDR(png, job->info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
                 image->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, job->info);
    size_t stride = (size_t)image->width * (size_t)image->channels;
    for (int y = 0; y < image->height; y++) png_write_row(png, image->pixels + (size_t)y * stride);
    png_write_end(png, NULL);
    return 0;
}

int image_encode_png(struct text *out, const struct image *image, const char *name, struct error *err)
{
    struct png_job job = {.out = out, .picture = image, .name = name, .err = err};
    job.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &job, on_error, on_error);
    if (job.png) job.info = png_create_info_struct(job.png);
    int status = job.info ? encode_guarded(&job) : error_set(err, "%s: libpng does not start", name);
    png_destroy_write_struct(&job.png, &job.info);
    return status;
}
