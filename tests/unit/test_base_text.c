/* The growing string, the JSON writer, edit distance, durations. */
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "tests/unit/check.h"

#include <float.h>
#include <stdlib.h>

static void expect_json_string(const char *value, const char *want)
{
    struct text t = {0};
    struct json j;
    json_open(&j, &t, false);
    json_string(&j, NULL, value);
    EXPECT(!strcmp(t.data, want), "got %s, want %s", t.data, want);
    text_free(&t);
}

static void json_escapes(void)
{
    expect_json_string("a\"b\\c\n\t\x01\x7f", "\"a\\\"b\\\\c\\n\\t\\u0001\\u007f\"");
    expect_json_string("L\xc3\xa4sion \xe2\x82\xac \xf0\x9f\xab\x81", "\"L\xc3\xa4sion \xe2\x82\xac \xf0\x9f\xab\x81\"");
    expect_json_string("\xe4" "b", "\"\\ufffdb\"");             /* Latin-1 */
    expect_json_string("\xc3", "\"\\ufffd\"");                  /* cut off */
    expect_json_string("\xc0\xaf", "\"\\ufffd\\ufffd\"");       /* overlong */
    expect_json_string("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""); /* surrogate */
    expect_json_string("", "\"\"");
    expect_json_string(NULL, "null");
}

static void json_nesting(void)
{
    struct text t = {0};
    struct json j;
    json_open(&j, &t, false);
    json_object(&j, NULL);
    json_int(&j, "i", INT64_MIN);
    json_array(&j, "list");
    json_number(&j, NULL, 0.1);
    json_number(&j, NULL, NAN);
    json_number(&j, NULL, INFINITY);
    json_object(&j, NULL);
    json_end_object(&j);
    json_end_array(&j);
    json_bool(&j, "yes", true);
    json_null(&j, "none");
    json_end_object(&j);
    const char *want = "{\"i\": -9223372036854775808, \"list\": [0.1, null, null, {}], \"yes\": true, \"none\": null}";
    EXPECT(!strcmp(t.data, want), "got %s", t.data);
    text_free(&t);

    json_open(&j, &t, true);
    json_object(&j, NULL);
    json_int(&j, "a", 1);
    json_array(&j, "b");
    json_int(&j, NULL, 2);
    json_int(&j, NULL, 3);
    json_end_array(&j);
    json_end_object(&j);
    EXPECT(!strcmp(t.data, "{\n  \"a\": 1,\n  \"b\": [2, 3]\n}\n"), "got %s", t.data);
    text_free(&t);
}

static void numbers_read_back(void)
{
    static const double values[] = {0, 0.1, 1.0 / 3, 5e-5, 1e22, DBL_MAX, DBL_MIN, 4.9e-324, -123456789.125, 1 + DBL_EPSILON};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct text t = {0};
        text_add_number(&t, values[i]);
        EXPECT(strtod(t.data, NULL) == values[i], "%s is not %.17g", t.data, values[i]);
        text_free(&t);
    }
}

static void growth(void)
{
    struct text t = {0};
    for (int i = 0; i < 10000; i++) text_add(&t, "%d,", i % 10);
    EXPECT(t.length == 20000 && strlen(t.data) == 20000, "length %zu", t.length);
    text_clear(&t);
    EXPECT(t.length == 0 && t.room > 20000, "clear keeps the room");
    text_free(&t);
    EXPECT(!t.data && !t.room, "free empties");
}

static void distances(void)
{
    EXPECT(text_distance("batch", "batch") == 0, "equal");
    EXPECT(text_distance("batch", "bach") == 1, "delete");
    EXPECT(text_distance("", "abc") == 3, "insert");
    EXPECT(text_distance("trian", "train") == 1, "swap");
    EXPECT(text_distance("kitten", "sitting") == 3, "mixed");
}

static void durations(void)
{
    static const struct {
        double s;
        const char *want;
    } known[] = {{0, "0:00"}, {35.4, "0:35"}, {59.6, "1:00"}, {3723, "1:02:03"}, {360000, "100:00:00"}, {-1, "?"}, {NAN, "?"}};
    char text[32];
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        clock_duration(text, sizeof text, known[i].s);
        EXPECT(!strcmp(text, known[i].want), "%g s: %s", known[i].s, text);
    }
    clock_iso8601(text, sizeof text);
    EXPECT(strlen(text) == 20 && text[10] == 'T' && text[19] == 'Z', "%s", text);
}

static void memory_is_aligned(void)
{
    int wrong = 0;
    for (size_t bytes = 0; bytes < 300; bytes += 7) {
        void *p = mem_alloc(bytes);
        p = mem_grow(p, bytes, bytes + 100);
        wrong += (uintptr_t)p % 64 != 0;
        mem_free(p);
    }
    EXPECT(wrong == 0, "%d blocks are not 64-byte aligned", wrong);
    EXPECT(mem_peak_bytes() > 100000, "peak %zu", mem_peak_bytes());
}

int main(void)
{
    json_escapes();
    json_nesting();
    numbers_read_back();
    growth();
    distances();
    durations();
    memory_is_aligned();
    return check_verdict();
}
