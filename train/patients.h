/* patients.h - from images to patients: a patient's probability is the mean over the images, a label is set when it is on any of them. */
#ifndef TRAIN_PATIENTS_H
#define TRAIN_PATIENTS_H
#include <stdint.h>
#include "io/labels.h"

struct patients {
    int count;
    double *probability; /* (count, 6); NaN when an image's is */
    uint8_t *label;      /* (count, 6) */
    int mixed;           /* patients with images of both COVID labels */
};
/* Numbers equal names in order of first appearance: cluster (n). Returns how many there are. */
int patients_number(int *cluster, const char *const *name, int64_t n);
/* probability (n, 6), label (n, 6), cluster (n) below `count`, none of them empty. */
void patients_pool(struct patients *p, const double *probability, const uint8_t *label, const int *cluster, int64_t n, int count);
void patients_free(struct patients *p);
#endif
