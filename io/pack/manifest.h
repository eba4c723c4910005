/* manifest.h - which picture belongs to which patient, split and labels: from the covid-ct folder's own files or from one
 * CSV. Any unknown lesion name, split or label, any patient in two splits is an error with file:line; what is odd but
 * can be settled (a name without its extension) is settled and listed. */
#ifndef IO_PACK_MANIFEST_H
#define IO_PACK_MANIFEST_H
#include <stdbool.h>
#include "base/error.h"
#include "base/text.h"
#include "io/labels.h"

struct manifest_row {
    char *file;    /* relative to the image folder */
    char *patient;
    char *figure;  /* or "" */
    int covid;
    unsigned char lesion[LESION_COUNT];
    enum split split;
    int line;      /* in source[split] */
};
struct manifest {
    struct manifest_row *rows;
    int count;
    char *source[SPLIT_COUNT]; /* CSV of each split's rows, to name in errors; may be one and the same */
    struct text report;        /* reconciliation: what was matched how, one line each, with counts */
    int matched, matched_without_extension, missing_files, unlisted_files, figures_across_splits;
    bool synthetic;            /* the folder says SYNTHETIC (phantom) */
    int beside;                /* folders and pictures beside the classes, not looked into */
    int unread;                /* files and folders of a tree that cannot be opened */
    bool unsplit;              /* nothing says who trains: split_make must (io/pack/split.h) */
};
/* The layout of ../covid-ct: CT_COVID, CT_NonCOVID, two MetaInfo CSVs, three split CSVs. */
int manifest_read_covid_ct(struct manifest *m, const char *folder, struct error *err);
/* One CSV with a header: file, patient, covid and a column per lesion name (0/1, empty = 0); split and figure are optional. */
int manifest_read_csv(struct manifest *m, const char *csv, const char *images, struct error *err);
/* A folder for each of two classes, below train, val and test or not. No lesions are known. */
struct folder_rules {
    const char *positive; /* name of the class that is COVID; "": the one called covid, ct_covid, positive, 1 ... */
    const char *patient;  /* POSIX extended expression whose first group in a file's name is the patient; "": each its own */
};
int manifest_read_folder(struct manifest *m, const struct folder_rules *rules, const char *folder, struct error *err);
/* As manifest_read_csv reads it. Atomic. */
int manifest_write_csv(const struct manifest *m, const char *path, struct error *err);
/* Refuses a patient (and with by_figure a source figure) that occurs in two splits; names both rows. */
int manifest_check_leakage(const struct manifest *m, bool by_figure, struct error *err);
void manifest_free(struct manifest *m);
#endif
