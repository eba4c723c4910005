/* json_read.c - one pass over the text, descending as the brackets do. See json_read.h for what is refused. */
#include "base/json_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

struct reader {
    const char *start, *p, *end;
    int depth;
    struct error *err;
};

static int fail(struct reader *r, const char *what)
{
    return error_set(r->err, "byte %zu: %s", (size_t)(r->p - r->start), what);
}

static void skip_blank(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')) r->p++;
}

static bool at(const struct reader *r, char c) { return r->p < r->end && *r->p == c; }
static bool at_digit(const struct reader *r) { return r->p < r->end && *r->p >= '0' && *r->p <= '9'; }

static bool take(struct reader *r, char c)
{
    bool there = at(r, c);
    r->p += there;
    return there;
}

/* ---- strings ---- */

static int hex4(struct reader *r, unsigned *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++, r->p++) {
        char c = r->p < r->end ? *r->p : 0;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return fail(r, "four hexadecimal digits belong after \\u");
        *value = *value << 4 | (unsigned)digit;
    }
    return 0;
}

static void add_utf8(struct text *t, unsigned c)
{
    char b[4];
    int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (int i = n - 1; i > 0; i--, c >>= 6) b[i] = (char)(0x80 | (c & 0x3F));
    b[0] = (char)(lead[n] | c);
    text_add_bytes(t, b, (size_t)n);
}

/* After "\u". A pair of surrogates is one character. */
static int read_unicode(struct reader *r, struct text *out)
{
    unsigned c, low;
    if (hex4(r, &c)) return -1;
    if (c == 0) return fail(r, "a NUL in a string");
    if (c >= 0xD800 && c < 0xDC00) {
        if (!take(r, '\\') || !take(r, 'u')) return fail(r, "half of a surrogate pair");
        if (hex4(r, &low)) return -1;
        if (low < 0xDC00 || low > 0xDFFF) return fail(r, "half of a surrogate pair");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    } else if (c >= 0xDC00 && c <= 0xDFFF) {
        return fail(r, "half of a surrogate pair");
    }
    add_utf8(out, c);
    return 0;
}

static int read_escape(struct reader *r, struct text *out)
{
    static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    char c = r->p < r->end ? *r->p++ : 0;
    const char *found = c ? strchr(names, c) : NULL;
    if (c == 'u') return read_unicode(r, out);
    if (!found) return fail(r, "an unknown escape");
    text_add_bytes(out, bytes + (found - names), 1);
    return 0;
}

/* p stands at the opening quote. *string is mem_free'd by the caller, also on error (NULL then). */
static int read_string(struct reader *r, char **string)
{
    struct text out = {0};
    int rc = take(r, '"') ? 0 : fail(r, "a string was expected");
    while (!rc && !at(r, '"')) {
        int n = r->p < r->end ? utf8_length(r->p, (size_t)(r->end - r->p)) : 0;
        if (r->p >= r->end) rc = fail(r, "the text ends within a string");
        else if (take(r, '\\')) rc = read_escape(r, &out);
        else if ((unsigned char)*r->p < 0x20) rc = fail(r, "a control character in a string");
        else if (!n) rc = fail(r, "a byte that is not UTF-8");
        else text_add_bytes(&out, r->p, (size_t)n), r->p += n;
    }
    *string = NULL;
    if (!rc) r->p++, *string = mem_string(out.data ? out.data : "");
    text_free(&out);
    return rc;
}

/* ---- numbers ---- */

static int digits(struct reader *r)
{
    if (!at_digit(r)) return fail(r, "a digit was expected");
    while (at_digit(r)) r->p++;
    return 0;
}

static int read_number(struct reader *r, double *number)
{
    const char *from = r->p;
    char copy[512];
    take(r, '-');
    bool zero = at(r, '0');
    if (digits(r)) return -1;
    if (zero && r->p - from > 1 + (*from == '-')) return fail(r, "a number with a leading zero");
    if (take(r, '.') && digits(r)) return -1;
    if (at(r, 'e') || at(r, 'E')) {
        r->p++;
        if (!take(r, '-')) take(r, '+');
        if (digits(r)) return -1;
    }
    if (r->p - from >= (int)sizeof copy) return fail(r, "a number of too many digits");
    memcpy(copy, from, (size_t)(r->p - from));
    copy[r->p - from] = 0;
    *number = strtod(copy, NULL);
    return isfinite(*number) ? 0 : fail(r, "a number too large for a double");
}

/* ---- values ---- */

static int read_value(struct reader *r, struct json_value *v);

static struct json_value *add_item(struct json_value *v, int *room)
{
    if (v->count == *room) {
        int more = *room ? 2 * *room : 8;
        v->items = mem_grow(v->items, (size_t)v->count * sizeof *v->items, (size_t)more * sizeof *v->items);
        *room = more;
    }
    struct json_value *item = &v->items[v->count++];
    *item = (struct json_value){0};
    return item;
}

static int read_member_key(struct reader *r, const struct json_value *object, struct json_value *item)
{
    skip_blank(r);
    if (read_string(r, &item->key)) return -1;
    for (int i = 0; i < object->count - 1; i++)
        if (!strcmp(object->items[i].key, item->key)) return fail(r, "a member that is there already");
    skip_blank(r);
    return take(r, ':') ? 0 : fail(r, "a colon belongs after a member's name");
}

/* p stands after the opening bracket. */
static int read_items(struct reader *r, struct json_value *v, char closing)
{
    int room = 0;
    if (++r->depth > JSON_DEPTH_MAX) return fail(r, "too many levels");
    skip_blank(r);
    bool more = !take(r, closing);
    while (more) {
        struct json_value *item = add_item(v, &room);
        if (v->type == JSON_OBJECT && read_member_key(r, v, item)) return -1;
        if (read_value(r, item)) return -1;
        skip_blank(r);
        more = take(r, ',');
        if (!more && !take(r, closing)) return fail(r, r->p < r->end ? "a comma or the closing bracket was expected" : "the text ends too early");
    }
    r->depth--;
    return 0;
}

static int read_word(struct reader *r, struct json_value *v)
{
    static const struct { const char *word; enum json_type type; } words[] = {{"null", JSON_NULL}, {"true", JSON_TRUE}, {"false", JSON_FALSE}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i].word);
        if ((size_t)(r->end - r->p) < n || memcmp(r->p, words[i].word, n)) continue;
        v->type = words[i].type;
        r->p += n;
        return 0;
    }
    return fail(r, r->p < r->end ? "a value was expected" : "the text ends too early");
}

static int read_value(struct reader *r, struct json_value *v)
{
    skip_blank(r);
    if (take(r, '{')) return v->type = JSON_OBJECT, read_items(r, v, '}');
    if (take(r, '[')) return v->type = JSON_ARRAY, read_items(r, v, ']');
    if (at(r, '"')) return v->type = JSON_STRING, read_string(r, &v->string);
    if (at(r, '-') || at_digit(r)) return v->type = JSON_NUMBER, read_number(r, &v->number);
    return read_word(r, v);
}

static void free_parts(struct json_value *v)
{
    for (int i = 0; i < v->count; i++) free_parts(&v->items[i]);
    mem_free(v->items);
    mem_free(v->string);
    mem_free(v->key);
}

void json_free(struct json_value *v)
{
    if (!v) return;
    free_parts(v);
    mem_free(v);
}

struct json_value *json_read(const char *text, size_t bytes, struct error *err)
{
    struct reader r = {.start = text, .p = text, .end = text + bytes, .err = err};
    struct json_value *v = NEW(struct json_value);
    int rc = read_value(&r, v);
    skip_blank(&r);
    if (!rc && r.p < r.end) rc = fail(&r, "something stands behind the value");
    if (!rc) return v;
    json_free(v);
    return NULL;
}

/* ---- look-ups ---- */

const struct json_value *json_member(const struct json_value *v, const char *key)
{
    for (int i = 0; v && v->type == JSON_OBJECT && i < v->count; i++)
        if (!strcmp(v->items[i].key, key)) return &v->items[i];
    return NULL;
}

double json_member_number(const struct json_value *v, const char *key, double otherwise)
{
    const struct json_value *m = json_member(v, key);
    return m && m->type == JSON_NUMBER ? m->number : otherwise;
}

const char *json_member_string(const struct json_value *v, const char *key, const char *otherwise)
{
    const struct json_value *m = json_member(v, key);
    return m && m->type == JSON_STRING ? m->string : otherwise;
}
