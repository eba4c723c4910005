/* page_tables.c - the tables of the page, in percent. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/shard/dataset_summary.h"
#include "jobs/report/paper.h"
#include "jobs/report/report.h"

static void add_percent(struct text *t, double share)
{
    if (isnan(share)) text_add(t, "n/a");
    else text_add(t, "%.1f", 100 * share);
}

static void add_interval(struct text *t, const struct interval *i, const char *sign)
{
    text_add(t, isnan(i->low) ? "<small>no interval</small>" : sign ? "<small>[%+.1f, %+.1f]</small>" : "<small>[%.1f, %.1f]</small>", 100 * i->low,
             100 * i->high);
}

void page_add_quantity(struct text *t, const struct quantity *q)
{
    text_add(t, "<td class=num>");
    add_percent(t, q->mean);
    if (!isnan(q->deviation)) text_add(t, " &plusmn; %.1f", 100 * q->deviation);
    if (!isnan(q->mean)) add_interval(t, &q->interval, NULL);
    text_add(t, "</td>");
}

/* ---- Table 2 ---- */

static const enum figure columns[] = {FIGURE_SENSITIVITY, FIGURE_AUC, FIGURE_F1, FIGURE_ACCURACY};
static const enum figure extras[] = {FIGURE_SPECIFICITY, FIGURE_PRECISION, FIGURE_AUC_HARD, FIGURE_AP};

static void add_paper(struct text *t, const struct study_cell *c, enum figure f)
{
    double paper = paper_figure(c->dataset, c->backbone, c->method, f);
    text_add(t, "<td class=p>");
    if (isnan(paper)) text_add(t, "&ndash;");
    else text_add(t, "%.1f", 100 * paper);
    text_add(t, "</td>");
}

static void add_row(struct text *t, const struct study_cell *c, bool group, bool paper)
{
    text_add(t, "<tr%s><td class=num>", group ? " class=group" : "");
    if (group) html_add(t, backbone_title(c->backbone));
    text_add(t, "</td><td class=l>");
    html_add(t, method_title(c->method));
    text_add(t, "</td><td>%d", cell_usable(c) ? c->runs : 0);
    if (c->runs < c->listed_count) text_add(t, " of %d", c->listed_count);
    text_add(t, "</td>");
    if (!cell_usable(c)) {
        text_add(t, "<td class=l colspan=%d>%s", paper ? 8 : 4, c->refused ? "refused: " : "no run with a result");
        if (c->refused) html_add(t, c->refused);
        text_add(t, "</td></tr>\n");
        return;
    }
    for (int f = 0; f < 4; f++) {
        page_add_quantity(t, &c->quantity[columns[f]]);
        if (paper) add_paper(t, c, columns[f]);
    }
    text_add(t, "</tr>\n");
}

static const struct study_cell *first_usable(const struct study *g, const char *label)
{
    for (int i = 0; i < g->cells; i++)
        if (cell_usable(&g->cell[i]) && !strcmp(g->cell[i].dataset, label)) return &g->cell[i];
    return NULL;
}

bool page_begins_group(const struct study *g, int i)
{
    const struct study_cell *a = i ? &g->cell[i - 1] : NULL, *b = &g->cell[i];
    return !a || strcmp(a->backbone, b->backbone) || strcmp(a->dataset, b->dataset);
}

static void add_table2_of(struct text *t, const struct report *r, const char *label)
{
    const struct study_cell *some = first_usable(&r->study, label);
    bool paper = paper_set(label) >= 0;
    text_add(t, "<h3>");
    html_add(t, label);
    if (some) text_add(t, ": %lld test images of %d patients%s", (long long)some->run[0]->predictions.n, some->run[0]->predictions.clusters,
                       some->run[0]->predictions.synthetic ? " &mdash; SYNTHETIC" : "");
    text_add(t, "</h3>\n<div class=scroll><table><thead><tr><th>Backbone</th><th class=l>Method</th><th>Seeds</th>");
    for (int f = 0; f < 4; f++) text_add(t, "<th>%s</th>%s", figure_titles[columns[f]], paper ? "<th>paper</th>" : "");
    text_add(t, "</tr></thead><tbody>\n");
    for (int i = 0; i < r->study.cells; i++)
        if (!strcmp(r->study.cell[i].dataset, label)) add_row(t, &r->study.cell[i], page_begins_group(&r->study, i), paper);
    text_add(t, "</tbody></table></div>\n");
}

/* The paper's networks begin with ImageNet's weights; a few hundred images alone teach less. */
static void add_beginnings(struct text *t, const struct report *r)
{
    int random = 0, given = 0;
    for (int i = 0; i < r->runs.count; i++) {
        const struct run *run = &r->runs.run[i];
        if (run->reason) continue;
        char *init = identity_value(run->identity, "train.init sha256");
        init ? given++ : random++;
        mem_free(init);
    }
    if (random) text_add(t, " %s began with random weights (train.init is not set), the paper's networks with ImageNet's.",
                         given ? "Some of these networks" : "These networks");
}

void page_add_table2(struct text *t, const struct report *r)
{
    text_add(t, "<h2>Table 2: diagnosis</h2>\n<p>Percent. Mean over the seeds &plusmn; their standard deviation; below, the 95 %% interval of the "
                "mean over other samples of patients (the networks being as they are). In italics what the paper prints: one run, no "
                "interval.");
    if (page_judges_otherwise(r)) text_add(t, " <b>"), page_add_judging(t, r), text_add(t, "</b> The paper's numbers are at 0.5.");
    add_beginnings(t, r);
    text_add(t, "</p>\n");
    for (int d = 0; d < r->study.dataset_count; d++) add_table2_of(t, r, r->study.datasets[d]);
}

void page_add_extras(struct text *t, const struct report *r)
{
    text_add(t, "<h3>More of the same cells</h3>\n<p><b>Hard-label AUC</b> is the area under the curve of the 0/1 predictions, which is the "
                "balanced accuracy. It is what the authors' published script prints under the name AUC, and not what Table 2 can hold; it stands "
                "here only as an extra.</p>\n"
                "<div class=scroll><table><thead><tr><th>Data</th><th class=l>Backbone</th><th class=l>Method</th>");
    for (int f = 0; f < 4; f++) text_add(t, "<th>%s</th>", figure_titles[extras[f]]);
    text_add(t, "</tr></thead><tbody>\n");
    for (int i = 0; i < r->study.cells; i++) {
        const struct study_cell *c = &r->study.cell[i];
        if (!cell_usable(c)) continue;
        text_add(t, "<tr%s><td>", page_begins_group(&r->study, i) ? " class=group" : "");
        html_add(t, c->dataset);
        text_add(t, "</td><td class=l>"), html_add(t, backbone_title(c->backbone));
        text_add(t, "</td><td class=l>"), html_add(t, method_title(c->method)), text_add(t, "</td>");
        for (int f = 0; f < 4; f++) page_add_quantity(t, &c->quantity[extras[f]]);
        text_add(t, "</tr>\n");
    }
    text_add(t, "</tbody></table></div>\n");
}

/* ---- comparisons ---- */

static void add_p(struct text *t, double p)
{
    text_add(t, isnan(p) ? "<td>n/a</td>" : p < 0.001 ? "<td class=num>&lt; 0.001</td>" : "<td class=num>%.3f</td>", p);
}

static void add_difference(struct text *t, const struct quantity *q)
{
    if (isnan(q->mean)) {
        text_add(t, "<td>n/a</td>");
        return;
    }
    text_add(t, "<td class=num>%+.1f", 100 * q->mean);
    if (!isnan(q->deviation)) text_add(t, " &plusmn; %.1f", 100 * q->deviation);
    add_interval(t, &q->interval, "+");
    text_add(t, "</td>");
}

void page_add_comparisons(struct text *t, const struct report *r)
{
    if (!r->study.comparisons) return;
    text_add(t, "<h2>LA-DNN against baseline</h2>\n<p>LA-DNN less baseline in percentage points, on the same test images: mean over the seeds, "
                "&plusmn; the deviation of the pairs of equal seed, and the 95 %% interval (the same patients drawn for both). Two tests of equal "
                "AUC: DeLong's takes images as independent; Obuchowski's takes them as clusters by patient, and is the one to believe where "
                "patients have several images. Holm: adjusted for "
                "all comparisons of this page (%d).</p>\n"
                "<div class=scroll><table><thead><tr><th>Data</th>"
                "<th class=l>Backbone</th><th>Sensitivity</th><th>AUC</th><th>F1</th><th>Accuracy</th>"
                "<th>DeLong p</th><th>Holm</th><th>by patient p</th><th>Holm</th></tr></thead><tbody>\n", r->study.comparisons);
    for (int i = 0; i < r->study.comparisons; i++) {
        const struct comparison *m = &r->study.comparison[i];
        text_add(t, "<tr><td>"), html_add(t, m->baseline->dataset);
        text_add(t, "</td><td class=l>"), html_add(t, backbone_title(m->baseline->backbone)), text_add(t, "</td>");
        if (m->refused) {
            text_add(t, "<td class=l colspan=8>not compared: "), html_add(t, m->refused), text_add(t, "</td></tr>\n");
            continue;
        }
        for (int f = 0; f < 4; f++) add_difference(t, &m->difference[columns[f]]);
        add_p(t, m->auc.p), add_p(t, m->adjusted_p), add_p(t, m->auc.patient_p), add_p(t, m->adjusted_patient_p);
        text_add(t, "</tr>\n");
    }
    text_add(t, "</tbody></table></div>\n");
}

/* ---- lesions ---- */

static void add_lesion(struct text *t, const struct study_cell *c, int l)
{
    int64_t support = c->run[0]->results.images.lesion[l].support, n = c->run[0]->predictions.n;
    if (support && support < n) page_add_quantity(t, &c->quantity[QUANTITY_LESION + l]);
    else text_add(t, "<td>n/a<small>%s</small></td>", support ? "no negatives" : "0 positives");
}

void page_add_lesions(struct text *t, const struct report *r)
{
    bool head = false;
    for (int i = 0; i < r->study.cells; i++) {
        const struct study_cell *c = &r->study.cell[i];
        if (!cell_usable(c) || isnan(c->run[0]->predictions.probability[1]) || !strcmp(c->method, "baseline")) continue;
        if (!head) {
            text_add(t, "<h2>Lesions</h2>\n<p>AUC in percent of each lesion output over all test images, with how many images have the lesion "
                        "(support). A lesion that no test image has is n/a, never a number; one of fewer than %d patients has no interval, because "
                        "nothing can be said of other patients.</p>\n"
                        "<div class=scroll><table><thead><tr><th>Data</th><th class=l>Backbone</th><th>Support</th>", INTERVAL_PATIENTS_MIN);
            for (int l = 0; l < LESION_COUNT; l++) text_add(t, "<th>%s</th>", lesion_names[l]);
            text_add(t, "</tr></thead><tbody>\n");
        }
        head = true;
        text_add(t, "<tr><td>"), html_add(t, c->dataset), text_add(t, "</td><td class=l>"), html_add(t, backbone_title(c->backbone));
        text_add(t, "</td><td class=num>");
        for (int l = 0; l < LESION_COUNT; l++) text_add(t, "%s%lld", l ? " / " : "", (long long)c->run[0]->results.images.lesion[l].support);
        text_add(t, "<small>");
        for (int l = 0; l < LESION_COUNT; l++) text_add(t, "%s%d", l ? " / " : "", c->patients[1 + l]);
        text_add(t, " patients</small></td>");
        for (int l = 0; l < LESION_COUNT; l++) add_lesion(t, c, l);
        text_add(t, "</tr>\n");
    }
    if (head) text_add(t, "</tbody></table></div>\n");
}

/* ---- Table 1 ---- */

static void add_counts(struct text *t, int64_t images, int64_t patients, const struct paper_count *paper)
{
    text_add(t, "<td class=num>%lld (%lld)", (long long)images, (long long)patients);
    if (paper) text_add(t, "<small>paper %d (%d)</small>", paper->images, paper->patients);
    text_add(t, "</td>");
}

static void add_table1_row(struct text *t, const struct data_used *d, int covid)
{
    struct split_summary s[SPLIT_COUNT];
    int set = paper_set(d->label);
    int64_t images = 0, patients = 0;
    struct paper_count all = {0, 0};
    dataset_summarise(s, d->dataset);
    text_add(t, "<tr%s><td>", covid ? " class=group" : "");
    if (covid) html_add(t, d->label);
    text_add(t, "</td><td class=l>%s</td>", covid ? "COVID" : "other");
    for (int k = 0; k < SPLIT_COUNT; k++) {
        int64_t own_images = covid ? s[k].covid : s[k].images - s[k].covid, own = covid ? s[k].covid_patients : s[k].patients - s[k].covid_patients;
        images += own_images, patients += own;
        if (set >= 0) all.images += paper_counts[set][covid][k].images, all.patients += paper_counts[set][covid][k].patients;
        add_counts(t, own_images, own, set >= 0 ? &paper_counts[set][covid][k] : NULL);
    }
    add_counts(t, images, patients, set >= 0 ? &all : NULL);
    for (int l = 0; l < LESION_COUNT; l++) {
        int64_t lesions = 0;
        for (int k = 0; k < SPLIT_COUNT; k++) lesions += s[k].lesion[l];
        text_add(t, covid ? "<td>%lld</td>" : "<td></td>", (long long)lesions);
    }
    text_add(t, "</tr>\n");
}

void page_add_table1(struct text *t, const struct report *r)
{
    text_add(t, "<h2>Table 1: the data</h2>\n<p>Images (patients) as they were used. A patient with a COVID image counts as COVID. "
                "The lesion columns count images of all splits.</p>\n"
                "<div class=scroll><table><thead><tr><th>Data</th><th class=l>Class</th><th>train</th><th>val</th><th>test</th><th>all</th>");
    for (int l = 0; l < LESION_COUNT; l++) text_add(t, "<th>%s</th>", lesion_names[l]);
    text_add(t, "</tr></thead><tbody>\n");
    for (int i = 0; i < r->data.count; i++) {
        const struct data_used *d = &r->data.item[i];
        for (int covid = 1; covid >= 0 && d->dataset; covid--) add_table1_row(t, d, covid);
        if (d->dataset) continue;
        text_add(t, "<tr class=group><td>"), html_add(t, d->label), text_add(t, "</td><td class=l colspan=10>not counted: ");
        html_add(t, d->missing ? d->missing : ""), text_add(t, "</td></tr>\n");
    }
    text_add(t, "</tbody></table></div>\n");
}
