/* page_patients.c - how networks were judged: at which threshold, by patient, and how far their probabilities can be taken at their word. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/report/report.h"

/* ---- what positive means ---- */

static bool as_in_paper(const struct run *r)
{
    const struct threshold *t = &r->results.threshold;
    return t->rule == THRESHOLD_FIXED && t->value == 0.5 && !r->flip;
}

bool page_judges_otherwise(const struct report *r)
{
    for (int i = 0; i < r->study.cells; i++)
        if (cell_usable(&r->study.cell[i]) && !as_in_paper(r->study.cell[i].run[0])) return true;
    return false;
}

/* The names of the cells judged like this one; false, and nothing, when an earlier cell has been. */
static bool list_alike(struct text *names, int *count, const struct study *g, int like)
{
    const struct run *first = g->cell[like].run[0];
    *count = 0;
    for (int i = 0; i < g->cells; i++) {
        const struct study_cell *c = &g->cell[i];
        if (!cell_usable(c) || !run_judged_alike(c->run[0], first)) continue;
        if (i < like) return false;
        text_add(names, *count ? ", " : "");
        text_add(names, "%s %s %s", c->dataset, backbone_title(c->backbone), method_title(c->method));
        (*count)++;
    }
    return true;
}

void page_add_judging(struct text *t, const struct report *r)
{
    int usable = 0, count;
    for (int i = 0; i < r->study.cells; i++) usable += cell_usable(&r->study.cell[i]);
    for (int i = 0, said = 0; i < r->study.cells; i++) {
        struct text names = {0};
        if (cell_usable(&r->study.cell[i]) && list_alike(&names, &count, &r->study, i)) {
            char *words = run_judging(r->study.cell[i].run[0]);
            text_add(t, said++ ? "; " : "Positive means ");
            html_add(t, words);
            if (count < usable) text_add(t, " ("), html_add(t, names.data), text_add(t, ")");
            mem_free(words);
        }
        text_free(&names);
    }
    text_add(t, ".");
}

/* ---- the table ---- */

/* A number, or from the lowest to the highest of the seeds. */
static void add_threshold(struct text *t, const struct study_cell *c)
{
    double low = INFINITY, high = 0;
    for (int r = 0; r < c->runs; r++) {
        low = fmin(low, c->run[r]->results.threshold.value);
        high = fmax(high, c->run[r]->results.threshold.value);
    }
    enum threshold_rule rule = c->run[0]->results.threshold.rule;
    text_add(t, "<td class=num>");
    if (rule == THRESHOLD_FIXED) text_add(t, "%g", low);
    else text_add(t, low < high ? "%.3f to %.3f" : "%.3f", low, high);
    if (rule != THRESHOLD_FIXED || c->run[0]->flip)
        text_add(t, "<small>%s%s</small>", rule == THRESHOLD_YOUDEN ? "Youden" : rule == THRESHOLD_F1 ? "F1" : "",
                 !c->run[0]->flip ? "" : rule == THRESHOLD_FIXED ? "with mirror images" : ", with mirror images");
    text_add(t, "</td>");
}

static void add_calibration(struct text *t, const struct study_cell *c)
{
    const struct quantity *error = &c->quantity[QUANTITY_CALIBRATION], *brier = &c->quantity[QUANTITY_BRIER];
    text_add(t, "<td class=num>%.1f", 100 * error->mean);
    if (!isnan(error->deviation)) text_add(t, " &plusmn; %.1f", 100 * error->deviation);
    text_add(t, "</td><td class=num>%.3f", brier->mean);
    if (!isnan(brier->deviation)) text_add(t, " &plusmn; %.3f", brier->deviation);
    if (isnan(brier->interval.low)) text_add(t, "<small>no interval</small>");
    else text_add(t, "<small>[%.3f, %.3f]</small>", brier->interval.low, brier->interval.high);
    text_add(t, "</td>");
}

static void add_row(struct text *t, const struct study_cell *c, bool group)
{
    static const enum figure shown[] = {FIGURE_AUC, FIGURE_SENSITIVITY, FIGURE_SPECIFICITY, FIGURE_ACCURACY};
    int mixed = c->run[0]->results.mixed_patients;
    text_add(t, "<tr%s><td>", group ? " class=group" : "");
    if (group) html_add(t, c->dataset);
    text_add(t, "</td><td class=l>");
    if (group) html_add(t, backbone_title(c->backbone));
    text_add(t, "</td><td class=l>"), html_add(t, method_title(c->method)), text_add(t, "</td>");
    add_threshold(t, c);
    text_add(t, "<td class=num>%d (%d)", c->run[0]->predictions.clusters, c->patients[0]);
    if (mixed) text_add(t, "<small>%d of both labels</small>", mixed);
    text_add(t, "</td>");
    for (int f = 0; f < 4; f++) page_add_quantity(t, &c->quantity[QUANTITY_PATIENT + shown[f]]);
    add_calibration(t, c);
    text_add(t, "</tr>\n");
}

void page_add_patients(struct text *t, const struct report *r)
{
    text_add(t, "<h2>By patient, and calibration</h2>\n<p>Test patients, in brackets those with a COVID image; the probability of a patient is "
                "the mean over the images. Percent, as in Table 2, but for the Brier score (0 is best; 0.25 is had by always saying 0.5). The "
                "calibration error says by how much the probabilities of images are off on average; it has no interval, because it is too high by "
                "chance where bins hold few images, and in resampled images higher still.</p>\n"
                "<div class=scroll><table><thead><tr><th>Data</th><th class=l>Backbone</th><th class=l>Method</th><th>Threshold</th><th>Patients</th>"
                "<th>AUC</th><th>Sensitivity</th><th>Specificity</th><th>Accuracy</th><th>Calibration error</th><th>Brier score</th></tr></thead>"
                "<tbody>\n");
    for (int i = 0; i < r->study.cells; i++)
        if (cell_usable(&r->study.cell[i])) add_row(t, &r->study.cell[i], page_begins_group(&r->study, i));
    text_add(t, "</tbody></table></div>\n");
}
