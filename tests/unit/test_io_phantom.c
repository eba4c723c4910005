/* The phantom set: Table 1's counts, the tables' formats and their agreement with each other and with the files, the same
 * bytes for any number of threads, and that brightness alone does not give the class away. */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "io/csv.h"
#include "io/phantom/phantom.h"
#include "io/phantom/phantom_plan.h"
#include "tests/unit/check.h"

static const int table1[2][2][2][SPLIT_COUNT] = { /* [D0, both][covid][images, patients] */
    {{{238, 58, 105}, {109, 24, 42}}, {{187, 60, 98}, {126, 32, 54}}},
    {{{398, 97, 165}, {215, 44, 80}}, {{340, 81, 143}, {169, 34, 66}}},
};

static void make_plan(struct phantom_plan *plan, enum phantom_set set, double scale)
{
    struct phantom_options options = {.seed = 1, .set = set, .scale = scale};
    phantom_plan_make(plan, &options);
}

/* A patient's rows stand together: a new name is a new patient. */
static void count_plan(const struct phantom_plan *plan, int covid, int split, int *images, int *patients)
{
    const char *last = "";
    *images = *patients = 0;
    for (int i = 0; i < plan->count; i++) {
        const struct phantom_row *row = &plan->rows[i];
        if (row->what.covid == covid && (int)row->split == split) {
            *images += 1;
            *patients += strcmp(last, row->patient) != 0;
            last = row->patient;
        }
    }
}

static void test_table1(void)
{
    for (int both = 0; both < 2; both++) {
        struct phantom_plan plan;
        make_plan(&plan, both ? PHANTOM_BOTH : PHANTOM_D0, 1);
        for (int covid = 0; covid < 2; covid++) {
            for (int split = 0; split < SPLIT_COUNT; split++) {
                int images, patients;
                count_plan(&plan, covid, split, &images, &patients);
                EXPECT(images == table1[both][covid][0][split] && patients == table1[both][covid][1][split],
                       "both %d covid %d %s: %d (%d)", both, covid, split_names[split], images, patients);
            }
        }
        phantom_plan_free(&plan);
    }
    struct phantom_plan plan;
    make_plan(&plan, PHANTOM_D1, 1);
    EXPECT(plan.count == 219 + 259 && plan.patients[1] == 57 && plan.patients[0] == 164, "D1: %d (%d, %d)", plan.count,
           plan.patients[1], plan.patients[0]);
    phantom_plan_free(&plan);
}

/* D0's lesions per split, from the published files; per image 0, 1, 2, 3 of them (four without any left out in train). */
static void test_lesions(void)
{
    static const int want[SPLIT_COUNT][LESION_COUNT] = {{108, 51, 11, 8, 12}, {37, 10, 0, 0, 0}, {66, 18, 4, 3, 0}};
    static const int histogram_want[6] = {107, 157, 72, 9, 0, 0};
    struct phantom_plan plan;
    int got[SPLIT_COUNT][LESION_COUNT] = {{0}}, histogram[6] = {0};
    make_plan(&plan, PHANTOM_D0, 1);
    for (int i = 0; i < plan.count; i++) {
        const struct phantom_row *row = &plan.rows[i];
        int sum = 0;
        for (int l = 0; l < LESION_COUNT; l++) {
            got[row->split][l] += row->what.lesion[l];
            sum += row->what.lesion[l];
        }
        EXPECT(row->what.covid || sum == 0, "a negative has a lesion label");
        histogram[sum] += row->what.covid;
    }
    EXPECT(memcmp(got, want, sizeof want) == 0, "train GGO %d", got[0][0]);
    EXPECT(memcmp(histogram, histogram_want, sizeof histogram) == 0, "%d %d %d %d", histogram[0], histogram[1], histogram[2],
           histogram[3]);
    phantom_plan_free(&plan);
}

/* ---- brightness ---- */

static double auc(const double *score, const int *positive, int count)
{
    double wins = 0, pairs = 0;
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < count; j++) {
            if (positive[i] && !positive[j]) {
                wins += score[i] > score[j] ? 1 : score[i] == score[j] ? 0.5 : 0;
                pairs++;
            }
        }
    }
    return wins / pairs;
}

/* Mean grey level and its deviation, of all of D0 drawn small: neither may tell the classes apart. */
static void test_brightness(void)
{
    struct phantom_plan plan;
    make_plan(&plan, PHANTOM_D0, 1);
    double *mean = NEW_ARRAY(double, plan.count), *spread = NEW_ARRAY(double, plan.count);
    int *positive = NEW_ARRAY(int, plan.count);
    for (int i = 0; i < plan.count; i++) {
        struct image image;
        phantom_draw(&image, &plan.rows[i].what, 60, 85);
        double sum = 0, squares = 0, count = image.height * image.width;
        for (int p = 0; p < (int)count; p++) {
            sum += image.pixels[p];
            squares += image.pixels[p] * image.pixels[p];
        }
        mean[i] = sum / count;
        spread[i] = sqrt(squares / count - mean[i] * mean[i]);
        positive[i] = plan.rows[i].what.covid;
        image_free(&image);
    }
    double by_mean = auc(mean, positive, plan.count), by_spread = auc(spread, positive, plan.count);
    printf("AUC by mean grey level %.3f, by deviation %.3f\n", by_mean, by_spread);
    EXPECT(by_mean > 0.35 && by_mean < 0.65, "AUC by mean %.3f", by_mean);
    EXPECT(by_spread > 0.35 && by_spread < 0.65, "AUC by deviation %.3f", by_spread);
    mem_free(mean);
    mem_free(spread);
    mem_free(positive);
    phantom_plan_free(&plan);
}

/* ---- the folder ---- */

static void hash_folder(struct sha256 *all, const char *folder)
{
    struct error err = {"", ""};
    char **names;
    int count;
    EXPECT(folder_list(&names, &count, folder, &err) == 0, "%s", err.message);
    for (int i = 0; i < count; i++) {
        char *path = path_join(folder, names[i]);
        uint8_t digest[32];
        if (path_is_folder(path)) {
            hash_folder(all, path);
        } else {
            EXPECT(sha256_file(digest, path, &err) == 0, "%s", err.message);
            sha256_add(all, names[i], strlen(names[i]));
            sha256_add(all, digest, sizeof digest);
        }
        mem_free(path);
    }
    folder_list_free(names, count);
}

static void write_set(const char *out, int threads, uint64_t seed, uint8_t digest[32])
{
    struct phantom_options options = {.out = out, .seed = seed, .set = PHANTOM_BOTH, .scale = 0.03, .threads = threads};
    struct error err = {"", ""};
    struct sha256 all;
    EXPECT(phantom_write(&options, &err) == 0, "%s", err.message);
    sha256_start(&all);
    hash_folder(&all, out);
    sha256_end(&all, digest);
}

static void test_threads(const char *out)
{
    uint8_t one[32], other[32];
    write_set(out, 1, 4, one);
    for (int threads = 2; threads <= 5; threads += 3) {
        write_set(out, threads, 4, other);
        EXPECT(memcmp(one, other, sizeof one) == 0, "%d threads write other bytes", threads);
    }
    write_set(out, 2, 5, other);
    EXPECT(memcmp(one, other, sizeof one) != 0, "another seed, the same bytes");
}

static void read_table(struct csv *csv, const char *folder, const char *name)
{
    struct error err = {"", ""};
    char *path = path_join(folder, name);
    EXPECT(csv_read(csv, path, &err) == 0, "%s", err.message);
    mem_free(path);
}

static int find_row(const struct csv *csv, int column, const char *name)
{
    for (int i = 1; i < csv->count; i++) {
        size_t length = strlen(csv->rows[i].fields[column]);
        if (length && strncmp(csv->rows[i].fields[column], name, length) == 0 &&
            (name[length] == 0 || strcmp(name + length, ".png") == 0)) {
            return i;
        }
    }
    return -1;
}

/* Counts by what the bytes of an image file are; -1 for a file that cannot be decoded. */
static int decode(const char *folder, const char *subfolder, const char *name, bool *jpeg)
{
    struct error err = {"", ""};
    struct image image = {0, 0, 0, NULL};
    char *path = mem_format("%s/%s/%s", folder, subfolder, name);
    uint8_t *data = NULL;
    size_t bytes = 0;
    int status = file_read(&data, &bytes, path, &err) || image_decode(&image, data, bytes, name, NULL, &err);
    EXPECT(status == 0 && image.height >= 61 && image.width >= 148, "%s: %dx%d %s", path, image.width, image.height, err.message);
    *jpeg = !status && image_format_of(data, bytes) == IMAGE_JPEG;
    image_free(&image);
    mem_free(data);
    mem_free(path);
    return status;
}

struct totals {
    int images, jpeg_png, bare;
};

/* Every row of a split table is in its class's table with the same labels, and its file decodes. */
static void check_split(const char *out, const char *name, const struct csv *positives, const struct csv *negatives,
                        struct totals *totals)
{
    struct csv csv;
    read_table(&csv, out, name);
    EXPECT(csv.count > 1 && strcmp(csv.rows[0].fields[0], "imgname") == 0 && csv.rows[0].count == 7, "%s: header", name);
    for (int i = 1; i < csv.count; i++) {
        char **f = csv.rows[i].fields;
        bool covid = *f[1] != 0, jpeg;
        int at = covid ? find_row(positives, 0, f[0]) : find_row(negatives, 1, f[0]);
        EXPECT(at > 0, "%s is in no table", f[0]);
        for (int l = 0; covid && at > 0 && l < LESION_COUNT; l++) {
            const char *label = f[2 + l];
            EXPECT(strcmp(label, positives->rows[at].fields[3 + l]) == 0, "%s: labels differ", f[0]);
            EXPECT(*label == 0 || lesion_from_name(label) == l, "%s: %s", f[0], label);
        }
        totals->bare += covid && at > 0 && strcmp(f[0], positives->rows[at].fields[0]) != 0;
        decode(out, covid ? "CT_COVID" : "CT_NonCOVID", f[0], &jpeg);
        totals->jpeg_png += jpeg && strstr(f[0], ".png") != NULL;
        totals->images++;
    }
    csv_free(&csv);
}

static void test_tables(const char *out)
{
    struct csv positives, negatives;
    struct totals totals = {0, 0, 0};
    struct phantom_plan plan;
    int captions = 0;
    read_table(&positives, out, "COVID-CT-MetaInfo_new.csv");
    read_table(&negatives, out, "NonCOVID-CT-MetaInfo.csv");
    EXPECT(positives.latin1, "stray bytes make the table Latin-1");
    for (int i = 0; i < positives.count; i++) {
        EXPECT(positives.rows[i].count == 9, "line %d has %d fields", positives.rows[i].line, positives.rows[i].count);
        captions += positives.rows[i].count == 9 && strpbrk(positives.rows[i].fields[8], "\n") != NULL;
    }
    EXPECT(captions > 0, "captions have line breaks");
    check_split(out, "train_meta.csv", &positives, &negatives, &totals);
    check_split(out, "val_meta.csv", &positives, &negatives, &totals);
    check_split(out, "test_meta.csv", &positives, &negatives, &totals);
    make_plan(&plan, PHANTOM_BOTH, 0.03);
    EXPECT(totals.images == plan.count && totals.images == positives.count + negatives.count - 2, "%d images", totals.images);
    EXPECT(totals.bare > 0 && totals.jpeg_png > 0, "%d names without extension, %d JPEG files named .png", totals.bare,
           totals.jpeg_png);
    phantom_plan_free(&plan);
    csv_free(&positives);
    csv_free(&negatives);
}

/* A folder with images that are not marked SYNTHETIC is left alone. */
static void test_refusal(const char *out)
{
    struct phantom_options options = {.out = out, .seed = 1, .set = PHANTOM_D0, .scale = 0.01, .threads = 1};
    struct error err = {"", ""};
    char *note = path_join(out, "SYNTHETIC"), *table = path_join(out, "CT_COVID");
    EXPECT(unlink(note) == 0, "%s", note);
    EXPECT(phantom_write(&options, &err) == -1, "real images would have been overwritten");
    EXPECT_TEXT(err.message, "not marked SYNTHETIC");
    EXPECT(path_exists(table), "%s is gone", table);
    mem_free(note);
    mem_free(table);
}

int main(void)
{
    const char *temporary = getenv("TMPDIR");
    char *out = mem_format("%s/ladnn-phantom-XXXXXX", temporary ? temporary : "/tmp");
    struct error err = {"", ""};
    if (!mkdtemp(out)) {
        perror(out);
        return 1;
    }
    test_table1();
    test_lesions();
    test_brightness();
    test_threads(out);
    test_tables(out);
    test_refusal(out);
    EXPECT(folder_remove(out, &err) == 0, "%s", err.message);
    mem_free(out);
    return check_verdict();
}
