/* predictions.c - see predictions.h. The columns are those of train/run_folder.c. */
#include "jobs/report/predictions.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/csv.h"
#include "train/patients.h"

enum { COLUMN_FILE, COLUMN_PATIENT, COLUMN_LABEL, COLUMN_PROBABILITY = COLUMN_LABEL + LOGIT_COUNT,
       COLUMN_SYNTHETIC = COLUMN_PROBABILITY + LOGIT_COUNT, COLUMNS };

static void column_name(char name[32], int column)
{
    static const char *const first[] = {"file", "patient"};
    int k = (column - COLUMN_LABEL) % LOGIT_COUNT;
    const char *label = k > 0 ? lesion_names[k - 1] : "covid";
    if (column < COLUMN_LABEL) snprintf(name, 32, "%s", first[column]);
    else if (column == COLUMN_SYNTHETIC) snprintf(name, 32, "synthetic");
    else snprintf(name, 32, "%s%s", column < COLUMN_PROBABILITY ? "" : "p_", label);
}

static int check_header(const struct csv_row *row, const char *path, struct error *err)
{
    for (int c = 0; c < COLUMNS; c++) {
        char want[32];
        column_name(want, c);
        if (c >= row->count || strcmp(row->fields[c], want)) return error_set(err, "%s: column %d is not '%s'", path, c + 1, want);
    }
    return row->count == COLUMNS ? 0 : error_set(err, "%s: %d columns, %d were expected", path, row->count, COLUMNS);
}

static int read_flag(uint8_t *flag, const struct csv_row *row, int column, const char *path, struct error *err)
{
    const char *cell = row->fields[column];
    char name[32];
    column_name(name, column);
    *flag = *cell == '1';
    return !strcmp(cell, "0") || !strcmp(cell, "1") ? 0 : error_set(err, "%s:%d: %s is '%s', neither 0 nor 1", path, row->line, name, cell);
}

static int read_probability(double *p, const struct csv_row *row, int column, const char *path, struct error *err)
{
    const char *cell = row->fields[column];
    char name[32], *end;
    column_name(name, column);
    *p = NAN;
    if (!*cell && column > COLUMN_PROBABILITY) return 0;
    *p = strtod(cell, &end);
    return *cell && !*end && *p >= 0 && *p <= 1 ? 0 : error_set(err, "%s:%d: %s is '%s', no probability", path, row->line, name, cell);
}

static int read_row(struct predictions *p, const struct csv_row *row, const char *path, struct error *err)
{
    int64_t i = p->n;
    uint8_t synthetic = 0;
    int rc = row->count == COLUMNS ? 0 : error_set(err, "%s:%d: %d fields, %d were expected", path, row->line, row->count, COLUMNS);
    for (int k = 0; k < LOGIT_COUNT && !rc; k++) {
        rc = read_flag(&p->label[i * LOGIT_COUNT + k], row, COLUMN_LABEL + k, path, err);
        if (!rc) rc = read_probability(&p->probability[i * LOGIT_COUNT + k], row, COLUMN_PROBABILITY + k, path, err);
    }
    if (!rc) rc = read_flag(&synthetic, row, COLUMN_SYNTHETIC, path, err);
    if (rc) return -1;
    if (!*row->fields[COLUMN_PATIENT]) return error_set(err, "%s:%d: no patient", path, row->line);
    if (i && synthetic != p->synthetic) return error_set(err, "%s:%d: synthetic and real images in one file", path, row->line);
    p->synthetic = synthetic;
    p->file[i] = mem_string(row->fields[COLUMN_FILE]);
    p->patient[i] = mem_string(row->fields[COLUMN_PATIENT]);
    p->n++;
    return 0;
}

/* An output is there for all images or for none. */
static int check_outputs(const struct predictions *p, const char *path, struct error *err)
{
    for (int64_t i = 1; i < p->n; i++)
        for (int k = 1; k < LOGIT_COUNT; k++)
            if (isnan(p->probability[i * LOGIT_COUNT + k]) != isnan(p->probability[k]))
                return error_set(err, "%s: p_%s is empty for some images only", path, lesion_names[k - 1]);
    return 0;
}

static int check_doubles(const struct predictions *p, const char *path, struct error *err)
{
    int *number = NEW_ARRAY(int, p->n), rc = 0;
    patients_number(number, (const char *const *)p->file, p->n); /* new names are numbered in turn */
    for (int64_t i = 0; i < p->n && !rc; i++)
        if (number[i] < i) rc = error_set(err, "%s: the image '%s' is there twice", path, p->file[i]);
    mem_free(number);
    return rc;
}

/* Rows end with a line end; the last one of a file that was cut mostly does not. */
static int check_end(const char *path, struct error *err)
{
    uint8_t *data;
    size_t bytes;
    if (file_read(&data, &bytes, path, err)) return -1;
    bool whole = bytes && data[bytes - 1] == '\n';
    mem_free(data);
    return whole ? 0 : error_set(err, "%s: %s", path, bytes ? "does not end with a line end: the file was cut" : "is empty");
}

int predictions_read(struct predictions *p, const char *path, struct error *err)
{
    struct csv csv = {0};
    *p = (struct predictions){0};
    if (check_end(path, err) || csv_read(&csv, path, err)) return -1;
    int rc = csv.count ? check_header(&csv.rows[0], path, err) : error_set(err, "%s: no header", path);
    p->file = NEW_ARRAY(char *, csv.count);
    p->patient = NEW_ARRAY(char *, csv.count);
    p->label = NEW_ARRAY(uint8_t, csv.count * LOGIT_COUNT);
    p->probability = NEW_ARRAY(double, csv.count * LOGIT_COUNT);
    p->cluster = NEW_ARRAY(int, csv.count);
    for (int r = 1; r < csv.count && !rc; r++) rc = read_row(p, &csv.rows[r], path, err);
    csv_free(&csv);
    if (!rc && !p->n) rc = error_set(err, "%s: no images", path);
    if (rc || check_outputs(p, path, err) || check_doubles(p, path, err)) {
        predictions_free(p);
        return -1;
    }
    p->clusters = patients_number(p->cluster, (const char *const *)p->patient, p->n);
    return 0;
}

void predictions_free(struct predictions *p)
{
    for (int64_t i = 0; i < p->n; i++) {
        mem_free(p->file[i]);
        mem_free(p->patient[i]);
    }
    mem_free(p->file);
    mem_free(p->patient);
    mem_free(p->label);
    mem_free(p->probability);
    mem_free(p->cluster);
    *p = (struct predictions){0};
}

bool predictions_same_images(const struct predictions *a, const struct predictions *b)
{
    if (a->n != b->n) return false;
    for (int64_t i = 0; i < a->n; i++)
        if (strcmp(a->file[i], b->file[i]) || strcmp(a->patient[i], b->patient[i])) return false;
    return !memcmp(a->label, b->label, (size_t)a->n * LOGIT_COUNT);
}
