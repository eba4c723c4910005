/* loop.c - epochs, validation, the best weights, checkpoints, the agreed stop, the test. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "dist/stop.h"
#include "train/trainer.h"

static bool out_of_time(const struct trainer *t)
{
    return (t->c.time_limit_s > 0 && clock_s() - t->started_s >= t->c.time_limit_s) ||
           (t->c.max_steps > 0 && t->at.step >= t->c.max_steps);
}

/* Rank 0's clock decides for all, so that the ranks agree. */
static bool checkpoint_due(const struct trainer *t)
{
    return t->run && t->c.checkpoint_every_s > 0 && clock_s() - t->saved_s >= t->c.checkpoint_every_s;
}

static int record_line(struct trainer *t, struct text *line, struct error *err)
{
    t->at.record_bytes = run_record_add(t->run, line->data, err);
    text_free(line);
    return t->at.record_bytes < 0 ? -1 : 0;
}

static int record_step(struct trainer *t, const struct loss_sums *loss, double norm, struct error *err)
{
    struct text line = {0};
    struct json j;
    if (!t->run) return 0;
    json_open(&j, &line, false);
    json_object(&j, NULL);
    json_string(&j, "type", "step");
    json_int(&j, "step", t->at.step);
    json_int(&j, "epoch", t->at.epoch + 1);
    json_number(&j, "loss", loss->loss);
    json_number(&j, "covid_loss", loss->covid / t->pass.total_images);
    json_number(&j, "gradient_norm", norm);
    json_end_object(&j);
    return record_line(t, &line, err);
}

static void show_progress(struct trainer *t, struct progress *p, double loss, double started_s, int64_t images_before)
{
    double spent = t->data_s + t->compute_s + t->comm_s, wall = clock_s() - started_s;
    if (spent <= 0) spent = 1;
    progress_update(p, t->at.batch, "loss %.4f | %.1f img/s | data %.0f%% compute %.0f%% comm %.0f%%", loss,
                    (double)(t->at.images - images_before) / wall, 100 * t->data_s / spent, 100 * t->compute_s / spent,
                    100 * t->comm_s / spent);
}

/* Between two steps: what any rank wants. `rc` and err: of writing the step down. *stop: all ranks agreed to end here; a checkpoint has
 * been written. */
static int agree(struct trainer *t, int rc, bool *stop, struct error *err)
{
    enum { FAIL, STOP, SAVE, WISHES };
    bool measure = pace_wants_save(t);
    double any[WISHES] = {[FAIL] = rc != 0, [STOP] = stop_asked() || out_of_time(t), [SAVE] = measure || checkpoint_due(t)};
    comm_max_double(t->comm, any, WISHES, "agreeing on a stop");
    *stop = any[STOP] > 0;
    if (any[FAIL] > 0) return comm_agree(t->comm, rc, err, "writing the record");
    if ((any[STOP] > 0 || any[SAVE] > 0) && trainer_save(t, err)) return -1;
    if (measure) pace_judge_lead(t);
    return 0;
}

/* The rest of an epoch. *stop: all ranks agreed to end here; a checkpoint has been written. */
static int train_epoch(struct trainer *t, bool *stop, struct error *err)
{
    struct progress progress;
    double started_s = clock_s();
    int64_t images_before = t->at.images;
    t->data_s = t->compute_s = t->comm_s = 0;
    train_start_epoch(t);
    pace_start_epoch(&t->pace);
    progress_start(&progress, t->batches, "epoch %d/%d", t->at.epoch + 1, t->c.epochs);
    while (t->at.batch < t->batches) {
        struct loss_sums loss;
        double norm;
        if (train_step(t, &loss, &norm, err)) return -1;
        if (!t->stepped) log_info("first step done %.1f s after the start", clock_s() - t->started_s);
        t->stepped = true;
        pace_step(&t->pace);
        int rc = record_step(t, &loss, norm, err);
        trainer_tell_sometimes(t);
        show_progress(t, &progress, loss.loss, started_s, images_before);
        if (agree(t, rc, stop, err)) return -1;
        if (*stop) break;
    }
    progress_end(&progress);
    return 0;
}

static int save_best(struct trainer *t, const struct evaluation *e, struct error *err)
{
    char epoch[16], covid[32], *draft;
    int rc = 0;
    if (t->at.best_epoch >= 0 && !(e->covid < t->at.best_covid)) return 0;
    t->at.best_epoch = t->at.epoch;
    t->at.best_covid = e->covid;
    if (t->run) {
        snprintf(epoch, sizeof epoch, "%d", t->at.epoch + 1);
        snprintf(covid, sizeof covid, "%.17g", e->covid);
        struct tensor_attribute a[] = {{"backbone", t->graph->backbone}, {"epoch", epoch}, {"val_covid_loss", covid},
                                       {"version", LADNN_VERSION},
                                       {"notice", dataset_notice(t->data)}};
        draft = run_folder_draft(t->run, "best.h5");
        rc = fence_check(run_folder_fence(t->run), err) || weights_save(t->net, t->graph, draft, a, sizeof a / sizeof *a, err) ? -1 : 0;
        if (!rc) rc = run_folder_publish(t->run, "best.h5", err);
        mem_free(draft);
    }
    return comm_agree(t->comm, rc, err, "writing the best weights");
}

static int record_epoch(struct trainer *t, const struct evaluation *e, double seconds, struct error *err)
{
    struct text line = {0};
    struct json j;
    double train_loss = t->at.loss_sum / (double)t->at.images, lr = optim_lr(&t->c.optim, t->at.epoch);
    double spent = t->data_s + t->compute_s + t->comm_s;
    log_info("epoch %d/%d: train loss %.4f, val loss %.4f, val COVID loss %.4f%s, %.1f s (%.1f img/s; data %.1f compute %.1f comm %.1f s)",
             t->at.epoch + 1, t->c.epochs, train_loss, e->loss, e->covid, t->at.best_epoch == t->at.epoch ? " (best)" : "",
             seconds, spent > 0 ? (double)t->at.images / spent : 0, t->data_s, t->compute_s, t->comm_s);
    if (!t->run) return 0;
    json_open(&j, &line, false);
    json_object(&j, NULL);
    json_string(&j, "type", "epoch");
    json_int(&j, "epoch", t->at.epoch + 1);
    json_int(&j, "step", t->at.step);
    json_number(&j, "lr", lr);
    json_number(&j, "train_loss", train_loss);
    json_number(&j, "train_covid_loss", t->at.covid_sum / (double)t->at.images);
    json_number(&j, "val_loss", e->loss);
    json_number(&j, "val_covid_loss", e->covid);
    json_bool(&j, "best", t->at.best_epoch == t->at.epoch);
    json_number(&j, "seconds", seconds);
    json_number(&j, "data_s", t->data_s);
    json_number(&j, "compute_s", t->compute_s);
    json_number(&j, "comm_s", t->comm_s);
    json_end_object(&j);
    return record_line(t, &line, err);
}

/* he2020: adds this epoch's test probabilities to the vote. */
static int vote(struct trainer *t, struct error *err)
{
    struct evaluation e;
    if (!t->c.vote_last || t->at.epoch < t->c.epochs - t->c.vote_last) return 0;
    int rc = predict_split(&e, t->data, SPLIT_TEST, t->net, &t->c, t->comm, err);
    if (!rc) t->at.votes++;
    for (int64_t i = 0; e.probability && i < e.count * LOGIT_COUNT; i++) t->vote_sum[i] += e.probability[i];
    evaluation_free(&e);
    return rc;
}

static int end_epoch(struct trainer *t, double started_s, struct error *err)
{
    struct evaluation e;
    double trained_s = clock_s();
    int rc = evaluate_split(&e, t->data, SPLIT_VAL, t->net, &t->c, t->comm, err);
    evaluation_free(&e); /* the losses stay */
    if (rc) return -1;
    if (!isfinite(e.loss) || !isfinite(e.covid)) { /* the same on all ranks */
        error_set(err, "epoch %d: the validation loss is not a number", t->at.epoch + 1);
        return error_hint(err, "lower optim.lr, or set optim.clip_norm");
    }
    if (save_best(t, &e, err) || vote(t, err)) return -1;
    if (comm_agree(t->comm, record_epoch(t, &e, clock_s() - started_s, err), err, "writing the record")) return -1;
    double train_loss = t->at.loss_sum / (double)t->at.images;
    t->at.epoch++;
    t->at.batch = 0;
    t->at.images = 0;
    t->at.loss_sum = t->at.covid_sum = 0;
    rc = trainer_save(t, err);
    pace_end_epoch(&t->pace, clock_s() - trained_s, train_loss);
    if (!rc) pace_judge_lead(t);
    return rc;
}

/* ---- the test ---- */
static int write_metrics(struct trainer *t, const struct results *r, struct error *err)
{
    struct text out = {0};
    struct json j;
    json_open(&j, &out, true);
    json_object(&j, NULL);
    json_string(&j, "notice", dataset_notice(t->data));
    json_string(&j, "dataset", dataset_name(t->data));
    json_string(&j, "backbone", t->c.backbone);
    json_string(&j, "method", t->c.method);
    json_int(&j, "seed", (int64_t)t->c.seed);
    json_int(&j, "epochs", t->at.epoch);
    json_int(&j, "best_epoch", t->at.best_epoch + 1);
    json_int(&j, "votes", t->at.votes);
    json_bool(&j, "flip", t->c.test_flip);
    results_json(&j, r);
    json_end_object(&j);
    text_add(&out, "\n");
    int rc = run_folder_write(t->run, "metrics.json", &out, err);
    text_free(&out);
    return rc;
}

/* Rank 0: probabilities of the test split -> predictions.csv, metrics.json. */
static int report(struct trainer *t, const double *probability, struct error *err)
{
    struct results r;
    results_make(&r, probability, t->data, SPLIT_TEST, &t->c.threshold);
    const struct binary_metrics *m = &r.images.covid;
    log_info("test: n %" PRId64 ", sensitivity %.3f, specificity %.3f, F1 %.3f, accuracy %.3f, AUC %.3f%s", m->n, m->sensitivity,
             m->specificity, m->f1, m->accuracy, m->auc, dataset_synthetic(t->data) ? " (SYNTHETIC data)" : "");
    int rc = run_write_predictions(t->run, t->data, SPLIT_TEST, probability, err);
    return rc ? rc : write_metrics(t, &r, err);
}

static int load_best(struct trainer *t, struct error *err)
{
    char *path = path_join(t->c.out, "best.h5");
    int rc = weights_load(t->net, t->graph, path, err);
    mem_free(path);
    return comm_agree(t->comm, rc, err, "reading the best weights");
}

static int test(struct trainer *t, struct error *err)
{
    struct evaluation e = {0};
    if (!t->c.vote_last && (load_best(t, err) || choose_threshold(&t->c, t->data, t->net, t->comm, err))) return -1;
    int rc = t->c.vote_last ? 0 : predict_split(&e, t->data, SPLIT_TEST, t->net, &t->c, t->comm, err);
    if (!rc) {
        for (int64_t i = 0; t->vote_sum && i < dataset_count(t->data, SPLIT_TEST) * LOGIT_COUNT; i++) t->vote_sum[i] /= t->at.votes;
        rc = comm_agree(t->comm, t->run ? report(t, t->vote_sum ? t->vote_sum : e.probability, err) : 0, err, "writing the results");
    }
    evaluation_free(&e);
    return rc;
}

/* To the last epoch and the test, or to an agreed stop. */
static int run_epochs(struct trainer *t, enum train_end *end, struct error *err)
{
    bool stop = false;
    while (t->at.epoch < t->c.epochs && !stop) {
        double started_s = clock_s();
        if (train_epoch(t, &stop, err)) return -1;
        if (stop) break;
        if (end_epoch(t, started_s, err)) return -1;
        trainer_tell_sometimes(t);
        stop = comm_any(t->comm, stop_asked() || out_of_time(t), "agreeing on a stop"); /* its checkpoint has just been written */
    }
    *end = stop ? TRAIN_STOPPED : TRAIN_FINISHED;
    return stop ? 0 : test(t, err);
}

static const char *why_stopped(const struct trainer *t)
{
    if (*stop_reason()) return stop_reason();
    return t->c.max_steps > 0 && t->at.step >= t->c.max_steps ? "train.max_steps" : out_of_time(t) ? "train.time_limit_s" : "signal to another rank";
}

int trainer_run(struct trainer *t, enum train_end *end, struct error *err)
{
    *end = TRAIN_WAS_FINISHED;
    int rc = t->net ? run_epochs(t, end, err) : 0;
    if (rc)
        trainer_tell_failure(t, err);
    else if (*end == TRAIN_STOPPED)
        trainer_tell(t, RUN_STOPPED, why_stopped(t));
    else
        trainer_tell(t, RUN_FINISHED, NULL);
    return rc;
}
