/* image_jpeg.c - JPEG through libjpeg-turbo, from and to memory.
 *
 * DESIGN: as in image_png.c the longjmp target keeps all state in the caller's struct. libjpeg fills missing data with
 * grey and only warns; each warning is an error here. Progressive files may hold any number of passes over the same
 * pixels, so a small file can keep a server busy for minutes: passes are limited. */
#include <stdio.h> /* jpeglib.h needs FILE */

#include <jpeglib.h>
#include <setjmp.h>

#include "base/memory.h"
#include "io/image/image_private.h"

enum { SCANS_MAX = 200 };

struct jpeg_job {
    struct jpeg_error_mgr manager;
    struct jpeg_progress_mgr progress;
    jmp_buf leave;
    struct jpeg_decompress_struct in;
    struct jpeg_compress_struct to;
    const uint8_t *data;
    size_t bytes;
    struct image *image;
    const struct image *picture;
    int quality;
    unsigned char *coded; /* malloc of libjpeg, see jpeg_mem_dest */
    unsigned long coded_bytes;
    const char *name;
    struct error *err;
};

static void on_error(j_common_ptr common)
{
    struct jpeg_job *job = common->client_data;
    char message[JMSG_LENGTH_MAX];
    common->err->format_message(common, message);
    error_set(job->err, "%s: damaged JPEG: %s", job->name, message);
    longjmp(job->leave, 1);
}

static void on_message(j_common_ptr common, int level)
{
    if (level < 0) on_error(common);
}

static void on_progress(j_common_ptr common)
{
    struct jpeg_job *job = common->client_data;
    if (!common->is_decompressor || ((j_decompress_ptr)common)->input_scan_number <= SCANS_MAX) return;
    error_set(job->err, "%s: a JPEG with more than %d passes", job->name, SCANS_MAX);
    longjmp(job->leave, 1);
}

static int decode_guarded(struct jpeg_job *job)
{
    j_decompress_ptr in = &job->in;
    if (setjmp(job->leave)) return -1;
    jpeg_create_decompress(in);
    in->client_data = job;
    in->progress = &job->progress;
    jpeg_mem_src(in, job->data, (unsigned long)job->bytes);
    jpeg_read_header(in, TRUE);
    if (image_check_size(in->image_height, in->image_width, job->name, job->err)) return -1;
    if (in->num_components != 1 && in->num_components != 3)
        return error_set(job->err, "%s: a JPEG with %d colour components (CMYK?); grey or RGB is needed", job->name,
                         in->num_components);
    in->out_color_space = in->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(in);
    struct image *image = job->image;
    image->height = (int)in->output_height;
    image->width = (int)in->output_width;
    image->channels = in->output_components;
    size_t stride = (size_t)image->width * (size_t)image->channels;
    image->pixels = mem_alloc(stride * (size_t)image->height);
    while (in->output_scanline < in->output_height) {
        JSAMPROW row = image->pixels + in->output_scanline * stride;
        jpeg_read_scanlines(in, &row, 1);
    }
    jpeg_finish_decompress(in);
    return 0;
}

static void set_handlers(struct jpeg_job *job)
{
    jpeg_std_error(&job->manager);
    job->manager.error_exit = on_error;
    job->manager.emit_message = on_message;
    job->progress.progress_monitor = on_progress;
}

int image_decode_jpeg(struct image *image, const uint8_t *data, size_t bytes, const char *name, struct error *err)
{
    struct jpeg_job job = {.data = data, .bytes = bytes, .image = image, .name = name, .err = err};
    set_handlers(&job);
    job.in.err = &job.manager;
    job.in.client_data = &job;
    int status = decode_guarded(&job);
    jpeg_destroy_decompress(&job.in);
    return status;
}

static int encode_guarded(struct jpeg_job *job)
{
    j_compress_ptr to = &job->to;
    const struct image *image = job->picture;
    if (setjmp(job->leave)) return -1;
    jpeg_create_compress(to);
    to->client_data = job;
    jpeg_mem_dest(to, &job->coded, &job->coded_bytes);
    to->image_width = (JDIMENSION)image->width;
    to->image_height = (JDIMENSION)image->height;
    to->input_components = image->channels;
    to->in_color_space = image->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(to);
    jpeg_set_quality(to, job->quality, TRUE);
    jpeg_start_compress(to, TRUE);
    while (to->next_scanline < to->image_height) {
        JSAMPROW row = image->pixels + (size_t)to->next_scanline * (size_t)image->width * (size_t)image->channels;
        jpeg_write_scanlines(to, &row, 1);
    }
    jpeg_finish_compress(to);
    return 0;
}

int image_encode_jpeg(struct text *out, const struct image *image, int quality, const char *name, struct error *err)
{
    struct jpeg_job job = {.picture = image, .quality = quality, .name = name, .err = err};
    set_handlers(&job);
    job.to.err = &job.manager;
    job.to.client_data = &job;
    int status = encode_guarded(&job);
    if (!status) text_add_bytes(out, (const char *)job.coded, job.coded_bytes);
    jpeg_destroy_compress(&job.to);
    mem_free(job.coded);
    return status;
}
