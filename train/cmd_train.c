/* cmd_train.c - `ladnn train`: under mpirun or srun with any number of ranks, or alone. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "dist/stop.h"
#include "train/commands.h"
#include "train/trainer.h"

enum { EXIT_CONTINUE = 75 }; /* EX_TEMPFAIL: stopped with a checkpoint; the same command continues */

/* config.cfg keeps where the data are, and `ladnn eval` may be started from another folder. */
static void make_data_absolute(struct settings *s)
{
    char *whole = realpath(settings_string(s, "train.data"), NULL), *origin = mem_string(settings_origin(s, "train.data"));
    struct error ignored;
    if (whole) settings_set(s, "train.data", whole, origin, &ignored);
    mem_free(whole); /* from malloc, as everything is */
    mem_free(origin);
}

/* GPUs sum by NCCL unless asked otherwise. */
static const char *comm_kind_wanted(const struct settings *s)
{
    const char *kind = settings_string(s, "dist.backend");
    return !strcmp(kind, "auto") && !strcmp(settings_string(s, "train.backend"), "cuda") ? "nccl" : kind;
}

static int run(struct settings *s, struct error *err)
{
    make_data_absolute(s);
    stop_install(settings_string(s, "train.stop_signal")); /* before MPI starts, which takes a second: the warning may come then */
    struct comm *comm = comm_open(comm_kind_wanted(s), settings_float(s, "dist.timeout_s"), err);
    enum train_end end = TRAIN_FINISHED;
    if (!comm) return -1;
    struct trainer *t = trainer_open(s, comm, err);
    int rc = t ? trainer_run(t, &end, err) : -1;
    if (!rc && end == TRAIN_STOPPED)
        log_info("stopped%s%s at step %lld with a checkpoint; the same command continues", *stop_reason() ? " by " : "",
                 stop_reason(), (long long)t->at.step);
    if (!rc && end == TRAIN_WAS_FINISHED) log_info("%s: finished already (metrics.json); --overwrite begins anew", settings_string(s, "train.out"));
    if (!rc && end == TRAIN_FINISHED) log_info("results in %s (research use only)", settings_string(s, "train.out"));
    trainer_close(t);
    comm_close(comm);
    return rc ? -1 : end == TRAIN_STOPPED ? EXIT_CONTINUE : 0;
}

const struct command command_train = {
    .name = "train", .groups = "train model gpu optim augment dist loader test",
    .summary = "train a network on HDF5 shards, on any number of ranks",
    .usage = "--config FILE --data DIR --out RUN [--set key=value ...]", .on_ranks = true, .run = run};
