/* split.h - who trains, who validates, who tests: a division of patients that keeps labels in proportion. */
#ifndef IO_PACK_SPLIT_H
#define IO_PACK_SPLIT_H
#include "io/pack/manifest.h"

struct split_options {
    uint64_t seed;
    bool by_figure;             /* patients that share a source figure stay together */
    const int *same;            /* [row] an earlier row that it must stay with, or itself; NULL: none */
    double share[SPLIT_COUNT];  /* of the patients; sum 1. The paper's: 0.60, 0.15, 0.25 */
};
/* Sets the split of every row and adds a section to the manifest's report. All images of a patient go together; each label's
 * patients (COVID, not COVID, every lesion) are divided in the same shares as far as whole patients allow: iterative
 * stratification (Sechidis et al. 2011), which serves the rarest label first. The same rows and seed make the same split. */
void split_make(struct manifest *m, const struct split_options *options);
#endif
