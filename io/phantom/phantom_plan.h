/* phantom_plan.h - private to io/phantom*.c: which pictures the set has, before any is drawn. */
#ifndef IO_PHANTOM_PHANTOM_PLAN_H
#define IO_PHANTOM_PHANTOM_PLAN_H
#include <stdbool.h>
#include "io/phantom/phantom.h"

enum phantom_mode { PHANTOM_GREY, PHANTOM_RGB, PHANTOM_RGBA };
struct phantom_row {
    struct phantom_case what;
    enum split split;
    char *file;          /* in CT_COVID or CT_NonCOVID, with its extension */
    char *patient;       /* "Patient 7", "crawled_patient_3", "medpix_patient_3" */
    char *caption;       /* positives */
    bool bare;           /* the meta table names it without its extension */
    bool jpeg;           /* JPEG data, whatever the extension says */
    bool tinted;         /* its channels differ a little */
    enum phantom_mode mode;
    int height, width;
};
struct phantom_plan {
    struct phantom_row *rows; /* D0 before D1, positives before negatives, then train, val, test */
    int count, room;
    int patients[2]; /* negatives, positives */
};
/* Depends on seed, set and scale alone. Free with phantom_plan_free. */
void phantom_plan_make(struct phantom_plan *plan, const struct phantom_options *options);
void phantom_plan_free(struct phantom_plan *plan);
#endif
