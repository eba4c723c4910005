/* csv.c - one pass over the bytes of the file; see csv.h for what is accepted.
 *
 * A quote inside an unquoted field is kept as it stands (spreadsheets write such files); text after a closing quote is
 * an error, because it is the usual sign of a quote that was not doubled.
 *
 * DESIGN: there may be millions of rows, so fields are not allocated one by one. All lie in one text, which is never longer than the
 * file (twice as long from Latin-1): a field's separator becomes its end. Their places lie in one array. */
#include "io/csv.h"

#include <stdint.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

enum { FIELD_BYTES_MAX = 4096 }; /* a path is not longer, and HDF5 takes no text without end */
struct parser {
    struct csv *csv;
    const char *path;
    const unsigned char *p, *end;
    int line;           /* of p */
    char *field, *to;   /* the field being read: in csv->text, and its end as yet */
    size_t fields, fields_room;
    int rows_room;
};

static bool is_utf8(const unsigned char *p, const unsigned char *end)
{
    while (p < end) {
        int more = p[0] < 0x80 ? 0 : p[0] >= 0xC2 && p[0] < 0xE0 ? 1 : (p[0] & 0xF0) == 0xE0 ? 2 : p[0] >= 0xF0 && p[0] < 0xF5 ? 3 : -1;
        if (more < 0 || end - p <= more) return false;
        for (int i = 1; i <= more; i++)
            if ((p[i] & 0xC0) != 0x80) return false;
        p += more + 1;
    }
    return true;
}

static void add_byte(struct parser *s, unsigned char c)
{
    bool two = s->csv->latin1 && c >= 0x80;
    if (two) *s->to++ = (char)(0xC0 | c >> 6);
    *s->to++ = (char)(two ? 0x80 | (c & 0x3F) : c);
}

/* Steps over "\r\n", "\n" or "\r"; false when p stands at something else. */
static bool skip_line_end(struct parser *s)
{
    if (s->p == s->end || (*s->p != '\n' && *s->p != '\r')) return false;
    s->p += *s->p == '\r' && s->p + 1 < s->end && s->p[1] == '\n' ? 2 : 1;
    s->line++;
    return true;
}

/* The array may move: rows learn where their fields are at the end (place_fields). */
static int end_field(struct parser *s, struct csv_row *row, struct error *err)
{
    struct csv *csv = s->csv;
    if (s->to - s->field > FIELD_BYTES_MAX)
        return error_set(err, "%s:%d: a field of %td bytes; %d are the most", s->path, row->line, s->to - s->field, FIELD_BYTES_MAX);
    if (s->fields == s->fields_room) {
        size_t room = s->fields_room ? 2 * s->fields_room : 256;
        csv->fields = mem_grow(csv->fields, s->fields * sizeof *csv->fields, room * sizeof *csv->fields);
        s->fields_room = room;
    }
    csv->fields[s->fields++] = s->field;
    row->count++;
    *s->to++ = 0;
    s->field = s->to;
    return 0;
}

/* p stands after the opening quote; ends after the closing one. */
static int read_quoted(struct parser *s, struct error *err)
{
    int opened = s->line;
    for (; s->p < s->end; s->p++) {
        if (*s->p == '"') {
            if (s->p + 1 == s->end || s->p[1] != '"') break;
            s->p++;
        }
        if (*s->p == '\n' || (*s->p == '\r' && (s->p + 1 == s->end || s->p[1] != '\n'))) s->line++;
        add_byte(s, *s->p);
    }
    if (s->p == s->end) return error_set(err, "%s:%d: the quote that opens here is never closed", s->path, opened);
    s->p++;
    if (s->p < s->end && *s->p != ',' && *s->p != '\n' && *s->p != '\r') {
        error_set(err, "%s:%d: text follows a closing quote", s->path, s->line);
        return error_hint(err, "inside a quoted field a quote is written twice");
    }
    return 0;
}

static int read_row(struct parser *s, struct csv_row *row, struct error *err)
{
    *row = (struct csv_row){.line = s->line};
    for (;;) {
        if (s->p < s->end && *s->p == '"') {
            s->p++;
            if (read_quoted(s, err)) return -1;
        }
        while (s->p < s->end && *s->p != ',' && *s->p != '\n' && *s->p != '\r') add_byte(s, *s->p++);
        if (end_field(s, row, err)) return -1;
        if (s->p == s->end || skip_line_end(s)) return 0;
        s->p++; /* the comma */
    }
}

static struct csv_row *next_row(struct parser *s)
{
    struct csv *csv = s->csv;
    if (csv->count == s->rows_room) {
        int room = s->rows_room ? 2 * s->rows_room : 64;
        csv->rows = mem_grow(csv->rows, (size_t)csv->count * sizeof *csv->rows, (size_t)room * sizeof *csv->rows);
        s->rows_room = room;
    }
    return &csv->rows[csv->count++];
}

static int check_bytes(const char *path, const uint8_t *data, size_t bytes, struct error *err)
{
    const uint8_t *nul = bytes ? memchr(data, 0, bytes) : NULL;
    if (!nul) return 0;
    int line = 1;
    for (const uint8_t *p = data; p < nul; p++) line += *p == '\n';
    error_set(err, "%s:%d: a NUL byte: this is not a text file", path, line);
    return error_hint(err, "save it as CSV in UTF-8 (UTF-16 is not read)");
}

static void place_fields(struct csv *csv)
{
    char **next = csv->fields;
    for (int r = 0; r < csv->count; r++) {
        csv->rows[r].fields = next;
        next += csv->rows[r].count;
    }
}

int csv_read(struct csv *csv, const char *path, struct error *err)
{
    *csv = (struct csv){0};
    uint8_t *data;
    size_t bytes;
    if (file_read(&data, &bytes, path, err)) return -1;
    int status = check_bytes(path, data, bytes, err);
    struct parser s = {.csv = csv, .path = path, .p = data, .end = data + bytes, .line = 1};
    if (bytes >= 3 && !memcmp(data, "\xEF\xBB\xBF", 3)) s.p += 3;
    csv->latin1 = !is_utf8(s.p, s.end);
    s.field = s.to = csv->text = mem_alloc((csv->latin1 ? 2 : 1) * bytes + 1);
    while (!status && s.p < s.end)
        if (!skip_line_end(&s)) status = read_row(&s, next_row(&s), err);
    place_fields(csv);
    mem_free(data);
    if (status) csv_free(csv);
    return status;
}

void csv_free(struct csv *csv)
{
    mem_free(csv->rows);
    mem_free(csv->fields);
    mem_free(csv->text);
    *csv = (struct csv){0};
}

void csv_add_field(struct text *out, const char *field)
{
    if (!strpbrk(field, ",\"\r\n")) {
        text_add(out, "%s", field);
        return;
    }
    text_add(out, "\"");
    for (; *field; field++) text_add(out, *field == '"' ? "\"\"" : "%c", *field);
    text_add(out, "\"");
}
