/* bench_data.h - `ladnn bench load`: how fast images come from shards, beside a plain copy of the same bytes; and `ladnn bench pack`: how
 * fast pictures become shards, stage by stage. Both print a table, or JSON. */
#ifndef TRAIN_BENCH_DATA_H
#define TRAIN_BENCH_DATA_H
#include "base/error.h"
struct settings;
/* Reads bench.data, bench.batch, bench.steps (passes over the training split), bench.threads, bench.size. */
int bench_load(const struct settings *s, struct error *err);
/* Reads bench.data (a folder of pictures), bench.threads, bench.size. */
int bench_pack(const struct settings *s, struct error *err);
#endif
