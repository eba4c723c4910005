/* results.h - what is said of a split's probabilities: by image, by patient, and how far they can be taken at their word. */
#ifndef TRAIN_RESULTS_H
#define TRAIN_RESULTS_H
#include "io/shard/shard.h"
#include "train/calibration.h"
#include "train/metrics.h"
#include "train/threshold.h"

struct results {
    struct threshold threshold;
    struct run_metrics images;
    struct run_metrics patients;    /* of mean probabilities (train/patients.h), with the same threshold */
    int mixed_patients;             /* with images of both COVID labels: they count as positive */
    struct calibration calibration; /* of the COVID probability, by image */
};
/* probability (n, 6), label (n, 6); cluster (n) numbers the patients (train/patients.h), of whom there are `patients`. */
void results_from(struct results *r, const double *probability, const uint8_t *label, const int *cluster, int64_t n, int patients,
                  const struct threshold *t);
/* The same of a split: probability (n, 6) of its images in order. */
void results_make(struct results *r, const double *probability, const struct dataset *d, enum split split, const struct threshold *t);
/* Members "threshold", "threshold_rule", those of metrics_json, "patients" and "calibration" into the current JSON object. */
void results_json(struct json *j, const struct results *r);
/* The COVID probabilities and labels of a split, for threshold_choose. */
int results_choose(struct threshold *t, const double *probability, const struct dataset *d, enum split split, struct error *err);
#endif
