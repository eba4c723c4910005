/* labels.h - the task's fixed names: one COVID label, five lesion labels, three splits (PAPER: Liu et al. 2020). */
#ifndef IO_LABELS_H
#define IO_LABELS_H

enum { LESION_COUNT = 5, LOGIT_COUNT = 6 }; /* logit 0 is COVID, 1..5 the lesions in this order */
/* "GGO" "Csld" "CrPa" "AirBr" "InSepThi" */
extern const char *const lesion_names[LESION_COUNT];
extern const char *const lesion_titles[LESION_COUNT]; /* "ground glass opacity" ... */

enum split { SPLIT_TRAIN, SPLIT_VAL, SPLIT_TEST, SPLIT_COUNT };
extern const char *const split_names[SPLIT_COUNT]; /* "train" "val" "test" */

int lesion_from_name(const char *name); /* index, or -1: the caller must treat that as an error */
int split_from_name(const char *name);  /* enum split, or -1 */
/* What people write: in any case, and also training, valid, validation, dev, testing; blanks around it do not count. Or -1. */
int split_from_word(const char *word);
#endif
