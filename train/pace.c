/* pace.c - see pace.h. */
#include "train/pace.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/trainer.h"

static const double TELL_EVERY_S = 2;

void pace_start(struct pace *p) { *p = (struct pace){.told_loss = NAN}; }

void pace_start_epoch(struct pace *p)
{
    if (p->step_ended_s > 0) p->step_ended_s = clock_s();
}

void pace_step(struct pace *p)
{
    double now_s = clock_s();
    if (p->step_ended_s > 0) {
        p->steps++;
        p->step_s = now_s - p->step_ended_s;
        p->steps_s += p->step_s;
    }
    p->step_ended_s = now_s;
}

void pace_end_epoch(struct pace *p, double seconds, double train_loss)
{
    p->told_loss = train_loss;
    p->ends++;
    p->ends_s += seconds;
    p->end_s = seconds;
}

double pace_left_s(const struct trainer *t)
{
    const struct pace *p = &t->pace;
    if (!p->steps) return NAN;
    double step_s = p->steps_s / (double)p->steps;
    double val = (double)dataset_count(t->data, SPLIT_VAL), test = (double)dataset_count(t->data, SPLIT_TEST);
    double end_s = p->ends ? p->ends_s / (double)p->ends : val * step_s / t->c.batch;
    int epochs = t->c.epochs - t->at.epoch, votes = t->c.vote_last - t->at.votes;
    double tests = t->c.vote_last ? votes : 1;
    return step_s * ((double)epochs * t->batches - t->at.batch) + end_s * (epochs + tests * test / val);
}

/* ---- the lead of a warning signal ---- */
bool pace_wants_save(const struct trainer *t) { return t->c.lead_s > 0 && t->pace.steps == 1; }

static void warn_of_lead(const struct trainer *t, double stop_s)
{
    double wanted_s = 10 * ceil(3 * stop_s / 10);
    log_warn("a stop takes %.1f s, more than half of train.lead_s = %g: the job may end before its checkpoint stands; let the warning come "
             "%.0f s before the end (Slurm: --signal=USR2@%.0f with train.stop_signal = usr2) and set train.lead_s = %.0f (in a grid: slurm.lead_s)",
             stop_s, t->c.lead_s, wanted_s, wanted_s, wanted_s);
}

/* A signal is seen after a step; one that comes later, after the validation and the checkpoint of the epoch's end. */
void pace_judge_lead(struct trainer *t)
{
    struct pace *p = &t->pace;
    double stop_s = p->save_s + p->step_s;
    if (t->c.lead_s <= 0 || p->steps == 0) return;
    if (p->stop_s == 0) {
        log_info("a stop takes about %.1f s (save %.1f s + step %.1f s); the warning comes %g s before the end", stop_s, p->save_s, p->step_s, t->c.lead_s);
    } else {
        stop_s = p->end_s;
        if (stop_s < 1.5 * p->stop_s || stop_s <= t->c.lead_s / 2) return;
        log_info("a stop during the end of an epoch takes about %.1f s (validation, best weights, save); the warning comes %g s before the end",
                 stop_s, t->c.lead_s);
    }
    if (stop_s > t->c.lead_s / 2) warn_of_lead(t, stop_s);
    p->stop_s = stop_s;
}

/* ---- progress.json ---- */
/* To 1 / parts: short in the file. */
static double rounded(double x, double parts) { return round(x * parts) / parts; }

static void tell(struct trainer *t, enum run_state state, const char *error, const char *reason)
{
    if (!t->run) return;
    if (t->at.images) t->pace.told_loss = t->at.loss_sum / (double)t->at.images;
    bool over = t->at.epoch >= t->c.epochs;
    struct progress_state p = {.state = state, .epoch = over ? t->c.epochs : t->at.epoch + 1, .epochs = t->c.epochs,
        .batch = over ? t->batches : t->at.batch, .batches = t->batches, .step = t->at.step,
        .train_loss = t->pace.told_loss, .seconds = rounded(clock_s() - t->started_s, 1e3),
        .eta_s = state == RUN_FINISHED ? 0 : rounded(pace_left_s(t), 10)};
    snprintf(p.error, sizeof p.error, "%s", error ? error : "");
    snprintf(p.signal, sizeof p.signal, "%s", reason ? reason : "");
    struct error err;
    char *path = run_folder_file(t->run, "progress.json");
    t->pace.told_s = clock_s();
    struct fence *fence = run_folder_fence(t->run);
    if (progress_write(path, &p, fence, &err) && !fence_lost(fence) && !t->pace.warned) {
        t->pace.warned = true;
        log_warn("%s", err.message);
    }
    mem_free(path);
}

void trainer_tell(struct trainer *t, enum run_state state, const char *reason) { tell(t, state, NULL, reason); }

void trainer_tell_failure(struct trainer *t, struct error *err)
{
    if (t->run && !fence_check(run_folder_fence(t->run), err)) tell(t, RUN_FAILED, err->message, NULL);
}

void trainer_tell_sometimes(struct trainer *t)
{
    if (t->run && clock_s() - t->pace.told_s >= TELL_EVERY_S) trainer_tell(t, RUN_RUNNING, NULL);
}
