/* page.c - report.html: one file, no script, nothing loaded from elsewhere; meant for a screen, a printer and a reader in a hurry:
 * what it must not be taken for, what is odd, the table, the tests, then figures, data, provenance and how it was computed. */
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "jobs/report/plot_private.h"
#include "jobs/report/report.h"

static const char style[] =
    "body{font:15px/1.45 'DejaVu Sans',Verdana,Helvetica,Arial,sans-serif;color:#111;background:#fff;max-width:1040px;margin:1.5em auto;padding:0 "
    "1em}"
    "h1{font-size:1.5em;margin:.2em 0}h2{font-size:1.2em;margin:2em 0 .4em;border-bottom:2px solid #111}h3{font-size:1em;margin:1.2em 0 .3em}"
    ".notice{border:2px solid #111;padding:.5em .8em;font-weight:bold}.warn{border:2px solid #b34700;border-left-width:10px;padding:.3em "
    ".8em;margin:1em 0}"
    ".synthetic{background:#111;color:#fff;padding:.4em .8em;font-weight:bold;margin:.6em 0}"
    "table{border-collapse:collapse;font-size:13px;margin:.5em 0}th,td{padding:.22em .5em;text-align:right;vertical-align:top}"
    "th{border-bottom:1px solid #111;font-weight:bold}td:first-child,th:first-child,.l{text-align:left}tbody tr{border-bottom:1px solid #ccc}"
    "tr.group{border-top:1.5px solid "
    "#555}td.p{color:#444;font-style:italic}td.bold,b{font-weight:bold}small{font-size:11px;color:#333;display:block;white-space:nowrap}"
    ".num{white-space:nowrap}figure{margin:1em 0;break-inside:avoid}figcaption{font-size:13px;max-width:60em}svg{max-width:100%;height:auto}"
    "p,li{max-width:62em}.prov table,.prov code{font-size:11px}code{font-size:12px;overflow-wrap:anywhere}details{margin:.5em "
    "0}summary{cursor:pointer}.scroll{overflow-x:auto}"
    "@page{size:A4;margin:12mm}@media print{body{font-size:10pt;margin:0;max-width:none;padding:0}table{font-size:8pt;break-inside:auto}"
    "tr{break-inside:avoid}h2,h3{break-after:avoid}.scroll{overflow:visible}.prov table,.prov code{font-size:6pt}.prov td,.prov th{padding:.1em "
    ".25em}}";

void html_add(struct text *html, const char *text) { xml_add(html, text); }

/* ---- head ---- */

static void add_notices(struct text *t, const struct report *r)
{
    text_add(t, "<p class=notice>Research use only: nothing on this page is a diagnosis, and no number on it says how well a patient would be "
                "diagnosed.</p>\n");
    if (r->synthetic)
        text_add(t, "<p class=synthetic>SYNTHETIC DATA: some of these runs were trained and tested on drawn pictures (ladnn phantom). "
                    "Their numbers say nothing about lungs, nor about the paper.</p>\n");
    if (!r->notes.count) return;
    text_add(t, "<div class=warn><h3>To be known before reading on (%d)</h3><ul>\n", r->notes.count);
    for (int i = 0; i < r->notes.count; i++) text_add(t, "<li>"), html_add(t, r->notes.line[i]), text_add(t, "</li>\n");
    text_add(t, "</ul></div>\n");
}

static void add_summary(struct text *t, const struct report *r)
{
    int finished = 0, missing = 0, refused = 0, cells = 0;
    for (int i = 0; i < r->runs.count; i++) {
        const struct run *run = &r->runs.run[i];
        finished += !run->reason, missing += run->reason && run->missing, refused += run->reason && !run->missing;
    }
    for (int i = 0; i < r->study.cells; i++) cells += cell_usable(&r->study.cell[i]);
    text_add(t, "<p>%d of %d cells of the table have figures, from %d finished runs", cells, r->study.cells, finished);
    if (missing) text_add(t, "; <b>%d run%s missing</b>", missing, missing == 1 ? " is" : "s are");
    if (refused) text_add(t, "; <b>%d result%s refused</b>", refused, refused == 1 ? " was" : "s were");
    text_add(t, "%s.</p>\n", missing || refused ? " (<a href=\"#missing\">reasons</a>)" : "");
}

/* ---- figures and method ---- */

static void add_pictures(struct text *t, const struct report *r, const char *lead, const char *heading)
{
    bool head = false;
    for (int i = 0; i < r->pictures; i++) {
        const struct picture *p = &r->picture[i];
        if (strncmp(p->name, lead, strlen(lead))) continue;
        if (!head && heading) text_add(t, "<h2>%s</h2>\n", heading);
        head = true;
        text_add(t, "<figure>\n");
        plot_svg(p->plot, t, false);
        text_add(t, "<figcaption><b>"), html_add(t, p->heading), text_add(t, ".</b> "), html_add(t, p->caption);
        text_add(t, "</figcaption></figure>\n");
    }
}

static void add_method(struct text *t, const struct report *r)
{
    text_add(t, "<h2>How this was computed</h2>\n<ul>\n"
                "<li>Every figure is worked out anew from the runs' predictions.csv; metrics.json is compared with it. ");
    page_add_judging(t, r);
    text_add(t, " AUC counts ties half. A ratio of nothing is n/a.</li>\n"
                "<li>Intervals: %d bootstrap samples of <em>patients</em> with replacement (random numbers of seed %llu, the same patients for all "
                "networks of a data set), bias-corrected and accelerated "
                "(Efron 1987). They tell how the mean over these networks would vary with other patients; how it varies with the seed is the "
                "deviation beside it. There is none where every sample gives the same figure (as of 100 %%): resampling cannot say then what other "
                "patients would show. Nor are there intervals and tests of fewer than %d patients of a class.</li>\n"
                "<li>DeLong: the contrast &ldquo;mean AUC over LA-DNN's seeds less mean over the baseline's&rdquo; with its variance from the "
                "placement values of all these correlated curves "
                "(DeLong, DeLong &amp; Clarke-Pearson 1988); one test per backbone, no p-values are combined. By patient: the same with placements "
                "summed by patient (Obuchowski 1997). "
                "Both take the trained networks as given.</li>\n"
                "<li>By patient: the probability of a patient is the mean over the images, with the same threshold; a patient with a COVID image "
                "is positive. Calibration error: the mean distance of said probability and share of positives in ten bins of equal width, "
                "weighted by their images (ECE, Guo et al. 2017); Brier score: the mean squared error of the probability (Brier 1950).</li>\n"
                "<li>Under one data set's name all runs have the same data hash, and the seeds of a cell differ in nothing but the seed; what does "
                "not is refused above, not averaged.</li>\n"
                "<li>Paper: Liu, Gao, He, Lv, Yin: Online COVID-19 diagnosis with chest CT images: Lesion-attention deep neural networks, medRxiv "
                "2020.05.11.20097907 (a preprint).</li>\n"
                "<li>The same numbers with all digits: table1.csv, table2.csv, comparisons.csv, runs.csv, calibration.csv, table1.json, "
                "table2.json; the figures alone: *.svg%s. Figure 5 (where two networks look) is drawn by ladnn explain RUN --against RUN2; --maps puts it here.</li>\n</ul>\n",
             BOOTSTRAP_REPLICATES, (unsigned long long)r->seed, INTERVAL_PATIENTS_MIN, plot_png_available() ? ", *.png" : "");
}

void page_write(struct text *html, const struct report *r)
{
    char now[32];
    clock_iso8601(now, sizeof now);
    text_add(html, "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">"
                   "<title>LA-DNN: results%s (research use only)</title>\n<style>%s</style></head>\n<body>\n<h1>Lesion-attention networks: "
                   "results</h1>\n",
             r->synthetic ? ", SYNTHETIC data" : "", style);
    text_add(html, "<p>Made by ladnn %s, %s, from the runs in ", LADNN_VERSION, now);
    html_add(html, r->folder);
    text_add(html, ".</p>\n");
    add_notices(html, r);
    add_summary(html, r);
    page_add_table2(html, r);
    add_pictures(html, r, "table2-", NULL);
    page_add_comparisons(html, r);
    add_pictures(html, r, "figure4-", "Curves");
    page_add_patients(html, r);
    add_pictures(html, r, "calibration-", NULL);
    page_add_lesions(html, r);
    add_pictures(html, r, "figure6-", NULL);
    page_add_sheets(html, r);
    page_add_extras(html, r);
    page_add_table1(html, r);
    add_pictures(html, r, "figure3-", NULL);
    add_pictures(html, r, "training", "Training");
    page_add_missing(html, r);
    page_add_provenance(html, r);
    add_method(html, r);
    text_add(html, "</body></html>\n");
}
