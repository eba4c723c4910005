/* text.c - the growing string and the JSON writer. */
#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

static void text_reserve(struct text *t, size_t more)
{
    size_t need = t->length + more + 1;
    if (need <= t->room) return;
    size_t room = t->room ? t->room : 128;
    while (room < need) room *= 2;
    t->data = mem_grow(t->data, t->length, room);
    t->room = room;
}

void text_add_bytes(struct text *t, const char *bytes, size_t count)
{
    text_reserve(t, count);
    if (count) memcpy(t->data + t->length, bytes, count);
    t->length += count;
    t->data[t->length] = 0;
}

void text_add(struct text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(length >= 0);
    text_reserve(t, (size_t)length);
    vsnprintf(t->data + t->length, (size_t)length + 1, format, again);
    va_end(again);
    t->length += (size_t)length;
}

void text_add_number(struct text *t, double value)
{
    char digits[40];
    for (int precision = 6; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) break;
    }
    text_add(t, "%s", digits);
}

void text_clear(struct text *t)
{
    t->length = 0;
    if (t->data) t->data[0] = 0;
}

void text_free(struct text *t)
{
    mem_free(t->data);
    *t = (struct text){0};
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

int text_distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    int rows = (int)strnlen(a, LONGEST), columns = (int)strnlen(b, LONGEST);
    int d[LONGEST + 1][LONGEST + 1];
    for (int i = 0; i <= rows; i++) d[i][0] = i;
    for (int j = 0; j <= columns; j++) d[0][j] = j;
    for (int i = 1; i <= rows; i++)
        for (int j = 1; j <= columns; j++) {
            d[i][j] = least(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]), 1 + least(d[i - 1][j], d[i][j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[rows][columns];
}

void text_add_base64(struct text *t, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < count; i += 3) {
        size_t n = count - i < 3 ? count - i : 3;
        uint32_t v = (uint32_t)bytes[i] << 16 | (n > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (n > 2 ? bytes[i + 2] : 0);
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=', n > 2 ? digits[v & 63] : '='};
        text_add_bytes(t, four, 4);
    }
}

const char *text_line(const char **at, size_t *length)
{
    const char *line = *at;
    if (!line || !*line) return NULL;
    *length = strcspn(line, "\n");
    *at = line + *length + (line[*length] == '\n');
    return line;
}

bool text_first_difference(const char **a, const char **b)
{
    while (**a || **b) {
        size_t x = strcspn(*a, "\n"), y = strcspn(*b, "\n");
        if (x != y || memcmp(*a, *b, x)) return true;
        *a += x + ((*a)[x] == '\n');
        *b += y + ((*b)[y] == '\n');
    }
    return false;
}

/* ---- names ---- */

int utf8_length(const char *text, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)text;
    if (!bytes) return 0;
    if (p[0] < 0x80) return 1;
    int n = p[0] >= 0xC2 && p[0] < 0xE0 ? 2 : p[0] >= 0xE0 && p[0] < 0xF0 ? 3 : p[0] >= 0xF0 && p[0] < 0xF5 ? 4 : 0;
    for (int i = 1; i < n; i++)
        if ((size_t)i >= bytes || (p[i] & 0xC0) != 0x80) return 0;
    bool too_long = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xED && p[1] >= 0xA0, beyond = p[0] == 0xF4 && p[1] >= 0x90;
    return too_long || surrogate || beyond ? 0 : n;
}

static void add_name(struct text *t, const char *name, bool backslash_twice)
{
    for (const unsigned char *p = (const unsigned char *)name; *p;) {
        int n = *p < 0x20 || *p == 0x7F ? 0 : utf8_length((const char *)p, 4);
        if (*p == '\\' && backslash_twice) text_add_bytes(t, "\\", 1);
        if (n) text_add_bytes(t, (const char *)p, (size_t)n);
        else text_add(t, "\\x%02X", *p);
        p += n ? n : 1;
    }
}

void text_add_name(struct text *t, const char *name)
{
    add_name(t, name, false);
}

/* Its own length and no more: a packing keeps two for each picture, and a text has room to grow. */
char *text_name_encode(const char *raw)
{
    struct text t = {0};
    add_name(&t, raw, true);
    char *name = mem_string(t.data ? t.data : "");
    text_free(&t);
    return name;
}

/* Value of "\xHH" at p, or -1. */
static int escaped_byte(const char *p)
{
    static const char digits[] = "0123456789ABCDEF";
    if (p[0] != '\\' || p[1] != 'x' || !p[2] || !p[3]) return -1;
    const char *high = strchr(digits, p[2]), *low = strchr(digits, p[3]);
    return high && low ? (int)(16 * (high - digits) + (low - digits)) : -1;
}

char *text_name_decode(const char *name)
{
    char *raw = mem_string(name), *to = raw;
    for (const char *p = name; *p;) {
        int byte = escaped_byte(p);
        bool twice = p[0] == '\\' && p[1] == '\\';
        *to++ = byte > 0 ? (char)byte : *p;
        p += byte > 0 ? 4 : twice ? 2 : 1;
    }
    *to = 0;
    return raw;
}

/* ---- JSON ---- */

static void add_quoted(struct text *t, const char *value)
{
    text_add_bytes(t, "\"", 1);
    for (const unsigned char *p = (const unsigned char *)value; *p;) {
        int n = utf8_length((const char *)p, 4);
        if (*p == '"' || *p == '\\')
            text_add(t, "\\%c", *p);
        else if (*p == '\n')
            text_add_bytes(t, "\\n", 2);
        else if (*p == '\t')
            text_add_bytes(t, "\\t", 2);
        else if (*p < 0x20 || *p == 0x7F)
            text_add(t, "\\u%04x", *p);
        else if (n)
            text_add_bytes(t, (const char *)p, (size_t)n);
        else /* a byte that is no UTF-8, as in a Latin-1 file name */
            text_add_bytes(t, "\\ufffd", 6);
        p += n ? n : 1;
    }
    text_add_bytes(t, "\"", 1);
}

void json_open(struct json *j, struct text *out, bool pretty)
{
    *j = (struct json){.out = out, .pretty = pretty};
}

/* Comma, line break and key: what stands before any value. */
static void json_lead(struct json *j, const char *key)
{
    bool comma = j->comma[j->depth];
    j->comma[j->depth] = true;
    if (j->pretty && j->depth == 1)
        text_add(j->out, "%s\n  ", comma ? "," : "");
    else if (comma)
        text_add(j->out, ", ");
    if (key) {
        add_quoted(j->out, key);
        text_add(j->out, ": ");
    }
}

static void json_begin(struct json *j, const char *key, char bracket)
{
    json_lead(j, key);
    text_add_bytes(j->out, &bracket, 1);
    ASSERT(j->depth + 1 < (int)(sizeof j->comma / sizeof j->comma[0]));
    j->comma[++j->depth] = false;
}

static void json_end(struct json *j, char bracket)
{
    ASSERT(j->depth > 0);
    if (j->pretty && j->depth == 1 && j->comma[1]) text_add(j->out, "\n");
    text_add_bytes(j->out, &bracket, 1);
    if (--j->depth == 0 && j->pretty) text_add(j->out, "\n");
}

void json_object(struct json *j, const char *key)
{
    json_begin(j, key, '{');
}

void json_array(struct json *j, const char *key)
{
    json_begin(j, key, '[');
}

void json_end_object(struct json *j)
{
    json_end(j, '}');
}

void json_end_array(struct json *j)
{
    json_end(j, ']');
}

void json_string(struct json *j, const char *key, const char *value)
{
    json_lead(j, key);
    if (value)
        add_quoted(j->out, value);
    else
        text_add(j->out, "null");
}

void json_number(struct json *j, const char *key, double value)
{
    json_lead(j, key);
    if (isfinite(value))
        text_add_number(j->out, value);
    else
        text_add(j->out, "null");
}

void json_int(struct json *j, const char *key, int64_t value)
{
    json_lead(j, key);
    text_add(j->out, "%lld", (long long)value);
}

void json_bool(struct json *j, const char *key, bool value)
{
    json_lead(j, key);
    text_add(j->out, value ? "true" : "false");
}

void json_null(struct json *j, const char *key)
{
    json_lead(j, key);
    text_add(j->out, "null");
}
