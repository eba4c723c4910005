/* ctest: timeout=600 */
/* test_io_weights.c - files of weights as torch wrote them (tests/reference/make_weights.py) give the numbers that torch finds in them; pickles that
 * ask for code, that go round in circles or that announce more than they hold are refused with a message; files cut anywhere are, too; damaged
 * ones never crash (this runs under AddressSanitizer and UBSan). LADNN_MUTATIONS=N takes another number, LADNN_MUTATIONS_SEED=S others. */
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "io/weights/pickle.h"
#include "io/weights/weights_file.h"
#include "tests/tools/mutate.h"
#include "tests/unit/check.h"

enum { ELEMENTS_ROOM = 1 << 16 };
static const char *const names[] = {"all.safetensors", "all.pth", "all-old.pth", "zip64.pth", "all.tar", "nested.pth", "parameters.pth", "protocol4.pth"};
enum { FILES = sizeof names / sizeof *names };
static struct bytes files[FILES];
static const char *tests_folder;

static struct bytes load(const char *name)
{
    struct bytes b;
    struct error err;
    char *path = mem_format("%s/reference/weights/%s", tests_folder, name);
    CHECK(!file_read(&b.data, &b.count, path, &err), "%s", err.message);
    mem_free(path);
    return b;
}

/* ---- what torch finds ---- */

static float expected(char **rest)
{
    char *end;
    float value = strtof(*rest, &end);
    EXPECT(end != *rest, "a value is missing");
    *rest = end;
    return value;
}

static void compare_tensor(struct weights_file *f, int i, char *line)
{
    static float values[ELEMENTS_ROOM];
    struct error err;
    char *tab = strchr(line, '\t'), type[8];
    int ndim, used;
    CHECK(tab && sscanf(tab, "%7s %d%n", type, &ndim, &used) == 2, "bad line: %s", line);
    *tab = 0;
    if (i >= weights_file_count(f)) return;
    const struct weights_tensor *t = weights_file_tensor(f, i);
    EXPECT(!strcmp(t->name, line) && !strcmp(weights_type_names[t->type], type) && t->ndim == ndim, "'%s' %s, torch has '%s' %s", t->name,
           weights_type_names[t->type], line, type);
    char *rest = tab + 1 + used - 1;
    for (int d = 0; d < ndim; d++) EXPECT(t->dims[d] == strtoll(rest, &rest, 10), "%s: dimension %d", line, d);
    EXPECT(!weights_file_read(f, i, values, &err), "%s", err.message);
    for (int64_t k = 0; k < t->elements; k++) {
        float want = expected(&rest);
        EXPECT(!memcmp(&values[k], &want, sizeof want), "%s %d: %.9g, torch has %.9g", line, (int)k, (double)values[k], (double)want);
    }
    EXPECT(strspn(rest, " \n") == strlen(rest), "%s has more values: %s", line, rest);
}

static void test_fixtures(void)
{
    char *path = mem_format("%s/reference/weights.txt", tests_folder), line[4096], name[64];
    FILE *in = fopen(path, "r");
    int seen = 0, count;
    CHECK(in, "%s", path);
    while (fgets(line, sizeof line, in)) {
        struct error err;
        CHECK(sscanf(line, "file %63s %d", name, &count) == 2, "bad line: %s", line);
        char *file = mem_format("%s/reference/weights/%s", tests_folder, name);
        struct weights_file *f = weights_file_open(file, &err);
        EXPECT(f != NULL, "%s", err.message);
        if (f) EXPECT(weights_file_count(f) == count, "%s: %d tensors", name, weights_file_count(f));
        for (int i = 0; i < count; i++) {
            CHECK(fgets(line, sizeof line, in), "%s is short", path);
            if (f) compare_tensor(f, i, line);
        }
        weights_file_close(f);
        mem_free(file);
        seen++;
    }
    EXPECT(seen == FILES, "%d files", seen);
    fclose(in);
    mem_free(path);
}

/* ---- pickles by hand ---- */
#define P(bytes, message) {(const uint8_t *)bytes, sizeof bytes - 1, message}
static const struct { const uint8_t *bytes; size_t count; const char *message; } pickles[] = {
    P("\x80\x02}.", NULL), P("N.", NULL), P("\x80\x02]q\x00h\x00" "a.", NULL), /* a list that holds itself */
    P("\x80\x02}q\x00U\x01" "ah\x00s.", NULL),                                /* and a dictionary */
    P("\x80\x02" "ccollections\nOrderedDict\n)R.", NULL),
    P("\x80\x02" "ccollections\nOrderedDict\n(U\x01" "aK\x01l(h.", "damaged"),
    P("\x80\x02" "ccollections\nOrderedDict\n]](U\x01" "aK\x01" "e" "a\x85R.", NULL), /* as Python 2 wrote it */
    P("\x80\x02" "ccollections\nOrderedDict\n]](U\x01" "a" "e" "a\x85R.", "dictionary of something else"),
    P("\x80\x02" "cposix\nsystem\nU\x04true\x85R.", "posix.system"),
    P("\x80\x02" "cos\nsystem\nU\x04true\x85R.", "os.system"),
    P("\x80\x02" "c__builtin__\neval\nU\x01" "1\x85R.", "__builtin__.eval"),
    P("\x80\x04\x8c\x08" "builtins\x8c\x04" "exec\x93\x8c\x01" "1\x85R.", "builtins.exec"),
    P("\x80\x02" "ctorch\nload\nU\x01" "1\x85R.", "torch.load"),
    P("\x80\x02" "ctorch._utils\n_rebuild_qtensor\n)R.", "_rebuild_qtensor"),
    P("\x80\x02" "cx\x1b[2J\ny\n.", "x\\x1B[2J.y"),                           /* a terminal's command is shown, not sent */
    P("(S'x'\nios\nsystem\n.", "instruction 0x53"), P("(ios\nsystem\n.", "instruction 0x69"),
    P("\x80\x02" "ccollections\nOrderedDict\n)\x81.", "instruction 0x81"),    /* constructs an object */
    P("\x80\x02\x82\x01.", "instruction 0x82"), P("\x80\x05\x97.", "instruction 0x97"), P("Pid\n.", "instruction 0x50"),
    P("\x80\x02" "ctorch\nFloatStorage\n)R.", "calls what is no function"), P("K\x01)R.", "calls what is no function"),
    P("K\x01N\x62.", "sets attributes"), P(".", "takes more"), P("", "ends in the middle"), P("(.", "takes more"), P("0.", "takes more"),
    P("\x86.", "takes more"), P("t.", "mark"), P("e.", "mark"), P("(e.", "adds to what"), P("]u.", "mark"), P("K\x01K\x02" "a.", "adds to what"),
    P("}(K\x01u.", "key without"), P("K\x01s.", "adds to what"), P("h\x00.", "recalls"), P("j\xff\xff\xff\xff.", "recalls"),
    P("Nr\xff\xff\xff\xff.", "remembers"), P("Nr\x00\x10\x00\x00.", "remembers"),
    P("X\xff\xff\xff\x7fhello.", "ends in the middle"), P("\x8d\xff\xff\xff\xff\xff\xff\xff\xffhello.", "ends in the middle"),
    P("T\xff\xff\xff\xffhello.", "ends in the middle"), P("\x8a\x09" "123456789.", "64 bits"), P("\x8b\x04\x00\x00\x00" "1234.", "instruction 0x8b"),
    P("ctorch", "middle of a name"), P("ctorch\nFloat", "middle of a name"), P("K\x01K\x02\x93.", "without a name"),
};

static void test_pickles(void)
{
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++) {
        struct pickle p;
        struct error err = {0};
        uint8_t *copy = mem_alloc(pickles[i].count); /* of its own size, so that reading past its end is seen */
        memcpy(copy, pickles[i].bytes, pickles[i].count);
        int status = pickle_read(&p, copy, pickles[i].count, "x", &err);
        if (pickles[i].message) EXPECT(status == -1 && strstr(err.message, pickles[i].message), "pickle %d: '%s', not '%s'", (int)i, err.message, pickles[i].message);
        else EXPECT(!status, "pickle %d: %s", (int)i, err.message);
        pickle_free(&p);
        mem_free(copy);
    }
}

/* A few megabytes that ask for billions: memory grows with what is there. */
static void test_greedy_pickles(void)
{
    enum { COUNT = 3 << 20 };
    static const char *const ops[] = {"(", "]", ")", "N", "}", "\x88"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct pickle p;
        struct error err = {0};
        uint8_t *many = mem_alloc(COUNT);
        memset(many, ops[i][0], COUNT);
        EXPECT(pickle_read(&p, many, COUNT, "x", &err) == -1 && strstr(err.message, "more objects"), "%s: %s", ops[i], err.message);
        pickle_free(&p);
        mem_free(many);
    }
}

/* ---- whole files ---- */

/* Opens and reads everything; 0, or -1 with err. */
static int read_all(const void *data, size_t count, struct error *err)
{
    struct weights_file *f = weights_memory_open(data, count, "x", err);
    int status = f ? 0 : -1;
    for (int i = 0; f && i < weights_file_count(f) && !status; i++) {
        const struct weights_tensor *t = weights_file_tensor(f, i);
        if (t->type == WEIGHTS_OTHER || t->elements > ELEMENTS_ROOM) continue;
        float *values = mem_alloc(sizeof(float) * (size_t)t->elements);
        status = weights_file_read(f, i, values, err);
        mem_free(values);
    }
    weights_file_close(f);
    return status;
}

static void test_truncated(void)
{
    for (int f = 0; f < FILES; f++) {
        struct error err;
        size_t end = files[f].count;
        if (strstr(names[f], ".tar")) /* ends in blocks of zeros, which nobody needs */
            while (end && !files[f].data[end - 1]) end--;
        EXPECT(read_all(files[f].data, files[f].count, &err) == 0, "%s: %s", names[f], err.message);
        for (size_t count = 0; count < end; count++) {
            uint8_t *copy = mem_alloc(count);
            memcpy(copy, files[f].data, count);
            err = (struct error){0};
            EXPECT(read_all(copy, count, &err) == -1 && *err.message, "%s cut to %d bytes was taken", names[f], (int)count);
            mem_free(copy);
        }
    }
}

/* A file with one part changed must be refused with these words. */
static void refused(const char *what, const void *data, size_t count, const char *words)
{
    struct error err = {0};
    uint8_t *copy = mem_alloc(count);
    memcpy(copy, data, count);
    EXPECT(read_all(copy, count, &err) == -1 && strstr(err.message, words), "%s: '%s', not '%s'", what, err.message, words);
    mem_free(copy);
}

static void refused_header(const char *json, const char *words)
{
    char file[600] = {0};
    uint64_t length = strlen(json);
    memcpy(file, &length, 8);
    memcpy(file + 8, json, length);
    refused(json, file, 8 + length + 8, words); /* 8 bytes of tensors */
}

static void test_safetensors(void)
{
#define ONE(entry) "{\"a\":{" entry "}}"
    refused_header(ONE("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]"), "does not fit");
    refused_header(ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,12]"), "does not fit");
    refused_header(ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]"), "does not fit");
    refused_header(ONE("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]"), "does not fit");
    refused_header(ONE("\"dtype\":\"F32\",\"shape\":[9223372036854775808],\"data_offsets\":[0,8]"), "makes no sense");
    refused_header(ONE("\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]"), "makes no sense");
    refused_header(ONE("\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]"), "makes no sense");
    refused_header(ONE("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"), "belong to no tensor");
    refused_header(ONE("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"), "overlap, or leave a gap");
    refused_header(ONE("\"dtype\":\"F32\",\"shape\":[2]"), "makes no sense");
    refused_header(ONE("\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), "makes no sense");
    refused_header(ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1"), "makes no sense");
    refused_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "there twice");
    refused_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "overlap");
    refused_header("{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "no name");
    refused_header("{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "makes no sense");
    refused_header("{\"a\":[[[[[[]]]]]]}", "makes no sense");
    refused_header("{", "makes no sense");
    refused_header("{}", "belong to no tensor");
#undef ONE
    static const char huge[] = "\xff\xff\xff\xff\xff\xff\xff\x7f{}";
    refused("a header of 2^63 bytes", huge, sizeof huge - 1, "more than any network");
    refused("no kind at all", "hello, world, this is text", 26, "not a file of weights");
    refused("nothing", "", 0, "not a file of weights");
}

static size_t place_of(const struct bytes *in, const void *what, size_t length)
{
    for (size_t at = 0; at + length <= in->count; at++)
        if (!memcmp(in->data + at, what, length)) return at;
    CHECK(false, "not found");
    return 0;
}

/* Replaces bytes of a copy of file f at the first place of `what`. */
static void refused_change(int f, const void *what, size_t length, const void *with, const char *words)
{
    struct bytes copy = {mem_alloc(files[f].count), files[f].count};
    memcpy(copy.data, files[f].data, copy.count);
    memcpy(copy.data + place_of(&copy, what, length), with, length);
    refused(names[f], copy.data, copy.count, words);
    mem_free(copy.data);
}

static void test_damaged(void)
{
    static const float eighths[] = {-0.875f, -0.75f, -0.625f}; /* in the storage of the views */
    static const float nan[] = {NAN, NAN, NAN};
    enum { SAFETENSORS, ZIP, PICKLES, ZIP64, TAR };
    refused_change(ZIP, eighths, sizeof eighths, nan, "wrong checksum");
    refused_change(ZIP, "view.part", 9, "view.parT", "wrong checksum"); /* of the pickle */
    refused_change(ZIP, "PK\1\2", 4, "PK\1\3", "makes no sense");
    refused_change(PICKLES, eighths, sizeof eighths, nan, "not a number");
    refused_change(SAFETENSORS, eighths, sizeof eighths, nan, "not a number");
    refused_change(TAR, eighths, sizeof eighths, nan, "not a number");
    refused_change(PICKLES, "scalar", 6, "empty\0", "no name");
    refused_change(PICKLES, "little_endian", 13, "middle_endian", "other byte order");
    refused_change(ZIP64, "PK\6\6", 4, "PK\6\5", "second record");
    refused_change(TAR, "storages", 8, "storagez", "missing");
}

static void test_evil(void)
{
    static const struct { const char *name, *words; } evil[] = {{"evil.pth", "posix.system"}, {"evil-old.pth", "posix.system"}, {"module.pth", "torch.nn.modules"}};
    for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
        struct bytes b = load(evil[i].name);
        refused(evil[i].name, b.data, b.count, evil[i].words);
        mem_free(b.data);
    }
    EXPECT(access("executed", F_OK) != 0, "a pickle's code was executed");
}

/* ---- mutations ---- */

static int64_t from_environment(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    return text ? atoll(text) : otherwise;
}

/* Changes bytes of a zip's data.pkl and sets its sum right, so that the pickle is read. */
static struct bytes mutate_pickle_in_zip(struct random *r, const struct bytes *whole)
{
    struct bytes b = {mem_alloc(whole->count), whole->count};
    memcpy(b.data, whole->data, b.count);
    size_t listed = place_of(&b, "PK\1\2", 4); /* torch writes data.pkl first */
    uint32_t local, bytes, crc;
    uint16_t name, extra;
    memcpy(&bytes, b.data + listed + 24, 4);
    memcpy(&local, b.data + listed + 42, 4);
    memcpy(&name, b.data + local + 26, 2);
    memcpy(&extra, b.data + local + 28, 2);
    uint8_t *pickle = b.data + local + 30 + name + extra;
    for (int64_t n = 1 + random_below(r, 2); n > 0; n--) mutate_bytes(r, pickle, bytes);
    crc = (uint32_t)crc32(0, pickle, bytes);
    memcpy(b.data + listed + 16, &crc, 4);
    return b;
}

static void test_mutations(int64_t count, uint64_t seed)
{
    struct random r = random_stream(seed, RANDOM_TEST, 77, 0);
    int64_t refusals = 0;
    double longest = 0, start = clock_s();
    for (int64_t i = 0; i < count; i++) {
        int f = (int)random_below(&r, FILES);
        bool inside = strstr(names[f], ".pth") && !strstr(names[f], "old") && !strstr(names[f], "64") && random_below(&r, 2);
        struct bytes some = inside ? mutate_pickle_in_zip(&r, &files[f]) : mutate(&r, files[f].data, files[f].count);
        uint8_t *exact = mem_alloc(some.count); /* so that reading past its end is seen */
        struct error err = {0};
        double began = clock_s();
        memcpy(exact, some.data, some.count);
        int status = read_all(exact, some.count, &err);
        longest = fmax(longest, clock_s() - began);
        refusals += status != 0;
        if (status) EXPECT(*err.message && strlen(err.message) < sizeof err.message - 1, "%s %d: '%s'", names[f], (int)i, err.message);
        mem_free(exact);
        mem_free(some.data);
    }
    printf("%lld damaged files, %lld refused, %.1f s, the slowest took %.4f s\n", (long long)count, (long long)refusals, clock_s() - start, longest);
    EXPECT(longest < 5, "%g s for one file", longest);
    EXPECT(count < 100 || (refusals > count / 5 && refusals < count), "%lld of %lld refused", (long long)refusals, (long long)count);
}

/* ---- writing ---- */

static int values_of(void *context, int i, void *to, struct error *err)
{
    (void)err;
    *(int *)context += 1;
    if (i == 0) memcpy(to, (float[]){1, -2, 3.5f, 4, 5, 6}, 24);
    return 0;
}

static int no_values(void *context, int i, void *to, struct error *err)
{
    (void)context, (void)to;
    return i == 1 ? error_set(err, "no more") : 0;
}

static void test_writing(void)
{
    static const struct weights_output tensors[] = {{"a.weight", WEIGHTS_F32, 2, {2, 3}}, {"count", WEIGHTS_I64, 0, {0}}, {"é\"", WEIGHTS_F32, 1, {1}}};
    static const struct weights_metadata metadata[] = {{"notice", "research use only"}};
    char folder[] = "/tmp/ladnn-weights-XXXXXX";
    struct error err = {0};
    int asked = 0;
    CHECK(mkdtemp(folder), "no temporary folder");
    char *path = path_join(folder, "w.safetensors"), **found;
    EXPECT(!safetensors_write(path, tensors, 3, metadata, 1, values_of, &asked, &err) && asked == 3, "%s", err.message);
    struct weights_file *f = weights_file_open(path, &err);
    float values[6] = {0};
    EXPECT(f && weights_file_count(f) == 3 && !weights_file_read(f, 0, values, &err) && values[2] == 3.5f && values[5] == 6, "%s", err.message);
    if (f) EXPECT(weights_file_tensor(f, 1)->type == WEIGHTS_I64 && weights_file_tensor(f, 1)->ndim == 0 && !strcmp(weights_file_tensor(f, 2)->name, "é\""), "list");
    weights_file_close(f);
    EXPECT(safetensors_write(path, tensors, 3, metadata, 1, no_values, NULL, &err) == -1 && !strcmp(err.message, "no more"), "%s", err.message);
    EXPECT(!folder_list(&found, &asked, folder, &err) && asked == 1, "%d files are left", asked);
    folder_list_free(found, asked);
    EXPECT(safetensors_write("/nonexistent/x", tensors, 3, metadata, 1, values_of, &asked, &err) == -1, "no folder");
    folder_remove(folder, &err);
    mem_free(path);
}

int main(int argc, char **argv)
{
    CHECK(argc > 1, "usage: %s TESTS-FOLDER", argv[0]);
    tests_folder = argv[1];
    for (int f = 0; f < FILES; f++) files[f] = load(names[f]);
    test_fixtures();
    test_pickles();
    test_greedy_pickles();
    test_truncated();
    test_safetensors();
    test_damaged();
    test_evil();
    test_writing();
    test_mutations(from_environment("LADNN_MUTATIONS", 50000), (uint64_t)from_environment("LADNN_MUTATIONS_SEED", 1));
    for (int f = 0; f < FILES; f++) mem_free(files[f].data);
    return check_verdict();
}
