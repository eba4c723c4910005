/* test_base_json_read.c - what json_read takes, what it refuses and where it says so, and that it reads what base/text.h writes. */
#include "base/json_read.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "tests/unit/check.h"

static struct json_value *read(const char *text)
{
    struct error err = {0};
    struct json_value *v = json_read(text, strlen(text), &err);
    EXPECT(v != NULL, "'%s': %s", text, err.message);
    return v;
}

static void test_values(void)
{
    struct json_value *v = read(" {\"a\" : [1, -2.5e3, true, false, null, \"x\"], \"b\": {\"c\": {}}, \"d\": [], \"e\":\"\"}\n");
    const struct json_value *a = json_member(v, "a");
    EXPECT(v->type == JSON_OBJECT && v->count == 4, "%d members", v->count);
    EXPECT(a && a->type == JSON_ARRAY && a->count == 6, "the array");
    EXPECT(a->items[0].number == 1 && a->items[1].number == -2500, "numbers");
    EXPECT(a->items[2].type == JSON_TRUE && a->items[3].type == JSON_FALSE && a->items[4].type == JSON_NULL, "words");
    EXPECT(!strcmp(a->items[5].string, "x"), "a string");
    EXPECT(json_member(json_member(json_member(v, "b"), "c"), "none") == NULL, "look-ups are chained");
    EXPECT(json_member(json_member(v, "none"), "c") == NULL, "through nothing, too");
    EXPECT(json_member_number(v, "e", 7) == 7 && !strcmp(json_member_string(v, "e", "?"), ""), "types count");
    EXPECT(!strcmp(json_member_string(v, "d", "?"), "?"), "an array is no string");
    json_free(v);
    json_free(NULL);
}

static void test_strings(void)
{
    struct json_value *v = read("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\", \"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\", \"\xC3\xA9\xF0\x9F\x98\x80\"]");
    EXPECT(!strcmp(v->items[0].string, "\"\\/\b\f\n\r\t"), "escapes");
    EXPECT(!strcmp(v->items[1].string, "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"), "'%s'", v->items[1].string);
    EXPECT(!strcmp(v->items[2].string, "\xC3\xA9\xF0\x9F\x98\x80"), "'%s'", v->items[2].string);
    json_free(v);
}

static void test_refused(void)
{
    static const struct { const char *text, *message; } cases[] = {
        {"", "byte 0: the text ends too early"}, {"  ", "byte 2: the text ends too early"}, {"{\"a\": 1", "byte 7: the text ends too early"},
        {"[1, 2", "the text ends too early"}, {"[1, ]", "byte 4: a value was expected"}, {"[1 2]", "byte 3: a comma"}, {"{\"a\": 1,}", "a string "
                                                            "was expected"},
        {"{a: 1}", "a string was expected"}, {"{\"a\" 1}", "a colon"}, {"{\"a\": 1, \"a\": 2}", "there already"}, {"1 2", "byte 2: something "
                                                            "stands behind"},
        {"nul", "a value was expected"}, {"True", "a value was expected"}, {"NaN", "a value was expected"}, {"-", "a digit"}, {"01", "leading zero"},
        {"-012", "leading zero"}, {"1.", "a digit"}, {".5", "a value"}, {"1e", "a digit"}, {"1e+", "a digit"}, {"1e999", "too large"}, {"+1", "a "
                                                            "value"},
        {"\"abc", "ends within a string"}, {"\"a\nb\"", "control character"}, {"\"\\x41\"", "unknown escape"}, {"\"\\u12g4\"", "four hexadecimal"},
        {"\"\\u0000\"", "NUL"}, {"\"\\ud83d\"", "surrogate"}, {"\"\\ude00\"", "surrogate"}, {"\"\\ud83d\\u0041\"", "surrogate"}, {"\"\\", "unknown "
                                                            "escape"},
        {"\"\xC3\"", "not UTF-8"}, {"\"\xED\xA0\x80\"", "not UTF-8"}, {"\"\xFF\"", "not UTF-8"}, {"// a\n1", "a value"}, {"{\"a\": [1, {\"b\": "
                                                            "tru}]}", "byte 16"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        struct json_value *v = json_read(cases[i].text, strlen(cases[i].text), &err);
        EXPECT(v == NULL, "'%s' was taken", cases[i].text);
        EXPECT_TEXT(err.message, cases[i].message);
        json_free(v);
    }
}

/* Never past the end: the text of a mapped file has no NUL behind it. */
static void test_length(void)
{
    static const char text[] = "[true, 12]x";
    struct error err = {0};
    struct json_value *v = json_read(text, 10, &err);
    EXPECT(v && v->count == 2, "%s", err.message);
    json_free(v);
    for (size_t n = 0; n < 10; n++) {
        char *copy = mem_alloc(n);
        memcpy(copy, text, n);
        EXPECT(json_read(copy, n, &err) == NULL, "%zu bytes", n);
        mem_free(copy);
    }
}

static void test_depth(void)
{
    struct text t = {0};
    struct error err = {0};
    for (int levels = JSON_DEPTH_MAX; levels <= JSON_DEPTH_MAX + 1; levels++) {
        text_clear(&t);
        for (int i = 0; i < levels; i++) text_add(&t, "[");
        for (int i = 0; i < levels; i++) text_add(&t, "]");
        struct json_value *v = json_read(t.data, t.length, &err);
        EXPECT((v != NULL) == (levels <= JSON_DEPTH_MAX), "%d levels", levels);
        json_free(v);
    }
    EXPECT_TEXT(err.message, "too many levels");
    text_free(&t);
}

static void test_written(void)
{
    static const double numbers[] = {0, 0.1, -1e-300, 1.7976931348623157e308, 5e-324, 123456789.123456789};
    struct text t = {0};
    struct json j;
    json_open(&j, &t, true);
    json_object(&j, NULL);
    json_string(&j, "name", "a \"quoted\" \\ name\n\t\x01 \xC3\xA9");
    json_array(&j, "numbers");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) json_number(&j, NULL, numbers[i]);
    json_end_array(&j);
    json_end_object(&j);
    struct json_value *v = read(t.data);
    EXPECT(!strcmp(json_member_string(v, "name", ""), "a \"quoted\" \\ name\n\t\x01 \xC3\xA9"), "%s", t.data);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        EXPECT(json_member(v, "numbers")->items[i].number == numbers[i], "%.17g", numbers[i]);
    json_free(v);
    text_free(&t);
}

/* Bytes changed at random: taken or refused, nothing else (the sanitizers watch). */
static void test_mutations(void)
{
    static const char text[] = "{\"type\": \"epoch\", \"epoch\": 3, \"loss\": [0.25, -1e-3, null, true], \"n\": {\"\\u00e9\": \"\xC3\xA9\"}}";
    struct random r = random_stream(3, RANDOM_TEST, 2, 0);
    int taken = 0;
    for (int i = 0; i < 20000; i++) {
        size_t n = sizeof text - 1 - (size_t)random_below(&r, 3);
        char *copy = mem_alloc(n);
        memcpy(copy, text, n);
        for (int64_t k = random_below(&r, 4); k >= 0; k--) {
            char mark = "{}[]\",:\\0e-"[random_below(&r, 11)], any = (char)random_below(&r, 256);
            copy[random_below(&r, (int64_t)n)] = random_below(&r, 2) ? mark : any;
        }
        struct json_value *v = json_read(copy, n, NULL);
        taken += v != NULL;
        json_free(v);
        mem_free(copy);
    }
    EXPECT(taken > 100 && taken < 19900, "%d of 20000 taken", taken);
}

int main(void)
{
    test_values();
    test_strings();
    test_refused();
    test_length();
    test_depth();
    test_written();
    test_mutations();
    return check_verdict();
}
