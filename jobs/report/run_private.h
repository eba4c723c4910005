/* run_private.h - the part of a run behind run.h that is its result. */
#ifndef JOBS_REPORT_RUN_PRIVATE_H
#define JOBS_REPORT_RUN_PRIVATE_H
#include "base/json_read.h"
#include "jobs/report/run.h"

/* How the run was judged, its predictions and figures (run_result.c); `told` is metrics.json. What its settings do not say, or what the
 * predictions cannot have given, is an error; figures that differ go to the notes. */
int run_read_result(struct run *r, const struct json_value *told, struct notes *notes, struct error *err);
#endif
