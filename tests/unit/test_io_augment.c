/* ctest: data
 * Augmentation against torchvision and Pillow (tests/reference/make_augment.py), its bounds, its determinism, its speed.
 *
 * Tolerance of the comparison: 1.5 levels of 255. Both sides resample a picture that is piecewise straight; they differ
 * where two passes smooth its creases twice and one pass once. The picture changes by about 4 levels per pixel, so half
 * a pixel of shift fails. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "io/load/augment.h"
#include "tests/unit/check.h"

enum { SIZE = 224, STEP = 31, FIRST = 3 };

static int wave(int v, int period)
{
    v = ((v % period) + period) % period;
    return 127 * (v < period - v ? v : period - v) * 2 / period;
}

static struct image make_picture(int height, int width, int channels)
{
    struct image image = {height, width, channels, mem_alloc((size_t)(height * width * channels))};
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            int rgb[3] = {wave(x, 74) + wave(y + 11, 90), wave(x + y, 101) + wave(2 * x + 300 - y, 160),
                          255 - wave(x + 20, 130) - wave(y, 66)};
            for (int c = 0; c < channels; c++) {
                image.pixels[(y * width + x) * channels + c] = (uint8_t)rgb[c];
            }
        }
    }
    return image;
}

static double level(const float *planes, int size, int c, int y, int x)
{
    return (planes[(c * size + y) * size + x] * imagenet_deviation[c] + imagenet_mean[c]) * 255;
}

static struct augment recipe(enum augment_recipe which)
{
    struct augment a = {which, SIZE, 0.5, 0.8, 1.2, 0.2, 0.5, 256, 1};
    return a;
}

/* One case of the reference file; returns the largest difference in levels of 255. */
static double compare_case(FILE *f, int height, int width, int channels, const struct augment_map *map)
{
    struct image image = make_picture(height, width, channels);
    float *planes = mem_alloc(sizeof(float) * 3 * SIZE * SIZE);
    augment_map_apply(planes, SIZE, map, &image);
    double worst = 0;
    for (int y = FIRST; y < SIZE; y += STEP) {
        for (int x = FIRST; x < SIZE; x += STEP) {
            for (int c = 0; c < channels; c++) {
                double want;
                EXPECT(fscanf(f, "%lf", &want) == 1, "short file");
                worst = fmax(worst, fabs(level(planes, SIZE, c, y, x) - want * 255));
            }
        }
    }
    mem_free(planes);
    mem_free(image.pixels);
    return worst;
}

static void test_reference(const char *tests)
{
    char path[512], kind[16];
    snprintf(path, sizeof path, "%s/reference/augment.txt", tests);
    FILE *f = fopen(path, "r");
    EXPECT(f != NULL, "%s", path);
    int height, width, channels, flip, cases = 0;
    double scale, shear;
    while (f && fscanf(f, "%15s %d %d %d %lf %lf %d", kind, &height, &width, &channels, &scale, &shear, &flip) == 7) {
        struct augment_map map;
        struct augment a = recipe(AUGMENT_NONE);
        if (strcmp(kind, "affine") == 0) {
            augment_map_affine(&map, SIZE, height, width, scale, shear, flip);
        } else {
            augment_map_draw(&map, &a, height, width, false, 0, 0);
        }
        double worst = compare_case(f, height, width, channels, &map);
        EXPECT(worst <= 1.5, "%s %dx%dx%d scale %g shear %g flip %d: %g levels", kind, height, width, channels, scale, shear,
               flip, worst);
        printf("%s %dx%dx%d: largest difference %.2f levels\n", kind, width, height, channels, worst);
        cases++;
    }
    EXPECT(cases == 8, "%d cases", cases);
    if (f) {
        fclose(f);
    }
}

/* Every drawn map keeps to the recipe's bounds, and the two flips are equally frequent. */
static void test_draw(void)
{
    struct augment a = recipe(AUGMENT_AFFINE), crop = recipe(AUGMENT_CROP);
    int flips = 0;
    double low = 9, high = 0, area_low = 9, area_high = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        struct augment_map m, again;
        augment_map_draw(&m, &a, 256, 256, true, 3, i);
        augment_map_draw(&again, &a, 256, 256, true, 3, i);
        EXPECT(memcmp(&m, &again, sizeof m) == 0, "the same question has the same answer");
        double scale = 256.0 / SIZE / m.y_row;
        low = fmin(low, scale);
        high = fmax(high, scale);
        flips += m.x_column < 0;
        EXPECT(fabs(m.x_row) <= tan(0.2 * 3.14159265 / 180) * m.y_row + 1e-9, "shear %g", m.x_row);
        augment_map_draw(&m, &crop, 256, 256, true, 3, i);
        double w = fabs(m.x_column) * SIZE, h = m.y_row * SIZE, left = m.x_column < 0 ? m.x0 - w : m.x0;
        EXPECT(left >= -1e-6 && left + w <= 256 + 1e-6 && m.y0 >= 0 && m.y0 + h <= 256 + 1e-6, "crop leaves");
        EXPECT(w / h > 0.74 && w / h < 1.35, "aspect %g", w / h);
        area_low = fmin(area_low, w * h / 65536);
        area_high = fmax(area_high, w * h / 65536);
    }
    EXPECT(low >= 0.8 && low < 0.81 && high <= 1.2 && high > 1.19, "scales %g..%g", low, high);
    EXPECT(area_low > 0.49 && area_low < 0.52 && area_high > 0.95 && area_high <= 1, "areas %g..%g", area_low, area_high);
    EXPECT(flips > 900 && flips < 1100, "%d of 2000 flipped", flips);
}

static void test_edges(void)
{
    struct image image = make_picture(61, 148, 1), white = make_picture(256, 256, 1);
    memset(white.pixels, 255, 256 * 256);
    float *a = mem_alloc(sizeof(float) * 3 * SIZE * SIZE), *b = mem_alloc(sizeof(float) * 3 * SIZE * SIZE);
    struct augment none = recipe(AUGMENT_NONE), affine = recipe(AUGMENT_AFFINE);
    augment_apply(a, &none, &image, false, 0, 0);
    augment_apply(b, &affine, &image, false, 5, 9);
    EXPECT(memcmp(a, b, sizeof(float) * 3 * SIZE * SIZE) == 0, "evaluation draws nothing");
    struct augment_map map;
    augment_map_affine(&map, SIZE, 256, 256, 0.8, 0, false);
    augment_map_apply(a, SIZE, &map, &white);
    for (int c = 0; c < 3; c++) { /* 0.8 of 224 is 179.2: columns 23..200 are inside, 22 and 201 outside */
        EXPECT_NEAR(level(a, SIZE, c, 112, 21), 0, 1e-3);
        EXPECT_NEAR(level(a, SIZE, c, 112, 23), 255, 1e-3);
        EXPECT_NEAR(level(a, SIZE, c, 112, 200), 255, 1e-3);
        EXPECT_NEAR(level(a, SIZE, c, 21, 112), 0, 1e-3);
        EXPECT_NEAR(level(a, SIZE, c, 202, 112), 0, 1e-3);
    }
    /* One row of very many pixels: the filter is far wider than its table of fractions. */
    struct image strip = {1, 200000, 1, mem_zero(200000)};
    memset(strip.pixels + 100000, 200, 100000);
    augment_apply(a, &none, &strip, false, 0, 0);
    EXPECT_NEAR(level(a, SIZE, 0, 5, 20), 0, 0.01);
    EXPECT_NEAR(level(a, SIZE, 0, 200, 200), 200, 0.01);
    mem_free(strip.pixels);
    mem_free(a);
    mem_free(b);
    mem_free(image.pixels);
    mem_free(white.pixels);
}

/* Same size in and out is the identity: the stored levels come back. */
static void test_identity(void)
{
    struct image image = make_picture(SIZE, SIZE, 3);
    struct augment none = recipe(AUGMENT_NONE);
    float *planes = mem_alloc(sizeof(float) * 3 * SIZE * SIZE);
    augment_apply(planes, &none, &image, false, 0, 0);
    double worst = 0;
    for (int i = 0; i < SIZE * SIZE * 3; i++) {
        worst = fmax(worst, fabs(level(planes, SIZE, i % 3, i / 3 / SIZE, i / 3 % SIZE) - image.pixels[i]));
    }
    EXPECT(worst < 1e-3, "%g levels", worst);
    mem_free(planes);
    mem_free(image.pixels);
}

static void print_speed(int channels)
{
    struct image image = make_picture(256, 256, channels);
    struct augment a = recipe(AUGMENT_AFFINE);
    float *planes = mem_alloc(sizeof(float) * 3 * SIZE * SIZE);
    double best = 1e9;
    for (uint64_t i = 0; i < 200; i++) {
        double start = clock_s();
        augment_apply(planes, &a, &image, true, 1, i);
        best = fmin(best, clock_s() - start);
    }
    printf("256x256x%d -> 224x224: %.3f ms (best of 200)\n", channels, best * 1e3);
    mem_free(planes);
    mem_free(image.pixels);
}

int main(int argc, char **argv)
{
    test_reference(argc > 1 ? argv[1] : "tests");
    test_draw();
    test_edges();
    test_identity();
    print_speed(1);
    print_speed(3);
    return check_verdict();
}
