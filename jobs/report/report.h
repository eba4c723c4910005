/* report.h - the pieces of `ladnn report` (cmd_report.c): everything read and worked out, then tables, figures and the page. */
#ifndef JOBS_REPORT_REPORT_H
#define JOBS_REPORT_REPORT_H
#include "jobs/report/study.h"
#include "jobs/report/data.h"
#include "jobs/report/plot.h"

struct picture { /* a figure of the page, also a file of its own */
    char *name;    /* "figure4-d0": file name without its end */
    char *heading; /* "Figure 4, d0: ..." */
    char *caption; /* what is to be seen, as HTML-free text */
    struct plot *plot;
};
struct sheet { /* a figure 5 */
    char *folder;
    uint8_t *png;
    size_t bytes;
    int width, height;
};
struct report {
    const char *folder; /* of the runs, as given */
    uint64_t seed;      /* of the bootstrap */
    struct run_list runs;
    struct study study;
    struct data_list data;
    struct notes notes;
    struct picture *picture;
    int pictures;
    struct sheet *sheet;
    int sheets;
    bool synthetic; /* some run with figures was made from a phantom */
};
/* Takes the plot, and writes at its foot what it must not be taken for; names are copied. kind "figure4", data set d0: figure4-d0.svg. */
void report_add_picture(struct report *r, const char *kind, const char *dataset, const char *heading, const char *caption, struct plot *plot);

/* ---- tables: CSV and JSON with all digits (table.c) ---- */
int tables_write(const struct report *r, const char *out, struct error *err);

/* ---- figures; each adds its pictures, and says in the notes what cannot be drawn ---- */
void figure3_add(struct report *r);         /* the data: lesions per image, lesions together, the negatives */
void figure4_add(struct report *r);         /* ROC and precision-recall */
void figure_calibration_add(struct report *r); /* said probabilities against shares of positives */
void figure6_add(struct report *r);         /* lesion outputs against each other */
void figure_training_add(struct report *r); /* losses by epoch */
void figure_overview_add(struct report *r); /* AUC of all cells with intervals beside the paper's */

/* Baseline and LA-DNN on the same axes, and for which backbones: those of a data set with figures, the paper's three if any of them is
 * there, else all (figure_curves.c). */
extern const char *const compared_methods[2];
extern const struct plot_pen compared_pens[2];
int figure4_backbones(const char **list, int room, const struct study *g, const char *dataset);

/* ---- figure 5 (figure_maps.c) ---- */
int sheets_read(struct report *r, const char *folders, struct error *err); /* separated by commas */
int sheets_write(const struct report *r, const char *out, struct error *err);
void page_add_sheets(struct text *html, const struct report *r);
void sheets_free(struct report *r);

/* ---- the page (page.c) ---- */
void page_write(struct text *html, const struct report *r);
/* page_tables.c */
void page_add_table1(struct text *html, const struct report *r);
void page_add_table2(struct text *html, const struct report *r);
void page_add_comparisons(struct text *html, const struct report *r);
void page_add_lesions(struct text *html, const struct report *r);
void page_add_extras(struct text *html, const struct report *r);
void page_add_quantity(struct text *html, const struct quantity *q); /* "84.7 ± 1.2" over "[80.1, 88.9]" */
bool page_begins_group(const struct study *g, int cell);             /* the first of a backbone */
/* page_patients.c */
void page_add_patients(struct text *html, const struct report *r);
bool page_judges_otherwise(const struct report *r); /* than the paper: at 0.5, without mirror images */
void page_add_judging(struct text *html, const struct report *r); /* what positive means, cell by cell where they differ */
/* page_provenance.c */
void page_add_missing(struct text *html, const struct report *r);
void page_add_provenance(struct text *html, const struct report *r);
void html_add(struct text *html, const char *text); /* escaped */
#endif
