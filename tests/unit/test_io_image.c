/* ctest: data
 * Pictures: round trips, every kind of PNG that a small encoder here can make, refusal of truncated and damaged files, and
 * resizing that is Pillow's to the bit (tests/reference/resize.txt). */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "io/image/image.h"
#include "tests/unit/check.h"

static char folder[] = "/tmp/test-io-image-XXXXXX";

static struct image make_image(int height, int width, int channels, bool smooth)
{
    struct image image = {height, width, channels, NULL};
    size_t row = (size_t)(width * channels);
    struct random r = random_stream(1, RANDOM_TEST, (uint64_t)height, (uint64_t)width);
    image.pixels = mem_alloc((size_t)height * row);
    for (size_t i = 0; i < (size_t)height * row; i++)
        image.pixels[i] = smooth ? (uint8_t)(255 * (i / row + i % row) / ((size_t)height + row)) : (uint8_t)random_u32(&r);
    return image;
}

static void read_file(const char *name, uint8_t **data, size_t *bytes)
{
    struct error err = {0};
    char *path = path_join(folder, name);
    EXPECT(file_read(data, bytes, path, &err) == 0, "%s", err.message);
    mem_free(path);
}

static void write_file(const char *name, const struct image *image, int quality)
{
    struct error err = {0};
    char *path = path_join(folder, name);
    EXPECT((quality ? image_write_jpeg(path, image, quality, &err) : image_write_png(path, image, &err)) == 0, "%s", err.message);
    mem_free(path);
}

static void test_round_trips(void)
{
    static const int sizes[][2] = {{1, 1}, {7, 13}, {64, 48}, {1, 300}};
    for (int i = 0; i < 8; i++) {
        struct error err = {0};
        int height = sizes[i / 2][0], width = sizes[i / 2][1], channels = i % 2 ? 3 : 1, worst = 0;
        struct image image = make_image(height, width, channels, false), smooth = make_image(height, width, channels, true), got;
        size_t count = (size_t)(height * width * channels), bytes;
        uint8_t *data;
        write_file("a.png", &image, 0);
        read_file("a.png", &data, &bytes);
        EXPECT(image_format_of(data, bytes) == IMAGE_PNG, " ");
        EXPECT(image_decode(&got, data, bytes, "a.png", NULL, &err) == 0, "%s", err.message);
        EXPECT(got.height == height && got.width == width && got.channels == channels, " ");
        EXPECT(memcmp(got.pixels, image.pixels, count) == 0, "PNG keeps every pixel");
        image_free(&got);
        mem_free(data);
        write_file("a.jpg", &smooth, 95);
        read_file("a.jpg", &data, &bytes);
        EXPECT(image_format_of(data, bytes) == IMAGE_JPEG, " ");
        EXPECT(image_decode(&got, data, bytes, "a.jpg", NULL, &err) == 0, "%s", err.message);
        for (size_t k = 0; k < count; k++)
            if (abs(got.pixels[k] - smooth.pixels[k]) > worst) worst = abs(got.pixels[k] - smooth.pixels[k]);
        EXPECT(worst <= 6, "JPEG at quality 95 is off by %d", worst);
        image_free(&got);
        mem_free(data);
        image_free(&image);
        image_free(&smooth);
    }
}

/* Every length but the whole is refused; a flipped byte gives an error or a whole picture, never a crash. */
static void test_damage(const char *name, int quality)
{
    struct image image = make_image(40, 33, 3, true), got;
    struct random r = random_stream(2, RANDOM_TEST, (uint64_t)quality, 0);
    uint8_t *data;
    size_t bytes;
    int read = 0, refused = 0;
    write_file(name, &image, quality);
    read_file(name, &data, &bytes);
    for (size_t length = 0; length < bytes; length++) {
        struct error err = {0};
        uint8_t *cut = memcpy(mem_alloc(length), data, length); /* its own block: reading past its end is seen */
        EXPECT(image_decode(&got, cut, length, name, NULL, &err) == -1, "%s cut to %zu of %zu bytes was read", name, length, bytes);
        EXPECT(strstr(err.message, name) && !got.pixels, "%s", err.message);
        mem_free(cut);
    }
    for (size_t i = 0; i < bytes; i++) {
        struct error err = {0};
        uint8_t kept = data[i];
        data[i] ^= (uint8_t)(1u << random_below(&r, 8));
        int status = image_decode(&got, data, bytes, name, NULL, &err);
        EXPECT(status == 0 ? got.pixels != NULL : *err.message && !got.pixels, "byte %zu", i);
        *(status ? &refused : &read) += 1;
        image_free(&got);
        data[i] = kept;
    }
    printf("%s: %zu bytes, flips: %d refused, %d read\n", name, bytes, refused, read);
    EXPECT(quality || read == 0, "%d of the flips in a PNG, whose chunks have checksums, were read", read);
    mem_free(data);
    image_free(&image);
}

static void expect_refused(const uint8_t *data, size_t bytes, const char *text)
{
    struct error err = {0};
    struct image got;
    EXPECT(image_decode(&got, data, bytes, "x", NULL, &err) == -1, "%s was read", text);
    EXPECT_TEXT(err.message, text);
}

static void test_refusals(void)
{
    /* A PNG header that claims 60000 x 60000, right checksum: refused before anything is allocated. */
    static const uint8_t huge[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0, 0, 0xEA, 0x60, 0, 0,
                                   0xEA, 0x60, 8, 0, 0, 0, 0, 0xA5, 0xB9, 0x2A, 0x9E, 0, 0, 0, 1, 'I', 'D', 'A', 'T'};
    expect_refused(huge, 0, "an empty file");
    expect_refused(huge, sizeof huge, "60000x60000 pixels are more than 64 megapixels");
    expect_refused((const uint8_t *)"GIF89a........", 14, "neither PNG, JPEG, TIFF nor DICOM");
}

static void decode_file(struct image *got, const char *name)
{
    struct error err = {0};
    uint8_t *data;
    size_t bytes;
    read_file(name, &data, &bytes);
    EXPECT(image_decode(got, data, bytes, name, NULL, &err) == 0, "%s", err.message);
    mem_free(data);
}

static void test_grey(void)
{
    struct image grey = make_image(5, 4, 1, false), rgb = {5, 4, 3, mem_alloc(60)}, got;
    for (int i = 0; i < 60; i++) rgb.pixels[i] = grey.pixels[i / 3];
    write_file("grey.png", &rgb, 0);
    decode_file(&got, "grey.png");
    EXPECT(got.channels == 1 && memcmp(got.pixels, grey.pixels, 20) == 0, "equal planes become one");
    image_free(&got);
    rgb.pixels[59] ^= 1;
    write_file("grey.png", &rgb, 0);
    decode_file(&got, "grey.png");
    EXPECT(got.channels == 3 && memcmp(got.pixels, rgb.pixels, 60) == 0, "one differing value keeps the colours");
    image_free(&got);
    image_free(&rgb);
    image_free(&grey);
}

static void test_resize(const char *tests)
{
    char *path = path_join(tests, "reference/resize.txt"), line[256];
    FILE *f = fopen(path, "r");
    int lines = 0;
    EXPECT(f != NULL, "%s", path);
    while (f && fgets(line, sizeof line, f)) {
        int channels, width, height, new_width, new_height;
        char want[65], hex[65];
        uint8_t digest[32];
        if (*line == '#') continue;
        EXPECT(sscanf(line, "%d %d %d %d %d %64s", &channels, &width, &height, &new_width, &new_height, want) == 6, "%s", line);
        struct image in = {height, width, channels, mem_alloc((size_t)(channels * width * height))}, out;
        uint32_t state = (uint32_t)(channels * 1000003 + width * 1009 + height);
        for (int i = 0; i < channels * width * height; i++) {
            state = state * 1664525u + 1013904223u;
            in.pixels[i] = (uint8_t)(state >> 24);
        }
        image_resize(&out, &in, new_height, new_width);
        sha256_of(digest, out.pixels, (size_t)(channels * new_width * new_height));
        hash_hex(hex, digest);
        EXPECT(strcmp(hex, want) == 0, "%d channels, %dx%d -> %dx%d is not Pillow's", channels, width, height, new_width, new_height);
        image_free(&in);
        image_free(&out);
        lines++;
    }
    EXPECT(lines == 28, "%d lines", lines);
    if (f) fclose(f);
    mem_free(path);
}

/* Pillow writes kinds of files that we do not, and says what it reads in them: see the script. */
static void test_kinds(const char *tests)
{
    struct error err = {0};
    char *command = mem_format("/usr/bin/python3 '%s/reference/make_kinds.py' '%s'", tests, folder);
    int status = system(command);
    mem_free(command);
    if (status) {
        printf("skipped: the kinds of PNG and JPEG files (make_kinds.py: status %d; is Pillow installed?)\n", WEXITSTATUS(status));
        EXPECT(WEXITSTATUS(status) == 77, " ");
        return;
    }
    char *list = path_join(folder, "kinds.txt"), line[256];
    FILE *f = fopen(list, "r");
    int lines = 0;
    while (f && fgets(line, sizeof line, f)) {
        char name[64], want[65], hex[65] = "";
        int channels;
        uint8_t *data, digest[32];
        size_t bytes;
        struct image got;
        EXPECT(sscanf(line, "%63s %d %64s", name, &channels, want) == 3, "%s", line);
        read_file(name, &data, &bytes);
        int refused = image_decode(&got, data, bytes, name, NULL, &err);
        if (!refused) {
            sha256_of(digest, got.pixels, (size_t)(got.height * got.width * got.channels));
            hash_hex(hex, digest);
            EXPECT(got.channels == channels, "%s: %d channels", name, got.channels);
        }
        EXPECT(refused ? !strcmp(want, "refused") : !strcmp(hex, want), "%s: %s", name, refused ? err.message : "other pixels than Pillow's");
        image_free(&got);
        mem_free(data);
        lines++;
    }
    printf("%d kinds of files compared with Pillow\n", lines);
    EXPECT(lines >= 12, "%d kinds", lines);
    if (f) fclose(f);
    mem_free(list);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    EXPECT(mkdtemp(folder) != NULL, "no temporary folder");
    test_round_trips();
    test_damage("d.png", 0);
    test_damage("d.jpg", 80);
    test_refusals();
    test_grey();
    if (argc > 1) test_resize(argv[1]);
    if (argc > 1) test_kinds(argv[1]);
    EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    return check_verdict();
}
