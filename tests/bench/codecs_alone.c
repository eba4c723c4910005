/* codecs_alone.c - what no packer of these pictures can do without: the CPU seconds of libdeflate and libjpeg-turbo alone.
 *
 *     cc -O2 codecs_alone.c -ldeflate -ljpeg -o codecs_alone && find FOLDER -type f | ./codecs_alone
 * Inflates the data of each PNG (no filters undone, no pixels made) and decodes each JPEG row by row, as ladnn does, into memory that is
 * warm. Reading the files is not counted. Prints one JSON line with the best of five rounds. A measuring program: damaged files end it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jpeglib.h>
#include <libdeflate.h>

struct file {
    uint8_t *data;    /* of a PNG only what is deflated, in a row */
    size_t bytes, room;
};
static struct file *files;
static int count;
static uint8_t *out;
static size_t out_room;

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void stop(const char *what)
{
    fprintf(stderr, "codecs_alone: %s\n", what);
    exit(1);
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Keeps the IDAT chunks' bodies; the size comes from the header. */
static void join_png(struct file *f)
{
    static const size_t samples[7] = {1, 0, 3, 1, 2, 0, 4};
    size_t to = 0, width = be32(f->data + 16), height = be32(f->data + 20);
    if (f->data[24] != 8 || f->data[25] > 6) stop("a PNG with other than 8 bits");
    f->room = (width * samples[f->data[25]] + 1) * height;
    for (size_t at = 8; at + 12 <= f->bytes;) {
        size_t length = be32(f->data + at);
        int idat = !memcmp(f->data + at + 4, "IDAT", 4);
        if (idat) memmove(f->data + to, f->data + at + 8, length);
        if (idat) to += length;
        at += 12 + length;
    }
    f->bytes = to;
}

static void add_file(const char *path)
{
    struct file f = {0};
    FILE *in = fopen(path, "rb");
    if (!in || fseek(in, 0, SEEK_END)) stop(path);
    f.bytes = (size_t)ftell(in);
    rewind(in);
    f.data = malloc(f.bytes + 1);
    if (!f.data || fread(f.data, 1, f.bytes, in) != f.bytes) stop(path);
    fclose(in);
    int png = f.bytes > 33 && !memcmp(f.data, "\x89PNG", 4), jpeg = f.bytes > 3 && !memcmp(f.data, "\xFF\xD8\xFF", 3);
    if (!png && !jpeg) {
        free(f.data);
        return;
    }
    if (png) join_png(&f);
    if (f.room > out_room) out_room = f.room;
    files = realloc(files, (size_t)(count + 1) * sizeof *files);
    if (!files) stop("no memory");
    files[count++] = f;
}

static void inflate_one(struct libdeflate_decompressor *d, const struct file *f)
{
    size_t used, got;
    if (libdeflate_zlib_decompress_ex(d, f->data, f->bytes, out, f->room, &used, &got) || got != f->room) stop("a damaged PNG");
}

static void decode_jpeg(const struct file *f)
{
    struct jpeg_error_mgr errors; /* libjpeg's own: it ends the program */
    struct jpeg_decompress_struct in = {.err = jpeg_std_error(&errors)};
    jpeg_create_decompress(&in);
    jpeg_mem_src(&in, f->data, (unsigned long)f->bytes);
    jpeg_read_header(&in, TRUE);
    in.out_color_space = in.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&in);
    size_t stride = (size_t)in.output_width * (size_t)in.output_components;
    if (stride * in.output_height > out_room) stop("a JPEG of more than 64 MB");
    while (in.output_scanline < in.output_height) {
        JSAMPROW row = out + in.output_scanline * stride;
        jpeg_read_scanlines(&in, &row, 1);
    }
    jpeg_finish_decompress(&in);
    jpeg_destroy_decompress(&in);
}

int main(void)
{
    char path[4096];
    double best[2] = {1e9, 1e9};
    out_room = 64000000;
    while (fgets(path, sizeof path, stdin)) {
        path[strcspn(path, "\n")] = 0;
        add_file(path);
    }
    out = malloc(out_room);
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    if (!out || !d) stop("no memory");
    memset(out, 1, out_room);
    for (int round = 0; round < 5; round++) {
        double start = cpu_s();
        for (int i = 0; i < count; i++)
            if (files[i].room) inflate_one(d, &files[i]);
        double middle = cpu_s();
        for (int i = 0; i < count; i++)
            if (!files[i].room) decode_jpeg(&files[i]);
        double end = cpu_s();
        if (middle - start < best[0]) best[0] = middle - start;
        if (end - middle < best[1]) best[1] = end - middle;
    }
    printf("{\"what\": \"libdeflate and libjpeg-turbo alone\", \"images\": %d, \"inflate_s\": %.3f, \"jpeg_s\": %.3f, \"cpu_s\": %.3f}\n", count,
           best[0], best[1], best[0] + best[1]);
    return 0;
}
