/* run.h - what report knows of a run: read from its folder, judged, and never trusted further than its predictions.
 *
 * Every figure is worked out anew from predictions.csv; metrics.json says that the run is finished, and is compared. */
#ifndef JOBS_REPORT_RUN_H
#define JOBS_REPORT_RUN_H
#include "base/error.h"
#include "base/text.h"
#include "jobs/report/predictions.h"
#include "train/results.h"

struct notes { /* lines for the page's warning box, in the order they were found */
    char **line;
    int count;
};
void notes_add(struct notes *n, const char *format, ...) __attribute__((format(printf, 2, 3)));
void notes_free(struct notes *n);

struct epoch {
    double train, validation, train_covid, validation_covid; /* losses; NaN: not recorded */
    double seconds;
};
struct run {
    char *name, *folder;                 /* as listed, and where it is */
    char *dataset, *backbone, *method;
    int64_t seed;
    char *planned;                       /* SHA-256 that identity.txt should have by the grid's list; NULL or "": not told */
    char *reason;                        /* why it has no numbers here; NULL: it has */
    bool missing;                        /* not finished, in contrast to: refused */
    char *identity;                      /* identity.txt, or NULL */
    char *data_hash, *program_hash;      /* "" when not told */
    char *version, *written, *place;     /* of the program; when; host, ranks, threads, device */
    char *data_path;                     /* train.data, or "" */
    int64_t train_images, validation_images;
    int epochs, best_epoch, votes;
    struct epoch *epoch;                 /* (epoch_count), from 1 on */
    int epoch_count;
    double seconds;                      /* of all recorded epochs, validation included */
    struct predictions predictions;      /* empty when there is a reason */
    bool flip;                           /* they are means with those of the mirror images */
    struct results results;              /* made from them, at the threshold that the run was judged at */
};
struct run_list {
    struct run *run;
    int count, room;
    bool listed; /* grid/cells.csv named them: also those that are missing */
};
/* Finds the runs of a folder and reads each. Only an unreadable list is an error; what is wrong with a run is its `reason`, what is
 * odd goes to `notes`. */
int run_list_read(struct run_list *l, const char *folder, struct notes *notes, struct error *err);
void run_list_free(struct run_list *l);
/* Fills all but name, dataset, backbone, method and seed when those are set already. */
void run_read(struct run *r, struct notes *notes);
/* Whether both say "positive" of a picture by the same rule, and both with or both without its mirror image. */
bool run_judged_alike(const struct run *a, const struct run *b);
/* The words for it: "a probability of at least 0.5, as in the paper" (mem_free). */
char *run_judging(const struct run *r);
/* Value of "key = value" in identity.txt (mem_free), or NULL. */
char *identity_value(const char *identity, const char *key);
#endif
