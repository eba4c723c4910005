/* study.h - runs put together: a cell is one (data set, backbone, method) with its seeds; a comparison is LA-DNN against the
 * baseline of the same data set and backbone. What may not be put together is refused, with the reason. */
#ifndef JOBS_REPORT_STUDY_H
#define JOBS_REPORT_STUDY_H
#include "jobs/report/run.h"
#include "jobs/report/statistics.h"

enum { /* what is worked out for a cell: the figures of the diagnosis by image, the AUC of each lesion, the figures by patient (a patient's
          probability is the mean over the images), and of the probabilities by image, Brier score and expected calibration error */
    QUANTITY_LESION = FIGURE_COUNT,
    QUANTITY_PATIENT = QUANTITY_LESION + LESION_COUNT,
    QUANTITY_BRIER = QUANTITY_PATIENT + FIGURE_COUNT,
    QUANTITY_CALIBRATION,
    QUANTITY_COUNT
};
struct quantity {
    double mean, deviation;   /* over the seeds */
    struct interval interval; /* of the mean: other patients, the same networks. The calibration error has none: it is too high by chance
    where bins hold few images, and in resampled images, fewer of them different, higher still */
};
/* An interval needs so many patients of the rarer class: resampling fewer, it would look narrow and mean nothing. */
enum { INTERVAL_PATIENTS_MIN = 5 };
struct study_cell {
    const char *dataset, *backbone, *method; /* borrowed from the runs */
    const struct run **listed; /* all runs of this cell, by seed */
    int listed_count;
    const struct run **run;    /* those with numbers: the cell's seeds */
    int runs;
    char *refused;             /* why there are no figures although there are runs, or NULL */
    int patients[LOGIT_COUNT]; /* with a positive image: COVID, then each lesion */
    double *value;             /* (runs, QUANTITY_COUNT) */
    struct quantity quantity[QUANTITY_COUNT];
    double *replicate, *left_out; /* means over the seeds (QUANTITY_COUNT, BOOTSTRAP_REPLICATES), (QUANTITY_COUNT, clusters) */
};
struct comparison {
    const struct study_cell *baseline, *ladnn;
    char *refused;
    struct contrast auc;            /* of the mean AUCs over the seeds of each */
    double adjusted_p, adjusted_patient_p; /* Holm, over all comparisons of the report */
    struct quantity difference[QUANTITY_COUNT]; /* LA-DNN less baseline, paired by patient; deviation: paired by seed when both have the same,
    else NaN */
};
struct study {
    struct study_cell *cell; /* data sets by name, backbones in the paper's order, baseline before LA-DNN */
    int cells;
    struct comparison *comparison;
    int comparisons;
    const char *datasets[64]; /* labels */
    int dataset_count;
};
/* Notes get what is refused and what only has to be said (program versions). `runs` must outlive the grid. */
void study_make(struct study *g, const struct run_list *runs, uint64_t seed, struct notes *notes);
void study_free(struct study *g);
const struct study_cell *study_find(const struct study *g, const char *dataset, const char *backbone, const char *method); /* or NULL */
bool cell_usable(const struct study_cell *c); /* NULL is not */
/* Of the images of all its seeds together; of a usable cell. */
void cell_calibration(struct calibration *pooled, const struct study_cell *c);
const char *backbone_title(const char *name); /* "DenseNet-169" */
const char *method_title(const char *name);   /* "LA-DNN" */
int backbone_order(const char *name);         /* place in the paper's table, behind it for others */
bool quantity_is_lesion(int q);
const char *quantity_name(int q);             /* "auc", "GGO", "patient_auc", "brier" */
#endif
