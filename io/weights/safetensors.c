/* safetensors.c - the safetensors format: 8 bytes with the header's length, a JSON object "name": {"dtype", "shape", "data_offsets"}, and
 * the tensors' bytes in a row. The header may hold only that and strings under "__metadata__"; the bytes must be used up without gap or overlap. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/weights/weights_private.h"

enum { HEADER_BYTES_MOST = 100000000 }; /* the format's own limit */

static const struct { const char *name; enum weights_type type; int bytes; } dtypes[] = {
    {"F32", WEIGHTS_F32, 4}, {"F64", WEIGHTS_F64, 8}, {"F16", WEIGHTS_F16, 2}, {"BF16", WEIGHTS_BF16, 2}, {"I64", WEIGHTS_I64, 8},
    {"I32", WEIGHTS_I32, 4}, {"I16", WEIGHTS_I16, 2}, {"I8", WEIGHTS_I8, 1}, {"U8", WEIGHTS_U8, 1}, {"BOOL", WEIGHTS_BOOL, 1}};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

/* ---- the little of JSON that a header may use ---- */
struct json_reader {
    const char *at; /* NUL-ended; a NUL within ends it early, as an error */
    bool bad;
};

static void skip_blanks(struct json_reader *j) { j->at += strspn(j->at, " \t\r\n"); }

static bool take(struct json_reader *j, char c)
{
    skip_blanks(j);
    if (j->bad || *j->at != c) return false;
    j->at++;
    return true;
}

static void need(struct json_reader *j, char c)
{
    if (!take(j, c)) j->bad = true;
}

/* \uXXXX as UTF-8; names with halves of pairs are not worth a rule. */
static void add_code_point(struct json_reader *j, struct text *to)
{
    unsigned code = 0;
    for (int i = 0; i < 4; i++, j->at++) {
        char c = *j->at;
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0) {
            j->bad = true;
            return;
        }
        code = 16 * code + (unsigned)digit;
    }
    if (code == 0 || (code >= 0xD800 && code < 0xE000)) j->bad = true;
    char utf8[3] = {(char)(0xE0 | code >> 12), (char)(0x80 | (code >> 6 & 63)), (char)(0x80 | (code & 63))};
    if (code < 0x80) text_add_bytes(to, &(char){(char)code}, 1);
    else if (code < 0x800) text_add_bytes(to, (char[]){(char)(0xC0 | code >> 6), utf8[2]}, 2);
    else text_add_bytes(to, utf8, 3);
}

static void read_string(struct json_reader *j, struct text *to)
{
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    text_clear(to);
    text_add_bytes(to, "", 0);
    need(j, '"');
    while (!j->bad && *j->at != '"') {
        char c = *j->at++;
        const char *escape;
        if ((unsigned char)c < 0x20) {
            j->bad = true;
        } else if (c != '\\') {
            text_add_bytes(to, &c, 1);
        } else if (*j->at == 'u') {
            j->at++;
            add_code_point(j, to);
        } else if (*j->at && (escape = strchr(escapes, *j->at))) {
            text_add_bytes(to, &meant[escape - escapes], 1);
            j->at++;
        } else {
            j->bad = true;
        }
    }
    need(j, '"');
}

static int64_t read_number(struct json_reader *j)
{
    int64_t value = 0;
    skip_blanks(j);
    if (*j->at < '0' || *j->at > '9') j->bad = true;
    for (; *j->at >= '0' && *j->at <= '9' && !j->bad; j->at++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *j->at - '0', &value)) j->bad = true;
    return value;
}

/* [1, 2, 3] of at most `room` whole numbers; returns how many. */
static int read_numbers(struct json_reader *j, int64_t *numbers, int room)
{
    int count = 0;
    need(j, '[');
    if (take(j, ']')) return 0;
    do {
        int64_t n = read_number(j);
        if (count == room) j->bad = true;
        if (!j->bad) numbers[count++] = n;
    } while (take(j, ','));
    need(j, ']');
    return count;
}

/* ---- the header ---- */
struct header_entry {
    int dtype, ndim; /* dtype: of the table, DTYPES: another one, -1: none yet */
    int64_t dims[WEIGHTS_DIMS], range[2];
    int ranges, shapes;
};

static void read_member(struct json_reader *j, struct header_entry *e, struct text *word)
{
    read_string(j, word);
    need(j, ':');
    if (j->bad) return;
    if (!strcmp(word->data, "dtype") && e->dtype < 0) {
        read_string(j, word);
        for (e->dtype = 0; e->dtype < DTYPES && !j->bad && strcmp(word->data, dtypes[e->dtype].name); ) e->dtype++;
    } else if (!strcmp(word->data, "shape") && !e->shapes++) {
        e->ndim = read_numbers(j, e->dims, WEIGHTS_DIMS);
    } else if (!strcmp(word->data, "data_offsets") && !e->ranges) {
        e->ranges = read_numbers(j, e->range, 2);
    } else {
        j->bad = true;
    }
}

static int add_entry(struct weights_file *f, const struct header_entry *e, const char *name, uint64_t start, struct error *err)
{
    uint64_t room = f->source.bytes - start;
    int64_t elements = 1, bytes = 0;
    bool fits = e->range[0] <= e->range[1] && (uint64_t)e->range[1] <= room;
    for (int d = 0; d < e->ndim; d++) fits = fits && !__builtin_mul_overflow(elements, e->dims[d], &elements);
    if (fits && e->dtype < DTYPES) fits = !__builtin_mul_overflow(elements, dtypes[e->dtype].bytes, &bytes) && bytes == e->range[1] - e->range[0];
    if (!fits) return error_set(err, "%s: tensor '%s' does not fit into its bytes, or they into the file: damaged or truncated", f->source.name, name);
    int storage = weights_storage_add(f, (struct weights_storage){.offset = start + (uint64_t)e->range[0], .bytes = (uint64_t)(e->range[1] - e->range[0])});
    return weights_tensor_add(f, mem_string(name), e->dtype < DTYPES ? dtypes[e->dtype].type : WEIGHTS_OTHER, e->ndim, e->dims, NULL, storage, 0, err);
}

static void read_metadata(struct json_reader *j, struct text *word)
{
    need(j, '{');
    if (take(j, '}')) return;
    do {
        read_string(j, word);
        need(j, ':');
        read_string(j, word);
    } while (take(j, ','));
    need(j, '}');
}

/* One "name": {...}. */
static int read_entry(struct weights_file *f, struct json_reader *j, struct text *name, struct text *word, uint64_t start, struct error *err)
{
    struct header_entry e = {.dtype = -1};
    read_string(j, name);
    need(j, ':');
    if (j->bad) return 0;
    if (!strcmp(name->data, "__metadata__")) {
        read_metadata(j, word);
        return 0;
    }
    need(j, '{');
    do read_member(j, &e, word); while (take(j, ','));
    need(j, '}');
    if (e.dtype < 0 || !e.shapes || e.ranges != 2) j->bad = true;
    return j->bad ? 0 : add_entry(f, &e, name->data, start, err);
}

static int by_offset(const void *a, const void *b)
{
    const struct weights_storage *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static int check_gapless(const struct weights_file *f, uint64_t start, struct error *err)
{
    struct weights_storage *s = NEW_ARRAY(struct weights_storage, f->storage_count);
    uint64_t at = start;
    int status = 0;
    if (f->storage_count) memcpy(s, f->storage, sizeof *s * (size_t)f->storage_count);
    qsort(s, (size_t)f->storage_count, sizeof *s, by_offset);
    for (int i = 0; i < f->storage_count && !status; at += s[i++].bytes)
        if (s[i].offset != at) status = error_set(err, "%s: is damaged: tensors overlap, or leave a gap, at byte %" PRIu64, f->source.name, at);
    if (!status && at != f->source.bytes) status = error_set(err, "%s: is damaged: %" PRIu64 " bytes belong to no tensor", f->source.name, f->source.bytes - at);
    mem_free(s);
    return status;
}

static int read_header(struct weights_file *f, const char *header, uint64_t start, struct error *err)
{
    struct json_reader j = {header, false};
    struct text name = {0}, word = {0};
    int status = 0;
    need(&j, '{');
    if (!take(&j, '}')) {
        do status = read_entry(f, &j, &name, &word, start, err);
        while (!status && take(&j, ','));
        if (!status) need(&j, '}');
    }
    skip_blanks(&j);
    if (!status && (j.bad || *j.at || (uint64_t)(j.at - header) != start - 8))
        status = error_set(err, "%s: is damaged: its header makes no sense at byte %lld", f->source.name, (long long)(j.at - header) + 8);
    text_free(&name);
    text_free(&word);
    return status;
}

int safetensors_read(struct weights_file *f, struct error *err)
{
    uint64_t length;
    if (weights_source_read(&f->source, &length, 0, sizeof length, err)) return -1;
    uint8_t *header = weights_source_piece(&f->source, 8, length, HEADER_BYTES_MOST, "its header", err);
    int status = header ? read_header(f, (const char *)header, 8 + length, err) : -1;
    if (!status) status = check_gapless(f, 8 + length, err);
    mem_free(header);
    return status;
}
