/* study_private.h - the parts behind study.h. */
#ifndef JOBS_REPORT_STUDY_PRIVATE_H
#define JOBS_REPORT_STUDY_PRIVATE_H
#include "jobs/report/study.h"

/* Figures, resamplings and intervals of a cell whose runs may be put together (cell_figures.c). Thread safe. */
void cell_work_out(struct study_cell *c, uint64_t seed);
struct interval interval_from(const double *replicate, double estimate, const double *left_out, int clusters);
/* Of one of the COVID labels: neither intervals nor tests then. Only after cell_work_out. */
bool cell_has_few_patients(const struct study_cell *c);
/* Differences and tests, or why not (comparison.c). */
void comparison_work_out(struct comparison *m);
#endif
