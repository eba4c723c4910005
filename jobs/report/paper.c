/* paper.c - Tables 1 and 2 as printed. */
#include "jobs/report/paper.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

/* Percent; per figure: D0 baseline, D0 LA-DNN, D0+D1 baseline, D0+D1 LA-DNN. */
static const struct {
    const char *backbone;
    double sensitivity[4], auc[4], f1[4], accuracy[4];
} table2[] = {
    {"vgg16", {75.5, 84.7, 85.3, 88.8}, {81.3, 89.8, 92.7, 94.0}, {74.8, 83.0, 84.1, 87.9}, {75.4, 83.2, 85.1, 88.6}},
    {"resnet18", {71.4, 80.6, 75.5, 82.5}, {83.0, 88.2, 93.1, 93.1}, {74.0, 79.8, 80.6, 84.6}, {75.9, 80.2, 83.1, 86.0}},
    {"resnet50", {67.3, 78.6, 82.5, 87.4}, {87.6, 90.5, 91.6, 93.8}, {75.9, 83.2, 82.8, 86.8}, {79.3, 84.7, 84.1, 87.7}},
    {"densenet121", {77.6, 79.6, 86.0, 86.0}, {86.0, 88.7, 92.8, 93.2}, {80.0, 81.2, 84.2, 85.4}, {81.3, 82.3, 85.1, 86.4}},
    {"densenet169", {77.6, 85.7, 85.3, 87.4}, {88.2, 91.2, 93.1, 93.3}, {81.3, 84.8, 86.2, 86.8}, {82.8, 85.2, 87.3, 87.7}},
    {"efficientnet_b0", {68.4, 87.8, 86.7, 88.1}, {87.7, 90.0, 92.0, 92.4}, {74.9, 83.9, 85.2, 86.6}, {77.8, 83.7, 86.0, 87.3}},
    {"efficientnet_b1", {70.4, 77.6, 76.2, 86.0}, {84.1, 87.6, 91.6, 94.7}, {73.4, 80.0, 79.8, 87.9}, {75.4, 81.2, 82.1, 89.0}},
};

const struct paper_count paper_counts[PAPER_SETS][2][SPLIT_COUNT] = {
    {{{238, 109}, {58, 24}, {105, 42}}, {{187, 126}, {60, 32}, {98, 54}}},
    {{{398, 215}, {97, 44}, {165, 80}}, {{340, 169}, {81, 34}, {143, 66}}},
};

int paper_set(const char *dataset)
{
    char name[16] = "";
    size_t n = 0;
    for (const char *p = dataset; *p; p++)
        if (isalnum((unsigned char)*p) && n + 1 < sizeof name) name[n++] = (char)tolower((unsigned char)*p);
    return !strcmp(name, "d0") ? PAPER_D0 : !strcmp(name, "d0d1") ? PAPER_D0_D1 : -1;
}

/* The double that is nearest to the printed one. */
static double share(double percent) { return floor(10 * percent + 0.5) / 1000; }

double paper_figure(const char *dataset, const char *backbone, const char *method, enum figure figure)
{
    int set = paper_set(dataset), column = !strcmp(method, "baseline") ? 0 : !strcmp(method, "ladnn") ? 1 : -1;
    if (set < 0 || column < 0) return NAN;
    column += 2 * (set == PAPER_D0_D1);
    for (size_t i = 0; i < sizeof table2 / sizeof *table2; i++) {
        if (strcmp(table2[i].backbone, backbone)) continue;
        switch (figure) {
        case FIGURE_SENSITIVITY: return share(table2[i].sensitivity[column]);
        case FIGURE_AUC: return share(table2[i].auc[column]);
        case FIGURE_F1: return share(table2[i].f1[column]);
        case FIGURE_ACCURACY: return share(table2[i].accuracy[column]);
        default: return NAN;
        }
    }
    return NAN;
}
