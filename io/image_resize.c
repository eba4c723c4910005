/* image_resize.c - bilinear resizing whose every bit is Pillow's.
 *
 * The method is that of Pillow's src/libImaging/Resample.c (A. Clark and contributors): one pass along the rows, one
 * along the columns, weights of a triangle whose half width is the scale when shrinking, in fixed point with 22 bits.
 * The order of the passes, the rounding between them (to 8 bits) and the rounding of the weights are part of the result. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/image.h"

enum { WEIGHT_BITS = 32 - 8 - 2 };

struct filter { /* of one axis */
    int taps;     /* room per output position */
    int *first;   /* (out) first input position */
    int *count;   /* (out) how many */
    int *weight;  /* (out, taps) fixed point */
};

static double triangle(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static void filter_one(struct filter *f, double *w, int o, int in, double scale, double stretch)
{
    double center = (o + 0.5) * scale, sum = 0, narrow = 1.0 / stretch;
    int first = (int)(center - stretch + 0.5), last = (int)(center + stretch + 0.5);
    if (first < 0) first = 0;
    if (last > in) last = in;
    int count = last - first;
    for (int i = 0; i < count; i++) {
        w[i] = triangle((i + first - center + 0.5) * narrow);
        sum += w[i];
    }
    for (int i = 0; i < count; i++) {
        if (sum != 0) w[i] /= sum;
        f->weight[(size_t)o * (size_t)f->taps + (size_t)i] = (int)(0.5 + w[i] * (1 << WEIGHT_BITS));
    }
    f->first[o] = first;
    f->count[o] = count;
}

static void filter_make(struct filter *f, int in, int out)
{
    double scale = (double)in / out, stretch = scale < 1 ? 1 : scale;
    f->taps = (int)ceil(stretch) * 2 + 1;
    f->first = NEW_ARRAY(int, out);
    f->count = NEW_ARRAY(int, out);
    f->weight = mem_zero((size_t)out * (size_t)f->taps * sizeof(int));
    double *w = NEW_ARRAY(double, f->taps);
    for (int o = 0; o < out; o++) filter_one(f, w, o, in, scale, stretch);
    mem_free(w);
}

static void filter_free(struct filter *f)
{
    mem_free(f->first);
    mem_free(f->count);
    mem_free(f->weight);
}

static uint8_t to_byte(int sum)
{
    sum >>= WEIGHT_BITS; /* an arithmetic shift, as in Pillow */
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* (H, W, C) -> (H, width, C) */
static void resize_rows(struct image *out, const struct image *in, int width)
{
    *out = (struct image){.height = in->height, .width = width, .channels = in->channels};
    size_t channels = (size_t)in->channels;
    out->pixels = mem_alloc((size_t)out->height * (size_t)width * channels);
    struct filter f;
    filter_make(&f, in->width, width);
    for (int y = 0; y < in->height; y++) {
        const uint8_t *from = in->pixels + (size_t)y * (size_t)in->width * channels;
        uint8_t *to = out->pixels + (size_t)y * (size_t)width * channels;
        for (int x = 0; x < width; x++)
            for (size_t c = 0; c < channels; c++) {
                const int *w = f.weight + (size_t)x * (size_t)f.taps;
                const uint8_t *p = from + (size_t)f.first[x] * channels + c;
                int sum = 1 << (WEIGHT_BITS - 1);
                for (int i = 0; i < f.count[x]; i++) sum += p[(size_t)i * channels] * w[i];
                *to++ = to_byte(sum);
            }
    }
    filter_free(&f);
}

/* (H, W, C) -> (height, W, C) */
static void resize_columns(struct image *out, const struct image *in, int height)
{
    *out = (struct image){.height = height, .width = in->width, .channels = in->channels};
    size_t stride = (size_t)in->width * (size_t)in->channels;
    out->pixels = mem_alloc((size_t)height * stride);
    int *sum = NEW_ARRAY(int, stride);
    struct filter f;
    filter_make(&f, in->height, height);
    for (int y = 0; y < height; y++) {
        for (size_t i = 0; i < stride; i++) sum[i] = 1 << (WEIGHT_BITS - 1);
        for (int k = 0; k < f.count[y]; k++) {
            const uint8_t *from = in->pixels + (size_t)(f.first[y] + k) * stride;
            int w = f.weight[(size_t)y * (size_t)f.taps + (size_t)k];
            for (size_t i = 0; i < stride; i++) sum[i] += from[i] * w;
        }
        for (size_t i = 0; i < stride; i++) out->pixels[(size_t)y * stride + i] = to_byte(sum[i]);
    }
    filter_free(&f);
    mem_free(sum);
}

static void copy_image(struct image *out, const struct image *in)
{
    size_t bytes = (size_t)in->height * (size_t)in->width * (size_t)in->channels;
    *out = *in;
    out->pixels = memcpy(mem_alloc(bytes), in->pixels, bytes);
}

void image_resize(struct image *out, const struct image *in, int height, int width)
{
    struct image narrow;
    if (width != in->width)
        resize_rows(&narrow, in, width);
    else
        copy_image(&narrow, in);
    if (height == in->height) {
        *out = narrow;
        return;
    }
    resize_columns(out, &narrow, height);
    image_free(&narrow);
}
