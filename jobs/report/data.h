/* data.h - the data that runs were trained on, for Table 1 and Figure 3: found through the runs, accepted by their hash alone. */
#ifndef JOBS_REPORT_DATA_H
#define JOBS_REPORT_DATA_H
#include "io/shard/shard.h"
#include "jobs/report/study.h"

struct data_used {
    const char *label;       /* as the runs call it; borrowed */
    const char *hash;        /* of the runs with figures; borrowed */
    struct dataset *dataset; /* NULL: not to be found, `missing` says why */
    char *path, *missing;
};
struct data_list {
    struct data_used *item;
    int count;
};
/* Tries each run's own data folder, then those of `folders` (separated by commas). */
void data_find(struct data_list *l, const struct study *g, const struct run_list *runs, const char *folders);
void data_free(struct data_list *l);
#endif
