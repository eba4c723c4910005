/* explain.h - where a run's network looks: class activation maps (models/cam.h) of many pictures, and what is written of them. */
#ifndef TRAIN_EXPLAIN_H
#define TRAIN_EXPLAIN_H
#include "base/text.h"
#include "io/load/picture_source.h"
#include "io/tensor_file.h"
#include "models/cam.h"
#include "train/faithfulness.h"
#include "train/finished_run.h"

struct explain_options {
    int what;               /* of the six labels: 0 COVID, 1 .. 5 lesions */
    const char *what_name, *method_name;
    enum cam_method method;
    double eps;
    bool faithfulness;
    int steps;
    uint64_t seed;
};
struct explanation { /* by one run; item i is picture i of the source */
    int64_t count;
    int size, h, w;         /* the network's input and its last map */
    float *maps;            /* (count, h, w) */
    enum cam_state *state;
    double *probability;    /* (count, 6); NaN where the run has no such output */
    struct faithfulness *faithfulness; /* (count), or NULL */
    double read_s, forward_s, maps_s, faithfulness_s;
};
/* What is done with each picture besides; planes (3, size, size) as the network took them. */
struct explain_sink {
    int (*take)(void *context, const struct explanation *e, int64_t i, const float *planes, struct error *err);
    void *context;
};
/* Refuses an output that the run was not trained to give. */
int explain_check(const struct finished_run *r, const struct explain_options *o, struct error *err);
/* In batches of r->c.eval_batch, dealt as `ladnn eval` does; r was loaded with `explain`. Close also after a failure. */
int explain_pictures(struct explanation *e, struct finished_run *r, const struct picture_source *s, const struct explain_options *o,
                     const struct explain_sink *sink, struct error *err);
void explanation_close(struct explanation *e);
/* Picture i's heat, (size, size); mem_free. */
float *explanation_heat(const struct explanation *e, int64_t i);
/* Means over the pictures that have a map, of four areas; NaN when there is none. */
struct faithfulness explanation_faithfulness(const struct explanation *e, int64_t *judged);

/* ---- writing (explain_write.c) ---- */
/* The network's input as a picture; the heat in colour; both, one half each. `image` is (size, size, 3) but for a strip with a notice below an
 * overlay. image_free. */
void explain_original(struct image *image, const float *planes, int size);
void explain_heat(struct image *image, const float *heat, int size);
void explain_overlay(struct image *image, const struct image *original, const float *heat, bool notice);
/* FOLDER/NNNN-NAME-original.png, -heat.png and -overlay.png. */
int explain_write_pictures(const char *folder, const char *name, int64_t i, const float *planes, const float *heat, int size, struct error *err);
/* maps.h5, then explain.csv, which stands for "whole". `attributes`: of the maps. */
int explain_write_tables(const char *folder, const struct explanation *e, const struct picture_source *s, const struct explain_options *o,
                         const struct tensor_attribute *attributes, int attribute_count, struct error *err);

/* ---- the figure (explain_figure.c) ---- */
enum { EXPLAIN_FIGURE_ROWS = 100 };
struct explain_side { /* one of two runs */
    const char *title;             /* "DenseNet-169 LA-DNN" */
    const struct explanation *e;
};
/* A contact sheet as the paper's figure 5: a row a picture, original | heat and overlay of the first run | of the second. originals[i]: of
 * the first run's size. */
int explain_figure(const char *path, const struct picture_source *s, const struct image *originals, const struct explain_side sides[2],
                   const struct explain_options *o, const char *notice, struct error *err);
#endif
