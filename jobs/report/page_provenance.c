/* page_provenance.c - what is missing, and where every number comes from. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "jobs/report/report.h"

void page_add_missing(struct text *html, const struct report *r)
{
    int count = 0;
    for (int i = 0; i < r->runs.count; i++) count += r->runs.run[i].reason != NULL;
    text_add(html, "<h2 id=missing>Missing and refused runs</h2>\n");
    if (!count) {
        text_add(html, "<p>None: all %d runs %s.</p>\n", r->runs.count, r->runs.listed ? "of the grid are here" : "found are finished");
        return;
    }
    text_add(html, "<div class=scroll><table><thead><tr><th>Data</th><th class=l>Backbone</th><th class=l>Method</th><th>Seed</th>"
                   "<th class=l>Run</th><th class=l>Why</th></tr></thead>"
                   "<tbody>\n");
    for (int i = 0; i < r->runs.count; i++) {
        const struct run *run = &r->runs.run[i];
        if (!run->reason) continue;
        text_add(html, "<tr><td>"), html_add(html, run->dataset), text_add(html, "</td><td class=l>");
        html_add(html, backbone_title(run->backbone ? run->backbone : "?"));
        text_add(html, "</td><td class=l>"), html_add(html, method_title(run->method ? run->method : "?"));
        text_add(html, "</td><td>%lld</td><td class=l>", (long long)run->seed);
        html_add(html, run->name);
        text_add(html, "</td><td class=l>%s", run->missing ? "" : "refused: "), html_add(html, run->reason), text_add(html, "</td></tr>\n");
    }
    text_add(html, "</tbody></table></div>\n");
}

static const struct run *first_finished(const struct run_list *l)
{
    for (int i = 0; i < l->count; i++)
        if (!l->run[i].reason) return &l->run[i];
    return NULL;
}

/* Whether all runs with figures have this line in their identity. */
static bool common(const struct run_list *l, const char *key, const char *value)
{
    bool same = true;
    for (int i = 0; i < l->count && same; i++) {
        if (l->run[i].reason) continue;
        char *theirs = identity_value(l->run[i].identity, key);
        same = theirs && !strcmp(theirs, value);
        mem_free(theirs);
    }
    return same;
}

/* What identity.txt adds to a run's row (or to the text above the table) beyond the columns. */
static bool has_column(const char *key)
{
    return !strcmp(key, "model.backbone") || !strcmp(key, "model.method") || !strcmp(key, "train.seed") || !strcmp(key, "data sha256");
}

/* identity.txt has all 17 digits; the shortest that mean the same are shown. */
static void add_setting(struct text *html, const char *lead, const char *key, const char *value)
{
    char *end;
    double number = strtod(value, &end);
    struct text shown = {0};
    text_add(&shown, "%s%s = ", lead, key);
    if (*value && !*end) text_add_number(&shown, number);
    else text_add(&shown, "%s", value);
    html_add(html, shown.data);
    text_free(&shown);
}

/* The lines of `identity` that are common to all runs, or those that are not. */
static void for_lines(struct text *html, const struct run_list *l, const char *identity, bool wanted)
{
    bool comma = false;
    size_t length;
    for (const char *at = identity, *line; (line = text_line(&at, &length));) {
        const char *equals = strstr(line, " = ");
        if (!equals || equals > line + length) continue;
        char *key = mem_format("%.*s", (int)(equals - line), line), *value = mem_format("%.*s", (int)(line + length - equals - 3), equals + 3);
        if (!has_column(key) && common(l, key, value) == wanted) {
            add_setting(html, comma ? "; " : "", key, value);
            comma = true;
        }
        mem_free(key), mem_free(value);
    }
}

static void add_run(struct text *html, const struct run_list *l, const struct run *r)
{
    char took[32];
    clock_duration(took, sizeof took, r->seconds);
    text_add(html, "<tr><td>"), html_add(html, r->name), text_add(html, "</td><td class=l>"), html_add(html, r->dataset);
    text_add(html, "</td><td class=l>"), html_add(html, backbone_title(r->backbone)), text_add(html, "</td><td class=l>");
    html_add(html, method_title(r->method));
    text_add(html, "</td><td>%lld</td><td>%d of %d</td>", (long long)r->seed, r->best_epoch, r->epochs);
    text_add(html, isnan(r->results.images.covid.auc) ? "<td>n/a</td>" : "<td>%.1f</td>", 100 * r->results.images.covid.auc);
    text_add(html, "<td class=num>");
    html_add(html, r->written);
    text_add(html, "</td><td>%s</td><td class=l>", took), html_add(html, r->place);
    text_add(html, "</td><td class=l>"), html_add(html, r->version);
    text_add(html, " <code>%.8s</code></td><td class=l><code>%.8s</code></td><td class=l>", r->program_hash, r->data_hash);
    for_lines(html, l, r->identity, false);
    text_add(html, "</td></tr>\n");
}

void page_add_provenance(struct text *html, const struct report *r)
{
    const struct run *first = first_finished(&r->runs);
    text_add(html, "<h2>Provenance</h2>\n");
    if (!first) {
        text_add(html, "<p>No finished run.</p>\n");
        return;
    }
    text_add(html, "<p>Common to all runs with figures: <code>");
    for_lines(html, &r->runs, first->identity, true);
    text_add(html, "</code></p>\n<p>Full hashes and all digits: runs.csv. Seconds are those of the recorded epochs.</p>\n"
                   "<div class=\"scroll prov\"><table><thead><tr><th>Run</th><th class=l>Data</th><th class=l>Backbone</th>"
                   "<th class=l>Method</th><th>Seed</th><th>Epoch</th>"
                   "<th>AUC</th><th>Begun (UTC)</th><th>Took</th><th class=l>Machine</th><th class=l>Program</th><th class=l>Data hash</th>"
                   "<th class=l>Other settings</th></tr></thead>"
                   "<tbody>\n");
    for (int i = 0; i < r->runs.count; i++)
        if (!r->runs.run[i].reason) add_run(html, &r->runs, &r->runs.run[i]);
    text_add(html, "</tbody></table></div>\n");
}
