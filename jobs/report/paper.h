/* paper.h - the numbers printed in Liu et al. 2020 (medRxiv 2020.05.11.20097907), to stand beside ours. */
#ifndef JOBS_REPORT_PAPER_H
#define JOBS_REPORT_PAPER_H
#include "io/labels.h"
#include "jobs/report/statistics.h"

/* Table 2 as a share of 1, or NaN where the paper has no such number. The data set is known by its name: d0, or d0d1 in any case and
 * with anything between (D0+D1, d0_d1). */
double paper_figure(const char *dataset, const char *backbone, const char *method, enum figure figure);
enum { PAPER_D0, PAPER_D0_D1, PAPER_SETS };
int paper_set(const char *dataset); /* one of these, or -1 */
struct paper_count {
    int images, patients;
};
extern const struct paper_count paper_counts[PAPER_SETS][2][SPLIT_COUNT]; /* Table 1: [set][COVID][split] */
#endif
