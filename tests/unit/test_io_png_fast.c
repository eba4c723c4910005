/* test_io_png_fast.c - the fast PNG decoder (io/image/image_png_fast.c) beside libpng: every colour type, filter and odd width gives the same
 * pixels; of files that were altered it takes none that libpng refuses, and reads the others as libpng does. */
#include <stdlib.h>
#include <zlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "io/image/image_private.h"
#include "tests/unit/check.h"

static const int SAMPLES[7] = {1, 0, 3, 1, 2, 0, 4}; /* of colour types 0, 2, 3, 4, 6 */

static void add_chunk(struct text *out, const char *type, const uint8_t *data, size_t bytes)
{
    uint8_t number[4];
    for (int i = 0; i < 4; i++) number[i] = (uint8_t)(bytes >> (24 - 8 * i));
    text_add_bytes(out, (const char *)number, 4);
    size_t from = out->length;
    text_add_bytes(out, type, 4);
    text_add_bytes(out, (const char *)data, bytes);
    uint32_t crc = (uint32_t)crc32(0, (const uint8_t *)out->data + from, (uInt)(bytes + 4));
    for (int i = 0; i < 4; i++) number[i] = (uint8_t)(crc >> (24 - 8 * i));
    text_add_bytes(out, (const char *)number, 4);
}

/* What filter `f` stores for byte x with left a, above b, above left c (PNG specification, section 9.2). */
static uint8_t filtered(int f, int x, int a, int b, int c)
{
    int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
    int paeth = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
    const int guess[5] = {0, a, b, (a + b) / 2, paeth};
    return (uint8_t)(x - guess[f]);
}

struct kind {
    int height, width, type;
    bool same;     /* the three planes are equal */
    bool but_last; /* all over, but for the last pixel */
    int filter;    /* of all rows; -1: each in turn */
    int pieces;    /* of data */
};

/* Pixels that go up and down a little, or noise. */
static uint8_t *make_raw(const struct kind *k, struct random *r)
{
    int height = k->height, width = k->width, type = k->type;
    size_t bpp = (size_t)SAMPLES[type], stride = (size_t)width * bpp;
    uint8_t *pixels = mem_alloc(stride * (size_t)height), *raw = mem_alloc((stride + 1) * (size_t)height);
    for (size_t i = 0; i < stride * (size_t)height; i++) {
        pixels[i] = (uint8_t)(i % 7 ? 40 + i / stride + i % stride / 3 + random_u32(r) % 5 : random_u32(r) % 200);
        if (k->same && bpp >= 3 && i % bpp && i % bpp < 3) pixels[i] = pixels[i - 1];
        if (type == 3) pixels[i] %= 200;
    }
    if (k->but_last && bpp >= 3) pixels[stride * (size_t)height - bpp + 2] ^= 1;
    for (int y = 0; y < height; y++) {
        const uint8_t *row = pixels + stride * (size_t)y, *up = row - stride;
        uint8_t *to = raw + (stride + 1) * (size_t)y;
        int filter = k->filter >= 0 ? k->filter : (y + width) % 5;
        *to++ = (uint8_t)filter;
        for (size_t i = 0; i < stride; i++) {
            int a = i >= bpp ? row[i - bpp] : 0, b = y ? up[i] : 0, c = y && i >= bpp ? up[i - bpp] : 0;
            to[i] = filtered(filter, row[i], a, b, c);
        }
    }
    mem_free(pixels);
    return raw;
}

static struct text make_png(const struct kind *k, struct random *r)
{
    int height = k->height, width = k->width, type = k->type, pieces = k->pieces;
    struct text out = {0};
    uint8_t header[13] = {0, 0, (uint8_t)(width >> 8), (uint8_t)width, 0, 0, (uint8_t)(height >> 8), (uint8_t)height, 8, (uint8_t)type};
    uint8_t palette[600];
    size_t bytes = ((size_t)width * (size_t)SAMPLES[type] + 1) * (size_t)height;
    uint8_t *raw = make_raw(k, r);
    uLongf room = compressBound(bytes);
    uint8_t *packed = mem_alloc(room);
    EXPECT(compress2(packed, &room, raw, bytes, 6) == Z_OK, " ");
    for (int i = 0; i < 600; i++) palette[i] = (uint8_t)(k->same ? i / 3 : i * 5);
    text_add_bytes(&out, "\x89PNG\r\n\x1a\n", 8);
    add_chunk(&out, "IHDR", header, 13);
    add_chunk(&out, "tEXt", (const uint8_t *)"a\0b", 3);
    if (type == 3) add_chunk(&out, "PLTE", palette, sizeof palette);
    for (int p = 0; p < pieces; p++) {
        size_t first = room * (size_t)p / (size_t)pieces, next = room * (size_t)(p + 1) / (size_t)pieces;
        add_chunk(&out, "IDAT", packed + first, next - first);
    }
    add_chunk(&out, "IEND", packed, 0);
    mem_free(raw);
    mem_free(packed);
    return out;
}

static void to_grey(struct image *image)
{
    size_t count = (size_t)image->height * (size_t)image->width;
    for (size_t i = 0; i < count && image->channels == 3; i++)
        if (image->pixels[3 * i] != image->pixels[3 * i + 1] || image->pixels[3 * i] != image->pixels[3 * i + 2]) return;
    for (size_t i = 0; i < count && image->channels == 3; i++) image->pixels[i] = image->pixels[3 * i];
    image->channels = 1;
}

/* 1: both read the same; 0: the fast one left it to libpng; -1: they differ. */
static int compare(const uint8_t *data, size_t bytes)
{
    struct error err = {0};
    struct image fast = {0}, slow = {0};
    const struct image_window none = {0, 0};
    int verdict = 0;
    if (image_decode_png_fast(&fast, data, bytes)) {
        verdict = image_decode_png(&slow, data, bytes, "x.png", &none, &err) ? -1 : 1;
        if (verdict < 0) printf("libpng: %s\n", err.message);
        if (verdict == 1) {
            to_grey(&slow); /* image_decode does both */
            to_grey(&fast);
            size_t count = (size_t)slow.height * (size_t)slow.width * (size_t)slow.channels;
            bool same = fast.height == slow.height && fast.width == slow.width && fast.channels == slow.channels;
            if (!same || memcmp(fast.pixels, slow.pixels, count)) verdict = -1;
        }
    } else {
        EXPECT(!fast.pixels, "left to libpng, but not empty");
    }
    image_free(&fast);
    image_free(&slow);
    return verdict;
}

static void test_kinds(bool built_in)
{
    static const int types[] = {0, 2, 3, 4, 6}, widths[] = {1, 2, 3, 4, 5, 15, 16, 17, 63, 130};
    struct random r = random_stream(8, RANDOM_TEST, 0, 0);
    for (size_t t = 0; t < 5; t++)
        for (size_t w = 0; w < 10; w++)
            for (int same = 0; same < 2; same++) {
                struct kind k = {.height = 1 + (int)w * 3, .width = widths[w], .type = types[t], .same = same, .filter = -1, .pieces = 1 + (int)w % 4};
                struct text png = make_png(&k, &r);
                int verdict = compare((const uint8_t *)png.data, png.length);
                EXPECT(verdict == (built_in ? 1 : 0), "type %d, width %d: %d", types[t], widths[w], verdict);
                text_free(&png);
            }
}

/* Rows are undone many at a time: every count of rows around two such bands, each filter alone and all in turn. */
static void test_bands(bool built_in)
{
    static const int types[] = {0, 2, 6};
    struct random r = random_stream(10, RANDOM_TEST, 0, 0);
    for (int i = 0; i < 3 * 6 * 3 * 36; i++) {
        struct kind k = {.height = 1 + i % 36, .width = 1 + (int)random_below(&r, 70), .type = types[i / 36 % 3], .filter = i / 108 % 6 - 1,
                         .same = i / 648 > 0, .but_last = i / 648 > 1, .pieces = 1};
        struct text png = make_png(&k, &r);
        int verdict = compare((const uint8_t *)png.data, png.length);
        EXPECT(verdict == (built_in ? 1 : 0), "type %d, %d x %d, filter %d: %d", k.type, k.width, k.height, k.filter, verdict);
        text_free(&png);
    }
}

static void fix_crcs(uint8_t *data, size_t bytes) /* so that flips reach what lies behind the checksums */
{
    for (size_t at = 8; bytes - at >= 12;) {
        size_t length = (size_t)data[at] << 24 | (size_t)data[at + 1] << 16 | (size_t)data[at + 2] << 8 | data[at + 3];
        if (length > bytes - at - 12) return;
        uint32_t crc = (uint32_t)crc32(0, data + at + 4, (uInt)(length + 4));
        for (int i = 0; i < 4; i++) data[at + 8 + length + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        at += 12 + length;
    }
}

static void test_altered(int files)
{
    static const int types[] = {0, 2, 3, 4, 6};
    struct random r = random_stream(9, RANDOM_TEST, 0, 0);
    int same = 0, left = 0;
    for (int i = 0; i < files; i++) {
        struct kind k = {.height = 1 + (int)random_below(&r, 20), .width = 1 + (int)random_below(&r, 40), .type = types[i % 5], .same = i % 2,
                         .filter = -1, .pieces = 1 + i % 3};
        struct text png = make_png(&k, &r);
        size_t bytes = png.length;
        for (int64_t flips = random_below(&r, 4); flips >= 0; flips--)
            png.data[8 + random_below(&r, (int64_t)bytes - 8)] ^= (char)(1 << random_below(&r, 8));
        if (i % 3 == 0) bytes = 8 + (size_t)random_below(&r, (int64_t)bytes - 8);
        uint8_t *cut = memcpy(mem_alloc(bytes), png.data, bytes); /* its own block: reading past its end is seen */
        if (i % 4) fix_crcs(cut, bytes);
        int verdict = compare(cut, bytes);
        EXPECT(verdict >= 0, "file %d: the fast decoder reads what libpng does not, or otherwise", i);
        *(verdict > 0 ? &same : &left) += 1;
        mem_free(cut);
        text_free(&png);
    }
    printf("%d altered files: %d read alike, %d left to libpng\n", files, same, left);
}

int main(void)
{
    bool built_in = false;
#ifdef LADNN_HAVE_LIBDEFLATE
    built_in = true;
#else
    printf("this build has no libdeflate: everything is left to libpng\n");
#endif
    test_kinds(built_in);
    test_bands(built_in);
    const char *count = getenv("LADNN_FUZZ_FILES");
    test_altered(count ? atoi(count) : 4000);
    return check_verdict();
}
