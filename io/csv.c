/* csv.c - one pass over the bytes of the file; see csv.h for what is accepted.
 *
 * A quote inside an unquoted field is kept as it stands (spreadsheets write such files); text after a closing quote is
 * an error, because it is the usual sign of a quote that was not doubled. */
#include "io/csv.h"

#include <stdint.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

struct parser {
    struct csv *csv;
    const char *path;
    const unsigned char *p, *end;
    int line;           /* of p */
    struct text field;  /* being read */
    int fields, room;   /* of the row being read */
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
    char utf8[2] = {(char)(0xC0 | c >> 6), (char)(0x80 | (c & 0x3F))};
    if (s->csv->latin1 && c >= 0x80)
        text_add_bytes(&s->field, utf8, 2);
    else
        text_add_bytes(&s->field, (const char *)&c, 1);
}

/* Steps over "\r\n", "\n" or "\r"; false when p stands at something else. */
static bool skip_line_end(struct parser *s)
{
    if (s->p == s->end || (*s->p != '\n' && *s->p != '\r')) return false;
    s->p += *s->p == '\r' && s->p + 1 < s->end && s->p[1] == '\n' ? 2 : 1;
    s->line++;
    return true;
}

static void end_field(struct parser *s, struct csv_row *row)
{
    if (row->count == s->room) {
        int room = s->room ? 2 * s->room : 16;
        row->fields = mem_grow(row->fields, (size_t)row->count * sizeof(char *), (size_t)room * sizeof(char *));
        s->room = room;
    }
    row->fields[row->count++] = mem_string(s->field.length ? s->field.data : "");
    text_clear(&s->field);
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
    s->room = 0;
    for (;;) {
        if (s->p < s->end && *s->p == '"') {
            s->p++;
            if (read_quoted(s, err)) return -1;
        }
        while (s->p < s->end && *s->p != ',' && *s->p != '\n' && *s->p != '\r') add_byte(s, *s->p++);
        end_field(s, row);
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
    while (!status && s.p < s.end)
        if (!skip_line_end(&s)) status = read_row(&s, next_row(&s), err);
    text_free(&s.field);
    mem_free(data);
    if (status) csv_free(csv);
    return status;
}

void csv_free(struct csv *csv)
{
    for (int r = 0; r < csv->count; r++) {
        for (int f = 0; f < csv->rows[r].count; f++) mem_free(csv->rows[r].fields[f]);
        mem_free(csv->rows[r].fields);
    }
    mem_free(csv->rows);
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
