/* patients.c - see patients.h. */
#include "train/patients.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* ---- names to numbers ---- */
struct named {
    const char *name;
    int64_t image;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->image < y->image ? -1 : 1;
}

int patients_number(int *cluster, const char *const *name, int64_t n)
{
    struct named *s = NEW_ARRAY(struct named, n);
    int64_t *first = NEW_ARRAY(int64_t, n); /* the patient's first image */
    int count = 0;
    for (int64_t i = 0; i < n; i++) s[i] = (struct named){name[i], i};
    if (n) qsort(s, (size_t)n, sizeof *s, by_name);
    for (int64_t i = 0; i < n; i++) first[s[i].image] = i && !strcmp(s[i].name, s[i - 1].name) ? first[s[i - 1].image] : s[i].image;
    for (int64_t i = 0; i < n; i++) cluster[i] = first[i] == i ? count++ : cluster[first[i]];
    mem_free(first);
    mem_free(s);
    return count;
}

/* ---- pooling ---- */
void patients_pool(struct patients *p, const double *probability, const uint8_t *label, const int *cluster, int64_t n, int count)
{
    int *images = NEW_ARRAY(int, count), *positive = NEW_ARRAY(int, count);
    *p = (struct patients){.count = count, .probability = NEW_ARRAY(double, (int64_t)count * LOGIT_COUNT),
                           .label = NEW_ARRAY(uint8_t, (int64_t)count * LOGIT_COUNT)};
    for (int64_t i = 0; i < n; i++) {
        int64_t at = (int64_t)cluster[i] * LOGIT_COUNT;
        for (int k = 0; k < LOGIT_COUNT; k++) {
            p->probability[at + k] += probability[i * LOGIT_COUNT + k];
            p->label[at + k] |= label[i * LOGIT_COUNT + k] != 0;
        }
        images[cluster[i]]++;
        positive[cluster[i]] += label[i * LOGIT_COUNT] != 0;
    }
    for (int c = 0; c < count; c++) {
        for (int k = 0; k < LOGIT_COUNT; k++) p->probability[(int64_t)c * LOGIT_COUNT + k] /= images[c];
        p->mixed += positive[c] > 0 && positive[c] < images[c];
    }
    mem_free(images);
    mem_free(positive);
}

void patients_free(struct patients *p)
{
    mem_free(p->probability);
    mem_free(p->label);
    *p = (struct patients){0};
}
