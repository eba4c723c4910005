/* labels.c - the fixed names; their order is the order of logits, columns and stored labels everywhere. */
#include "io/labels.h"

#include <string.h>
#include <strings.h>

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

int split_from_word(const char *word)
{
    static const struct {
        const char *word;
        enum split split;
    } known[] = {{"train", SPLIT_TRAIN}, {"training", SPLIT_TRAIN}, {"val", SPLIT_VAL},   {"valid", SPLIT_VAL},
                 {"validation", SPLIT_VAL}, {"dev", SPLIT_VAL},     {"test", SPLIT_TEST}, {"testing", SPLIT_TEST}};
    static const char blank[] = " \t\r\n";
    const char *from = word + strspn(word, blank);
    size_t length = strlen(from);
    while (length && strchr(blank, from[length - 1])) length--;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].word) == length && !strncasecmp(known[i].word, from, length)) return known[i].split;
    return -1;
}

int split_from_name(const char *name)
{
    return find_name(split_names, SPLIT_COUNT, name);
}
