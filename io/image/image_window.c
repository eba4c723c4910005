/* image_window.c - see image_window.h. */
#include "io/image/image_window.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

int image_window_parse(struct image_window *window, const char *text, struct error *err)
{
    static const struct {
        const char *name;
        struct image_window window;
    } known[] = {{"", {0, 0}}, {"none", {0, 0}}, {"lung", {-600, 1500}}, {"mediastinum", {40, 400}}};
    int end = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcasecmp(text, known[i].name)) {
            *window = known[i].window;
            return 0;
        }
    if (sscanf(text, "%lf/%lf%n", &window->centre, &window->width, &end) == 2 && !text[end] && isfinite(window->centre) &&
        window->width >= 1 && isfinite(window->width))
        return 0;
    error_set(err, "'%s' is no window", text);
    return error_hint(err, "lung, mediastinum, or CENTRE/WIDTH with a width of at least 1, as -600/1500");
}

uint8_t image_window_apply(const struct image_window *window, double value)
{
    double from_centre = value - (window->centre - 0.5), half = (window->width - 1) / 2;
    if (from_centre <= -half) return 0;
    if (from_centre > half) return 255;
    return (uint8_t)((from_centre / (window->width - 1) + 0.5) * 255 + 0.5);
}
