/* manifest_covid_ct.c - the folder of COVID-CT with LA-DNN's labels, as it is published.
 *
 * Labels and split come from train_meta.csv, val_meta.csv and test_meta.csv; patients from the two MetaInfo files, whose
 * labels must agree. A name there may lack its extension. A lesion cell holds the label's own name or nothing. */
#include <ctype.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/pack/manifest_private.h"

enum { NEGATIVE, POSITIVE, CLASSES };
static const char *const class_folders[CLASSES] = {"CT_NonCOVID", "CT_COVID"};
static const char *const meta_names[CLASSES] = {"NonCOVID-CT-MetaInfo.csv", "COVID-CT-MetaInfo_new.csv"};

struct picture { /* a file of an image folder, and what the MetaInfo file says of it */
    const char *name;
    const char *patient; /* NULL: no row; borrowed from the CSV */
    int covid, line;
    unsigned char lesion[LESION_COUNT];
    bool listed;         /* in a split */
};
struct job {
    struct manifest *m;
    char *folder, *meta_path[CLASSES];
    char **names[CLASSES]; /* of the image folders, sorted */
    struct picture *pictures[CLASSES];
    int count[CLASSES];
    struct name_index index[CLASSES];
    struct csv meta[CLASSES], splits[SPLIT_COUNT];
    struct text completed, missing, orphans; /* lists for the report */
    int orphan_count, split_rows;
    struct error *err;
};

/* ---- cells ---- */

/* "Csld", or the name in brackets: "consolidation(Csld)". */
static int lesion_of_header(const char *text)
{
    const char *open = strrchr(text, '(');
    size_t length = strlen(text);
    char name[32];
    if (!open || text[length - 1] != ')') return lesion_from_name(text);
    snprintf(name, sizeof name, "%.*s", (int)(text + length - 1 - (open + 1)), open + 1);
    return lesion_from_name(name);
}

/* Five lesion columns from `first` on, in any order. */
static int read_lesion_header(struct job *job, const char *path, const struct csv_row *row, int first, int column[LESION_COUNT])
{
    for (int l = 0; l < LESION_COUNT; l++) column[l] = -1;
    for (int f = first; f < first + LESION_COUNT; f++) {
        int l = f < row->count ? lesion_of_header(row->fields[f]) : -1;
        if (f >= row->count) return error_set(job->err, "%s:%d: fewer than five lesion columns", path, row->line);
        if (l < 0) return manifest_unknown_lesion(job->err, path, row->line, row->fields[f]);
        if (column[l] >= 0)
            return error_set(job->err, "%s:%d: the lesion '%s' has two columns", path, row->line, lesion_names[l]);
        column[l] = f;
    }
    return 0;
}

static int read_lesions(struct job *job, const char *path, const struct csv_row *row, const int column[LESION_COUNT],
                        unsigned char lesion[LESION_COUNT])
{
    for (int l = 0; l < LESION_COUNT; l++) {
        const char *cell = row->fields[column[l]];
        lesion[l] = *cell != 0;
        int found = *cell ? lesion_from_name(cell) : l;
        if (found < 0) return manifest_unknown_lesion(job->err, path, row->line, cell);
        if (found != l)
            return error_set(job->err, "%s:%d: '%s' in the column of '%s'", path, row->line, cell, lesion_names[l]);
    }
    return 0;
}

static int read_covid(struct job *job, const char *path, const struct csv_row *row, int column, int *covid)
{
    const char *cell = row->fields[column];
    *covid = !strcmp(cell, "CVD19");
    if (*covid || !*cell) return 0;
    return error_set(job->err, "%s:%d: unknown label '%s' (known: CVD19, or nothing)", path, row->line, cell);
}

static int check_width(struct job *job, const char *path, const struct csv_row *row, const struct csv_row *header)
{
    if (row->count == header->count) return 0;
    return error_set(job->err, "%s:%d: %d fields, the header has %d", path, row->line, row->count, header->count);
}

/* ---- image folders ---- */

static int list_pictures(struct job *job, int c)
{
    char *path = path_join(job->folder, class_folders[c]);
    int status = folder_list(&job->names[c], &job->count[c], path, job->err);
    mem_free(path);
    if (status) {
        job->count[c] = 0;
        return error_hint(job->err, "the preset covid-ct needs %s/, %s/, %s, %s and train_meta.csv, val_meta.csv, test_meta.csv",
                          class_folders[POSITIVE], class_folders[NEGATIVE], meta_names[POSITIVE], meta_names[NEGATIVE]);
    }
    job->pictures[c] = NEW_ARRAY(struct picture, job->count[c]);
    name_index_make(&job->index[c], job->count[c]);
    for (int i = 0; i < job->count[c]; i++) {
        job->pictures[c][i].name = job->names[c][i];
        job->index[c].entries[i] = (struct name_entry){job->names[c][i], i};
    }
    name_index_sort(&job->index[c]);
    return 0;
}

/* The picture that a CSV calls `name`: that file, or the only one with an extension added. *picture is NULL when there
 * is none. */
static int find_picture(struct job *job, int c, const char *name, const char *path, int line, struct picture **picture)
{
    static const char *const extensions[] = {".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG"};
    *picture = NULL;
    int found = name_index_find(&job->index[c], name);
    if (found >= 0) *picture = &job->pictures[c][found];
    if (found >= 0 || manifest_is_image_name(name)) return 0;
    for (size_t e = 0; e < sizeof extensions / sizeof *extensions; e++) {
        char *full = mem_format("%s%s", name, extensions[e]);
        found = name_index_find(&job->index[c], full);
        mem_free(full);
        if (found < 0) continue;
        if (*picture)
            return error_set(job->err, "%s:%d: '%s' lacks its extension and may be %s or %s", path, line, name,
                             (*picture)->name, job->names[c][found]);
        *picture = &job->pictures[c][found];
    }
    if (*picture) {
        job->m->matched_without_extension++;
        text_add(&job->completed, "  %s:%d: %s is %s/%s\n", path_base(path), line, name, class_folders[c], (*picture)->name);
    }
    return 0;
}

/* ---- MetaInfo ---- */

static int take_meta(struct job *job, int c, const struct csv_row *row, const char *name, const char *patient,
                     struct picture **picture)
{
    const char *path = job->meta_path[c];
    if (manifest_is_blank(patient)) return error_set(job->err, "%s:%d: '%s' has no patient", path, row->line, name);
    if (find_picture(job, c, name, path, row->line, picture)) return -1;
    struct picture *p = *picture;
    if (!p) {
        job->orphan_count++;
        text_add(&job->orphans, "  %s:%d: %s\n", path_base(path), row->line, name);
        return 0;
    }
    if (p->patient)
        return error_set(job->err, "%s:%d: '%s' was listed before, in line %d", path, row->line, p->name, p->line);
    p->patient = patient;
    p->covid = c;
    p->line = row->line;
    return 0;
}

static int read_negative_meta(struct job *job)
{
    enum { NAME = 1, PATIENT, FIELDS };
    const struct csv *csv = &job->meta[NEGATIVE];
    const struct csv_row *header = &csv->rows[0];
    if (!csv->count || header->count != FIELDS || strcmp(header->fields[NAME], "image name") ||
        strcmp(header->fields[PATIENT], "patient id"))
        return error_set(job->err, "%s:1: the header must be ',image name,patient id'", job->meta_path[NEGATIVE]);
    for (int r = 1; r < csv->count; r++) {
        const struct csv_row *row = &csv->rows[r];
        struct picture *p;
        if (check_width(job, job->meta_path[NEGATIVE], row, header) ||
            take_meta(job, NEGATIVE, row, row->fields[NAME], row->fields[PATIENT], &p))
            return -1;
    }
    return 0;
}

static int read_positive_meta(struct job *job)
{
    enum { NAME, PATIENT, COVID, LESION, CAPTION = LESION + LESION_COUNT, FIELDS };
    const char *path = job->meta_path[POSITIVE];
    const struct csv *csv = &job->meta[POSITIVE];
    const struct csv_row *header = &csv->rows[0];
    int column[LESION_COUNT], covid;
    if (!csv->count || header->count != FIELDS || strcmp(header->fields[COVID], "C0VID19"))
        return error_set(job->err, "%s:1: the header must have %d fields, the third 'C0VID19'", path, FIELDS);
    if (read_lesion_header(job, path, header, LESION, column)) return -1;
    for (int r = 1; r < csv->count; r++) {
        const struct csv_row *row = &csv->rows[r];
        unsigned char lesion[LESION_COUNT];
        struct picture *p;
        if (check_width(job, path, row, header) || read_covid(job, path, row, COVID, &covid) ||
            read_lesions(job, path, row, column, lesion) ||
            take_meta(job, POSITIVE, row, row->fields[NAME], row->fields[PATIENT], &p))
            return -1;
        if (!covid) return error_set(job->err, "%s:%d: a row of the positives without CVD19", path, row->line);
        if (p) memcpy(p->lesion, lesion, sizeof lesion);
    }
    return 0;
}

/* ---- split ---- */

/* The source figure of a positive is what its name says up to the page and figure numbers, "2020.03.12.20034686-p17-91",
 * without the panel ("-3", "_1", "%0"). Other names: all before the panel's "%". Negatives have numbers for names, which
 * are no figures: "". */
static char *figure_of(const char *name, int c)
{
    if (c == NEGATIVE) return mem_string("");
    for (const char *p = strstr(name, "-p"); p; p = strstr(p + 1, "-p")) {
        const char *q = p + 2;
        if (!isdigit((unsigned char)*q)) continue;
        while (isdigit((unsigned char)*q)) q++;
        if (*q != '-' || !isdigit((unsigned char)q[1])) continue;
        for (q++; isdigit((unsigned char)*q);) q++;
        return mem_format("%.*s", (int)(q - name), name);
    }
    size_t stem = (size_t)(strrchr(name, '.') ? strrchr(name, '.') - name : (long)strlen(name));
    const char *panel = memrchr(name, '%', stem);
    return mem_format("%.*s", (int)(panel ? (size_t)(panel - name) : stem), name);
}

static int check_agreement(struct job *job, const char *path, const struct csv_row *row, int covid,
                           const unsigned char lesion[LESION_COUNT], const struct picture *p)
{
    const char *meta = job->meta_path[covid];
    if (!p->patient) return error_set(job->err, "%s:%d: '%s' has no row, so no patient, in %s", path, row->line, p->name, meta);
    for (int l = 0; l < LESION_COUNT; l++)
        if (lesion[l] != p->lesion[l])
            return error_set(job->err, "%s:%d: '%s' %s %s, but %s:%d says the opposite", path, row->line, p->name,
                             lesion[l] ? "has" : "does not have", lesion_names[l], meta, p->line);
    return 0;
}

static int take_row(struct job *job, enum split split, const struct csv_row *row, int covid, const unsigned char lesion[LESION_COUNT])
{
    const char *path = job->m->source[split], *name = row->fields[0];
    struct picture *p, *other;
    if (find_picture(job, covid, name, path, row->line, &p)) return -1;
    if (!p) {
        if (find_picture(job, !covid, name, path, row->line, &other)) return -1;
        if (other)
            return error_set(job->err, "%s:%d: '%s' is labelled %s but lies in %s", path, row->line, name,
                             covid ? "CVD19" : "without CVD19", class_folders[!covid]);
        job->m->missing_files++;
        text_add(&job->missing, "  %s:%d: %s/%s\n", path_base(path), row->line, class_folders[covid], name);
        return 0;
    }
    if (check_agreement(job, path, row, covid, lesion, p)) return -1;
    struct manifest_row *to = manifest_add(job->m);
    char *file = mem_format("%s/%s", class_folders[covid], p->name);
    to->file = text_name_encode(file);
    mem_free(file);
    to->patient = manifest_trim(p->patient);
    to->figure = figure_of(p->name, covid);
    to->covid = covid;
    memcpy(to->lesion, lesion, LESION_COUNT);
    to->split = split;
    to->line = row->line;
    p->listed = true;
    job->m->matched++;
    return 0;
}

static int read_split(struct job *job, enum split split)
{
    enum { NAME, COVID, LESION, FIELDS = LESION + LESION_COUNT };
    const char *path = job->m->source[split];
    const struct csv *csv = &job->splits[split];
    const struct csv_row *header = &csv->rows[0];
    int column[LESION_COUNT], covid;
    if (!csv->count || header->count != FIELDS || strcmp(header->fields[NAME], "imgname") ||
        strcmp(header->fields[COVID], "CVD19"))
        return error_set(job->err, "%s:1: the header must be 'imgname,CVD19' and five lesions", path);
    if (read_lesion_header(job, path, header, LESION, column)) return -1;
    for (int r = 1; r < csv->count; r++) {
        const struct csv_row *row = &csv->rows[r];
        unsigned char lesion[LESION_COUNT];
        if (check_width(job, path, row, header) || read_covid(job, path, row, COVID, &covid) ||
            read_lesions(job, path, row, column, lesion) || take_row(job, split, row, covid, lesion))
            return -1;
        job->split_rows++;
    }
    return 0;
}

/* ---- all of it ---- */

static void add_list(struct text *report, int count, const char *what, const struct text *list)
{
    text_add(report, "%s: %d\n%s", what, count, list->length ? list->data : "");
}

static void write_report(struct job *job)
{
    struct manifest *m = job->m;
    struct text unlisted = {0}, beside = {0};
    for (int c = CLASSES - 1; c >= 0; c--)
        for (int i = 0; i < job->count[c]; i++)
            if (!job->pictures[c][i].listed) {
                m->unlisted_files++;
                text_add(&unlisted, "  %s/%s\n", class_folders[c], job->pictures[c][i].name);
            }
    text_add(&m->report, "rows of the split with image, patient and labels: %d of %d\n", m->matched, job->split_rows);
    for (int c = 0; c < CLASSES; c++)
        if (job->meta[c].latin1) text_add(&m->report, "%s: not UTF-8, read as Latin-1\n", meta_names[c]);
    add_list(&m->report, m->matched_without_extension, "rows whose file name lacks its extension, matched", &job->completed);
    add_list(&m->report, m->missing_files, "rows of the split without a file", &job->missing);
    add_list(&m->report, job->orphan_count, "rows of the MetaInfo files without a file", &job->orphans);
    add_list(&m->report, m->unlisted_files, "files that no split lists", &unlisted);
    m->beside = manifest_list_beside(&beside, job->folder, "", class_folders, CLASSES);
    add_list(&m->report, m->beside, "beside the classes, not looked into", &beside);
    manifest_finish_report(m);
    text_free(&unlisted);
    text_free(&beside);
}

static int read_all(struct job *job)
{
    for (int c = 0; c < CLASSES; c++) {
        job->meta_path[c] = path_join(job->folder, meta_names[c]);
        if (list_pictures(job, c)) return -1;
    }
    for (int c = 0; c < CLASSES; c++)
        if (csv_read(&job->meta[c], job->meta_path[c], job->err)) return -1;
    if (read_positive_meta(job) || read_negative_meta(job)) return -1;
    for (int s = 0; s < SPLIT_COUNT; s++) {
        char *name = mem_format("%s_meta.csv", split_names[s]);
        job->m->source[s] = path_join(job->folder, name);
        mem_free(name);
        if (csv_read(&job->splits[s], job->m->source[s], job->err) || read_split(job, (enum split)s)) return -1;
    }
    if (!job->m->count) return error_set(job->err, "%s: no row of the split names a file here", job->folder);
    return manifest_check_doubles(job->m, job->err);
}

static void job_free(struct job *job)
{
    for (int c = 0; c < CLASSES; c++) {
        csv_free(&job->meta[c]);
        if (job->names[c]) folder_list_free(job->names[c], job->count[c]);
        mem_free(job->pictures[c]);
        mem_free(job->meta_path[c]);
        name_index_free(&job->index[c]);
    }
    for (int s = 0; s < SPLIT_COUNT; s++) csv_free(&job->splits[s]);
    mem_free(job->folder);
    text_free(&job->completed);
    text_free(&job->missing);
    text_free(&job->orphans);
}

int manifest_read_covid_ct(struct manifest *m, const char *folder, struct error *err)
{
    *m = (struct manifest){0};
    struct job job = {.m = m, .folder = mem_string(folder), .err = err};
    m->synthetic = manifest_is_synthetic(folder);
    int status = read_all(&job);
    if (!status) write_report(&job);
    job_free(&job);
    if (status) manifest_free(m);
    return status;
}
