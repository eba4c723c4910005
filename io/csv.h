/* csv.h - RFC 4180 CSV: quoted fields with commas, doubled quotes and line breaks; UTF-8, UTF-8 with BOM, or (bytes that
 * are not UTF-8) Latin-1, which is converted to UTF-8 and said in `latin1`. */
#ifndef IO_CSV_H
#define IO_CSV_H
#include <stdbool.h>
#include "base/error.h"
#include "base/text.h"

struct csv_row {
    char **fields;
    int count;
    int line; /* where the row starts, from 1 */
};
struct csv {
    struct csv_row *rows;
    int count;
    bool latin1;
};
/* Reads a whole file; empty lines are skipped. An unclosed quote or a NUL byte is an error with file:line. */
int csv_read(struct csv *csv, const char *path, struct error *err);
void csv_free(struct csv *csv);
/* Writing: a field, quoted when it must be. */
void csv_add_field(struct text *out, const char *field);
#endif
