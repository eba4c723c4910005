/* table_private.h - what the writers of tables share. */
#ifndef JOBS_REPORT_TABLE_PRIVATE_H
#define JOBS_REPORT_TABLE_PRIVATE_H
#include "jobs/report/report.h"

void table_add_number(struct text *t, double value);     /* a comma and all digits, or nothing when there is no number */
void table_add_name(struct text *t, const char *name);   /* a comma, but not at the begin of a line */
int table_write_file(const char *folder, const char *name, struct text *t, struct error *err); /* frees the text */
/* table_runs.c */
int table_runs_write(const struct report *r, const char *out, struct error *err);
int table_calibration_write(const struct report *r, const char *out, struct error *err);
#endif
