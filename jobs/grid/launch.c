/* launch.c - see launch.h. */
#include "jobs/grid/launch.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

const char *launch_program(void)
{
    static char path[PATH_MAX];
    ssize_t n = *path ? 0 : readlink("/proc/self/exe", path, sizeof path - 1);
    ASSERT(n >= 0);
    return path;
}

/* Open MPI can be started by srun only through PMIx, which not every Slurm was built with. */
static bool srun_knows_pmix(void)
{
    struct words w = {0};
    char *answer = NULL;
    words_split(&w, "srun --mpi=list");
    bool knows = words_run(&w, &answer) == 0 && strstr(answer, "pmix");
    words_free(&w);
    mem_free(answer);
    return knows;
}

int launch_find(const char **launcher, const struct settings *s, struct error *err)
{
    const char *kind = settings_string(s, "grid.launcher");
    bool automatic = !strcmp(kind, "auto");
    int64_t ranks = settings_int(s, "grid.ranks");
    bool in_job = getenv("SLURM_JOB_ID") != NULL;
    if (automatic && ranks == 1) kind = in_job && words_program_exists("srun") ? "srun" : "none"; /* a preemption's TERM goes to steps alone */
    else if (automatic && in_job && srun_knows_pmix()) kind = "srun";
    else if (automatic) kind = "mpirun";
    *launcher = !strcmp(kind, "none") ? "none" : !strcmp(kind, "srun") ? "srun" : "mpirun";
    if (!strcmp(kind, "none"))
        return ranks == 1 ? 0 : error_set(err, "grid.launcher = none starts one rank, grid.ranks is %lld", (long long)ranks);
    if (words_program_exists(kind)) return 0;
    error_set(err, "%s is not on PATH", kind);
    return error_hint(err, "load Open MPI (module load openmpi), or set grid.launcher");
}

static void add_launcher(struct words *w, const char *launcher, const struct settings *s)
{
    long long ranks = settings_int(s, "grid.ranks");
    if (!strcmp(launcher, "srun")) {
        words_add(w, "srun");
        words_add(w, "--mpi=%s", ranks == 1 ? "none" : "pmix");
        words_split(w, "--kill-on-bad-exit=1 --quit-on-interrupt"); /* one dead rank ends the step */
        words_add(w, "--ntasks=%lld", ranks);
    } else if (!strcmp(launcher, "mpirun")) {
        words_add(w, "mpirun");
        words_add(w, "-np");
        words_add(w, "%lld", ranks);
        /* mpirun would bind the ranks of every cell to the same first cores; outside of a job it counts cores only */
        words_split(w, getenv("SLURM_JOB_ID") ? "--bind-to none" : "--bind-to none --oversubscribe");
    }
    words_split(w, settings_string(s, "grid.launcher_options"));
}

void launch_words(struct words *w, const struct launch *l, const struct settings *s)
{
    add_launcher(w, l->launcher, s);
    words_add(w, "%s", launch_program());
    words_split(w, "train --config");
    words_add(w, "%s", l->config);
    words_split(w, "--out"); /* the grid's folder may have been moved or copied since the settings were written */
    words_add(w, "%s", l->cell->folder);
    words_split(w, "--stop-signal usr2");
    if (l->overwrite) words_split(w, "--overwrite");
    if (l->take_over) words_split(w, "--take-over");
    if (l->threads) words_add(w, "--threads=%d", l->threads);
    if (l->lead_s) words_add(w, "--lead-s=%d", l->lead_s);
}
