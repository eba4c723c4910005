/* calibration.c - see calibration.h. */
#include "train/calibration.h"

#include <math.h>

void calibration_make(struct calibration *c, const double *probability, const uint8_t *label, int64_t n)
{
    double said[CALIBRATION_BINS] = {0}, positive[CALIBRATION_BINS] = {0}, squares = 0, errors = 0, largest = 0;
    *c = (struct calibration){.expected_error = NAN, .largest_error = NAN, .brier = NAN};
    for (int64_t i = 0; i < n; i++) squares += (probability[i] - label[i]) * (probability[i] - label[i]);
    for (int64_t i = 0; i < n && !isnan(squares); i++) {
        int b = (int)(probability[i] * CALIBRATION_BINS);
        if (b == CALIBRATION_BINS) b--;
        c->bin[b].n++;
        said[b] += probability[i];
        positive[b] += label[i];
    }
    for (int b = 0; b < CALIBRATION_BINS; b++) {
        double count = (double)c->bin[b].n, error = fabs(said[b] - positive[b]);
        c->bin[b].probability = count > 0 ? said[b] / count : NAN;
        c->bin[b].positive = count > 0 ? positive[b] / count : NAN;
        errors += error;
        if (count > 0) largest = fmax(largest, error / count);
    }
    if (n == 0 || isnan(squares)) return;
    c->expected_error = errors / (double)n;
    c->largest_error = largest;
    c->brier = squares / (double)n;
}

void calibration_json(struct json *j, const struct calibration *c)
{
    json_object(j, "calibration");
    json_number(j, "expected_error", c->expected_error);
    json_number(j, "largest_error", c->largest_error);
    json_number(j, "brier", c->brier);
    json_array(j, "bins");
    for (int b = 0; b < CALIBRATION_BINS; b++) {
        json_object(j, NULL);
        json_int(j, "n", c->bin[b].n);
        json_number(j, "probability", c->bin[b].probability);
        json_number(j, "positive", c->bin[b].positive);
        json_end_object(j);
    }
    json_end_array(j);
    json_end_object(j);
}
