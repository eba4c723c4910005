/* dataset_summary.h - the counts of a data set, and how they are printed. */
#ifndef IO_SHARD_DATASET_SUMMARY_H
#define IO_SHARD_DATASET_SUMMARY_H
#include "base/text.h"
#include "io/shard/shard.h"

struct split_summary {
    int64_t images, covid, patients, covid_patients; /* covid_patients: with at least one COVID image */
    int64_t lesion[LESION_COUNT];
    int64_t grey;
    int64_t bytes; /* of pixels, unpacked */
    int height_min, height_max, width_min, width_max;
    int shards;
};
void dataset_summarise(struct split_summary summary[SPLIT_COUNT], const struct dataset *d);
/* A table for people, with what the data set says of itself above it. */
void dataset_print(struct text *out, const struct dataset *d);
/* The members of one JSON object that the caller has begun. */
void dataset_print_json(struct json *j, const struct dataset *d);
#endif
