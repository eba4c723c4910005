/* manifest_csv.c - one CSV with a header: file, patient, covid, a column per lesion, optionally split and figure. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/pack/manifest_private.h"

enum { COLUMN_FILE, COLUMN_PATIENT, COLUMN_SPLIT, COLUMN_COVID, COLUMN_FIGURE, COLUMN_LESION, COLUMNS = COLUMN_LESION + LESION_COUNT };
static const char *const column_names[] = {"file", "patient", "split", "covid", "figure"};

struct job {
    struct manifest *m;
    const char *path, *images;
    int column[COLUMNS]; /* place in a row, or -1 */
    struct text missing;
    char *folder;        /* the one that was last asked whether it is marked SYNTHETIC, or NULL */
    struct error *err;
};

static const char *column_name(int c) { return c < COLUMN_LESION ? column_names[c] : lesion_names[c - COLUMN_LESION]; }

/* In any case, with or without blanks around it. */
static int column_from_name(const char *text)
{
    char *name = manifest_trim(text);
    int found = -1;
    for (int c = 0; c < COLUMNS && found < 0; c++)
        if (!strcasecmp(column_name(c), name)) found = c;
    mem_free(name);
    return found;
}

static int unknown_column(struct job *job, const struct csv_row *row, int f)
{
    enum { NEAR = 2 };
    struct text known = {0};
    int nearest = 0;
    for (int c = 0; c < COLUMNS; c++) {
        text_add(&known, "%s%s", c ? ", " : "", column_name(c));
        if (text_distance(row->fields[f], column_name(c)) < text_distance(row->fields[f], column_name(nearest))) nearest = c;
    }
    error_set(job->err, "%s:%d: unknown column '%s' (known: %s)", job->path, row->line, row->fields[f], known.data);
    text_free(&known);
    if (text_distance(row->fields[f], column_name(nearest)) > NEAR) return -1;
    return error_hint(job->err, "did you mean '%s'?", column_name(nearest));
}

static int read_header(struct job *job, const struct csv_row *row)
{
    for (int c = 0; c < COLUMNS; c++) job->column[c] = -1;
    if (row->count == 1 && strpbrk(row->fields[0], ";\t"))
        return error_set(job->err, "%s:%d: columns must be separated by commas, not by %s", job->path, row->line,
                         strchr(row->fields[0], ';') ? "semicolons" : "tabs");
    for (int f = 0; f < row->count; f++) {
        int c = column_from_name(row->fields[f]);
        if (c < 0) return unknown_column(job, row, f);
        if (job->column[c] >= 0)
            return error_set(job->err, "%s:%d: column '%s' stands there twice", job->path, row->line, row->fields[f]);
        job->column[c] = f;
    }
    for (int c = 0; c < COLUMNS; c++)
        if (job->column[c] < 0 && c != COLUMN_FIGURE && c != COLUMN_SPLIT)
            return error_set(job->err, "%s:%d: no column '%s'", job->path, row->line, column_name(c));
    return 0;
}

static int read_flag(struct job *job, const struct csv_row *row, int column, bool may_be_empty, int *value)
{
    const char *text = row->fields[job->column[column]];
    *value = !strcmp(text, "1");
    if (*value || !strcmp(text, "0") || (may_be_empty && !*text)) return 0;
    return error_set(job->err, "%s:%d: %s is '%s'; it must be 0 or 1", job->path, row->line, column_name(column), text);
}

static int read_labels(struct job *job, const struct csv_row *row, struct manifest_row *to)
{
    bool given = job->column[COLUMN_SPLIT] >= 0;
    const char *split = given ? row->fields[job->column[COLUMN_SPLIT]] : split_names[SPLIT_TRAIN];
    int found = split_from_word(split), flag;
    if (found < 0)
        return error_set(job->err, "%s:%d: unknown split '%s' (known: train, val, test)", job->path, row->line, split);
    to->split = (enum split)found;
    if (read_flag(job, row, COLUMN_COVID, false, &to->covid)) return -1;
    for (int l = 0; l < LESION_COUNT; l++) {
        if (read_flag(job, row, COLUMN_LESION + l, true, &flag)) return -1;
        to->lesion[l] = (unsigned char)flag;
    }
    return 0;
}

static bool is_file(const char *images, const char *raw)
{
    char *path = *raw == '/' ? mem_string(raw) : path_join(images, raw);
    bool found = path_exists(path) && !path_is_folder(path);
    mem_free(path);
    return found;
}

/* Without "./" and doubled slashes, so that a file has one name. */
static void simplify(char *raw)
{
    char *to = raw;
    for (const char *p = raw; *p;) {
        bool begins = to == raw || to[-1] == '/';
        if (begins && p[0] == '.' && p[1] == '/') p += 1 + strspn(p + 1, "/");
        else if (*p == '/' && to > raw && begins) p++;
        else *to++ = *p++;
    }
    *to = 0;
}

static char *plain_name(char *raw)
{
    simplify(raw);
    return text_name_encode(raw);
}

/* The row's name as io/FORMAT.md has it, or NULL when there is no such file. It may have been written so (the split that pack leaves), or
 * be the file's plain name. */
static char *find_file(const struct job *job, const char *file)
{
    char *raw = text_name_decode(file), *same = mem_string(file), *name = NULL;
    if (is_file(job->images, raw)) name = plain_name(raw);
    else if (is_file(job->images, same)) name = plain_name(same);
    mem_free(raw);
    mem_free(same);
    return name;
}

/* A phantom's pictures stay synthetic wherever the CSV lies that names them. Rows of one folder mostly follow each other. */
static void look_for_mark(struct job *job, const char *name)
{
    char *raw = text_name_decode(name), *path = *raw == '/' ? mem_string(raw) : path_join(job->images, raw);
    char *folder = mem_format("%.*s", (int)(path_base(path) - path), path);
    bool new = !job->folder || strcmp(folder, job->folder);
    if (!job->m->synthetic && new) job->m->synthetic = manifest_is_synthetic(folder);
    mem_free(job->folder);
    job->folder = folder;
    mem_free(path);
    mem_free(raw);
}

static int read_row(struct job *job, const struct csv_row *row, int fields)
{
    if (row->count != fields)
        return error_set(job->err, "%s:%d: %d fields, the header has %d", job->path, row->line, row->count, fields);
    const char *file = row->fields[job->column[COLUMN_FILE]], *patient = row->fields[job->column[COLUMN_PATIENT]];
    if (!*file || manifest_is_blank(patient))
        return error_set(job->err, "%s:%d: the %s is empty", job->path, row->line, *file ? "patient" : "file name");
    struct manifest_row labels = {.line = row->line};
    if (read_labels(job, row, &labels)) return -1;
    char *name = find_file(job, file);
    if (!name) {
        job->m->missing_files++;
        text_add(&job->missing, "  %s (line %d)\n", file, row->line);
        return 0;
    }
    job->m->matched++;
    look_for_mark(job, name);
    struct manifest_row *to = manifest_add(job->m);
    *to = labels;
    to->file = name;
    to->patient = manifest_trim(patient);
    to->figure = manifest_trim(job->column[COLUMN_FIGURE] < 0 ? "" : row->fields[job->column[COLUMN_FIGURE]]);
    return 0;
}

/* ---- images that no row names ---- */

/* Length of the folder part of a file name, with its slash. */
static size_t folder_length(const char *file)
{
    return (size_t)(path_base(file) - file);
}

static void list_unlisted(struct job *job, const char *prefix, const struct name_index *files, struct text *list)
{
    char *raw = text_name_decode(prefix), *folder = *raw == '/' ? mem_string(raw) : path_join(job->images, raw), **names;
    int count;
    mem_free(raw);
    if (!folder_list(&names, &count, folder, NULL)) {
        for (int i = 0; i < count; i++) {
            char *name = text_name_encode(names[i]), *file = mem_format("%s%s", prefix, name);
            mem_free(name);
            if (manifest_is_image_name(file) && name_index_find(files, file) < 0) {
                job->m->unlisted_files++;
                text_add(list, "  %s\n", file);
            }
            mem_free(file);
        }
        folder_list_free(names, count);
    }
    mem_free(folder);
}

/* Looks into every folder that some row names; rows in order of their names visit each folder once or little more. */
static void find_unlisted(struct job *job, struct text *list)
{
    const struct manifest *m = job->m;
    struct name_index files, folders;
    name_index_make(&files, m->count);
    name_index_make(&folders, m->count);
    char **prefix = NEW_ARRAY(char *, m->count);
    for (int i = 0; i < m->count; i++) {
        prefix[i] = manifest_prefix(m->rows[i].file, folder_length(m->rows[i].file));
        files.entries[i] = (struct name_entry){m->rows[i].file, i};
        folders.entries[i] = (struct name_entry){prefix[i], i};
    }
    name_index_sort(&files);
    name_index_sort(&folders);
    for (int i = 0; i < m->count; i++)
        if (i == 0 || strcmp(folders.entries[i].name, folders.entries[i - 1].name))
            list_unlisted(job, folders.entries[i].name, &files, list);
    for (int i = 0; i < m->count; i++) mem_free(prefix[i]);
    mem_free(prefix);
    name_index_free(&files);
    name_index_free(&folders);
}

static void write_report(struct job *job, bool latin1)
{
    struct manifest *m = job->m;
    struct text unlisted = {0};
    find_unlisted(job, &unlisted);
    text_add(&m->report, "rows with an image: %d of %d\n", m->matched, m->matched + m->missing_files);
    if (latin1) text_add(&m->report, "%s: not UTF-8, read as Latin-1\n", path_base(job->path));
    text_add(&m->report, "rows without a file: %d\n%s", m->missing_files, job->missing.length ? job->missing.data : "");
    text_add(&m->report, "images without a row: %d\n%s", m->unlisted_files, unlisted.length ? unlisted.data : "");
    manifest_finish_report(m);
    text_free(&unlisted);
}

static int read_rows(struct job *job, const struct csv *csv)
{
    if (!csv->count) return error_set(job->err, "%s: an empty file", job->path);
    if (read_header(job, &csv->rows[0])) return -1;
    job->m->unsplit = job->column[COLUMN_SPLIT] < 0;
    for (int r = 1; r < csv->count; r++)
        if (read_row(job, &csv->rows[r], csv->rows[0].count)) return -1;
    if (!job->m->count)
        return error_set(job->err, "%s: no row names a file in %s", job->path, job->images);
    return manifest_check_doubles(job->m, job->err);
}

int manifest_read_csv(struct manifest *m, const char *path, const char *images, struct error *err)
{
    *m = (struct manifest){0};
    struct csv csv;
    if (csv_read(&csv, path, err)) return -1;
    struct job job = {.m = m, .path = path, .images = images, .err = err};
    for (int s = 0; s < SPLIT_COUNT; s++) m->source[s] = mem_string(path);
    char *beside = mem_format("%.*s", (int)(path_base(path) - path), path);
    m->synthetic = manifest_is_synthetic(images) || manifest_is_synthetic(*beside ? beside : ".");
    mem_free(beside);
    int status = read_rows(&job, &csv);
    bool latin1 = csv.latin1;
    csv_free(&csv); /* before the report needs memory */
    if (!status) write_report(&job, latin1);
    text_free(&job.missing);
    mem_free(job.folder);
    if (status) manifest_free(m);
    return status;
}

/* ---- writing ---- */

static void add_field(struct text *out, const char *value, const char *end)
{
    bool quote = strpbrk(value, ",\"\r\n") != NULL;
    if (quote) text_add(out, "\"");
    for (const char *p = value; *p; p++) text_add_bytes(out, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
    text_add(out, "%s%s", quote ? "\"" : "", end);
}

int manifest_write_csv(const struct manifest *m, const char *path, struct error *err)
{
    struct text out = {0};
    text_add(&out, "file,patient,figure,split,covid");
    for (int l = 0; l < LESION_COUNT; l++) text_add(&out, ",%s", lesion_names[l]);
    text_add(&out, "\n");
    for (int i = 0; i < m->count; i++) {
        const struct manifest_row *row = &m->rows[i];
        add_field(&out, row->file, ",");
        add_field(&out, row->patient, ",");
        add_field(&out, row->figure, ",");
        text_add(&out, "%s,%d", split_names[row->split], row->covid);
        for (int l = 0; l < LESION_COUNT; l++) text_add(&out, ",%d", row->lesion[l]);
        text_add(&out, "\n");
    }
    int status = file_write_atomic(path, out.data, out.length, err);
    text_free(&out);
    return status;
}
