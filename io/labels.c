/* labels.c - the fixed names; their order is the order of logits, columns and stored labels everywhere. */
#include "io/labels.h"

#include <string.h>

const char *const lesion_names[LESION_COUNT] = {"GGO", "Csld", "CrPa", "AirBr", "InSepThi"};
const char *const lesion_titles[LESION_COUNT] = {"ground glass opacity", "consolidation", "crazy paving pattern",
                                                 "air bronchograms", "interlobular septal thickening"};
const char *const split_names[SPLIT_COUNT] = {"train", "val", "test"};

static int find_name(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(names[i], name)) return i;
    return -1;
}

int lesion_from_name(const char *name)
{
    return find_name(lesion_names, LESION_COUNT, name);
}

int split_from_name(const char *name)
{
    return find_name(split_names, SPLIT_COUNT, name);
}
