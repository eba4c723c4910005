/* predictions.h - predictions.csv of a run, judged: what is cut, doubled or no probability is refused by name. */
#ifndef JOBS_REPORT_PREDICTIONS_H
#define JOBS_REPORT_PREDICTIONS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "io/labels.h"

struct predictions { /* all 0: none */
    int64_t n;
    char **file, **patient; /* (n) */
    uint8_t *label;         /* (n, 6) COVID and five lesions */
    double *probability;    /* (n, 6); NaN: the network has no such output */
    int *cluster;           /* (n) the patient's number, in order of first appearance */
    int clusters;
    bool synthetic;
};
int predictions_read(struct predictions *p, const char *path, struct error *err);
void predictions_free(struct predictions *p);
/* Whether two runs were tested on the same images with the same labels, in the same order. */
bool predictions_same_images(const struct predictions *a, const struct predictions *b);
#endif
