/* ctest: timeout=300
 * Packing a folder of made pictures: what is bad is left out and listed, what is strict stops, a packing replaces the
 * earlier one whole; and, where the real data set lies beside the project, its counts. */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "dist/comm.h"
#include "io/shard/dataset_summary.h"
#include "io/pack/pack.h"
#include "tests/unit/check.h"

enum { PICTURES = 12 };
static char folder[] = "/tmp/test-io-pack-XXXXXX";
static char *images, *out, *csv;
static struct comm *comm;

static struct image draw(int i)
{
    struct image image = {20 + i, 30 + i, i == 3 ? 3 : 1, NULL};
    size_t bytes = (size_t)(image.height * image.width * image.channels);
    image.pixels = mem_alloc(bytes);
    for (size_t b = 0; b < bytes; b++) image.pixels[b] = (uint8_t)(b * 7 + (size_t)i * 31 + b / 97);
    return image;
}

/* img0.png ... : 4 is cut, 5 is JPEG data in a .png, 7 the same file as 6, 8 has no row. */
static void make_folder(void)
{
    struct error err = {0};
    struct text rows = {0};
    text_add(&rows, "file,patient,split,covid,GGO,Csld,CrPa,AirBr,InSepThi\n");
    EXPECT(folder_create(images, &err) == 0, "%s", err.message);
    for (int i = 0; i < PICTURES; i++) {
        struct image image = draw(i == 7 ? 6 : i);
        char *name = mem_format("img%d.png", i), *path = path_join(images, name);
        EXPECT((i == 5 ? image_write_jpeg(path, &image, 90, &err) : image_write_png(path, &image, &err)) == 0, "%s", err.message);
        if (i == 4) EXPECT(truncate(path, 100) == 0, " ");
        if (i != 8) text_add(&rows, "%s,P%d,%s,%d,%d,,,,\n", name, i, split_names[i % 3], i % 2, i % 2);
        image_free(&image);
        mem_free(path);
        mem_free(name);
    }
    EXPECT(file_write_atomic(csv, rows.data, rows.length, &err) == 0, "%s", err.message);
    text_free(&rows);
}

static struct pack_options options(void)
{
    return (struct pack_options){.folder = images, .manifest = csv, .out = out, .name = "t", .size = 16, .comm = comm};
}

static int count_files(const char *path)
{
    char **names;
    int count = 0;
    if (folder_list(&names, &count, path, NULL)) return -1;
    int visible = 0;
    for (int i = 0; i < count; i++) visible += *names[i] != '.';
    folder_list_free(names, count);
    return visible;
}

static void test_pack(void)
{
    struct error err = {0};
    struct pack_result r;
    struct pack_options o = options();
    EXPECT(pack_run(&r, &o, &err) == 0, "%s", err.message);
    EXPECT(r.bad == 1 && r.misnamed == 1 && r.duplicates == 1, "%d %d %d", (int)r.bad, (int)r.misnamed, (int)r.duplicates);
    EXPECT(r.images[0] == 4 && r.images[1] == 3 && r.images[2] == 3, "%d %d %d", (int)r.images[0], (int)r.images[1], (int)r.images[2]);
    EXPECT_TEXT(r.report.data, "img4.png: damaged PNG");
    EXPECT_TEXT(r.report.data, "img5.png holds JPEG data");
    EXPECT_TEXT(r.report.data, "img6.png (train) and img7.png (val): ACROSS SPLITS: WITH DIFFERENT LABELS");
    EXPECT_TEXT(r.report.data, "img8.png");
    text_free(&r.report);
    EXPECT(count_files(out) == 4, "three shards and a report, %d", count_files(out));

    struct dataset *d = dataset_open(out, &err);
    EXPECT(d != NULL, "%s", err.message);
    struct image got = {0}, picture = draw(3), small;
    image_resize(&small, &picture, 16, 16);
    const struct shard_item *item = dataset_item(d, SPLIT_TRAIN, 1);
    EXPECT(!strcmp(item->file, "img3.png") && item->channels == 3 && item->covid == 1, "%s", item->file);
    EXPECT(dataset_item(d, SPLIT_TEST, 0)->channels == 1, "a shard without colour is grey");
    EXPECT(dataset_read(d, SPLIT_TRAIN, 1, &got, &err) == 0 && !memcmp(got.pixels, small.pixels, 16 * 16 * 3), "%s", err.message);
    image_free(&got), image_free(&picture), image_free(&small);
    dataset_close(d);
}

static void test_replacing(void)
{
    struct error err = {0};
    struct pack_result r;
    struct pack_options o = options();
    o.shards = 2;
    EXPECT(pack_run(&r, &o, &err) == 0, "%s", err.message);
    text_free(&r.report);
    EXPECT(count_files(out) == 7, "six shards and a report, none of the earlier packing, %d", count_files(out));
    o.size = 0;
    o.shards = 1;
    EXPECT(pack_run(&r, &o, &err) == 0, "%s", err.message);
    text_free(&r.report);
    struct dataset *d = dataset_open(out, &err);
    struct image got = {0}, picture = draw(9);
    EXPECT(d && dataset_read(d, SPLIT_TRAIN, 3, &got, &err) == 0, "%s", err.message);
    EXPECT(got.height == 29 && got.width == 39 && got.channels == 1 && !memcmp(got.pixels, picture.pixels, 29 * 39), "original size");
    image_free(&got), image_free(&picture);
    dataset_close(d);
    o.name = "other";
    EXPECT(pack_run(&r, &o, &err) == -1, " ");
    EXPECT_TEXT(err.message, "holds another data set");
    text_free(&r.report);
    o.name = "t", o.strict = true;
    EXPECT(pack_run(&r, &o, &err) == -1, " ");
    EXPECT_TEXT(err.message, "strict: ");
    EXPECT_TEXT(err.message, "img4.png: damaged PNG");
    text_free(&r.report);
    EXPECT(count_files(out) == 4, "a refused packing leaves the earlier one, %d", count_files(out));
}

/* The same input makes the same bytes. */
static void test_repeatable(void)
{
    struct error err = {0};
    uint8_t a[32], b[32];
    char *path = path_join(out, "t-train-00000-of-00001.h5");
    struct pack_result r;
    struct pack_options o = options();
    EXPECT(pack_run(&r, &o, &err) == 0 && sha256_file(a, path, &err) == 0, "%s", err.message);
    text_free(&r.report);
    EXPECT(pack_run(&r, &o, &err) == 0 && sha256_file(b, path, &err) == 0, "%s", err.message);
    text_free(&r.report);
    EXPECT(!memcmp(a, b, 32), " ");
    mem_free(path);
}

/* The numbers of the data set's own description. */
static void test_covid_ct(const char *tests)
{
    static const int64_t images_of[3] = {425, 118, 203}, covid[3] = {191, 60, 98}, patients[3] = {234, 55, 95}, positive[3] = {129, 31, 53};
    static const int64_t lesions[3][LESION_COUNT] = {{108, 51, 11, 8, 12}, {37, 10, 0, 0, 0}, {66, 18, 4, 3, 0}};
    struct error err = {0};
    struct pack_result r;
    struct split_summary s[SPLIT_COUNT];
    char *data = path_join(tests, "../../shared/data/covid-ct"), *to = path_join(folder, "d0");
    struct pack_options o = {.folder = data, .preset = PRESET_COVID_CT, .out = to, .name = "d0", .size = 32, .comm = comm};
    if (!path_is_folder(data)) {
        printf("skipped: the real data set is not at %s\n", data);
    } else {
        EXPECT(pack_run(&r, &o, &err) == 0, "%s", err.message);
        EXPECT(r.misnamed == 34 && r.bad == 0 && r.duplicates == 0, "%d mis-named, %d bad", (int)r.misnamed, (int)r.bad);
        EXPECT_TEXT(r.report.data, "lacks its extension, matched: 83\n");
        EXPECT_TEXT(r.report.data, "more than one split: 2 ");
        text_free(&r.report);
        struct dataset *d = dataset_open(to, &err);
        EXPECT(d != NULL, "%s", err.message);
        if (d) dataset_summarise(s, d);
        for (int i = 0; i < SPLIT_COUNT && d; i++) {
            EXPECT(s[i].images == images_of[i] && s[i].covid == covid[i], "%s", split_names[i]);
            EXPECT(s[i].patients == patients[i] && s[i].covid_patients == positive[i], "%s", split_names[i]);
            EXPECT(!memcmp(s[i].lesion, lesions[i], sizeof lesions[i]), "%s", split_names[i]);
        }
        dataset_close(d);
        o.by_figure = true;
        EXPECT(pack_run(&r, &o, &err) == -1, "figures across splits were taken");
        EXPECT_TEXT(err.message, "figure '2020.03.12.20034686-p17-91' is in two splits");
        text_free(&r.report);
    }
    mem_free(data);
    mem_free(to);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    EXPECT(mkdtemp(folder) != NULL, "no temporary folder");
    images = path_join(folder, "images"), out = path_join(folder, "out"), csv = path_join(folder, "m.csv");
    comm = comm_open("self", 60, &err);
    make_folder();
    test_pack();
    test_replacing();
    test_repeatable();
    if (argc > 1) test_covid_ct(argv[1]);
    comm_close(comm);
    mem_free(images), mem_free(out), mem_free(csv);
    EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    return check_verdict();
}
