/* cmd_phantom.c - `ladnn phantom`: draws a synthetic chest-CT set in the layout of covid-ct, for tests and a first run. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/phantom/phantom.h"
#include "io/commands.h"

static enum phantom_set set_of(const char *name)
{
    return strcmp(name, "d0") == 0 ? PHANTOM_D0 : strcmp(name, "d1") == 0 ? PHANTOM_D1 : PHANTOM_BOTH;
}

static int run(struct settings *s, struct error *err)
{
    struct phantom_options options = {.out = settings_string(s, "phantom.out"),
                                      .seed = (uint64_t)settings_int(s, "phantom.seed"),
                                      .set = set_of(settings_string(s, "phantom.dataset")),
                                      .scale = settings_float(s, "phantom.scale"),
                                      .threads = (int)settings_int(s, "phantom.threads")};
    double start = clock_s();
    if (!*options.out) return settings_missing(&command_phantom, "phantom.out", "where shall the pictures go?", err);
    if (phantom_write(&options, err)) return -1;
    log_info("%s: SYNTHETIC pictures, research use only; %.1f s", options.out, clock_s() - start);
    return 0;
}

const struct command command_phantom = {
    .name = "phantom",
    .groups = "phantom",
    .summary = "draw a synthetic chest-CT set for tests and a first run",
    .usage = "--out DIR [--dataset d0|d1|both] [--scale SHARE]",
    .positional = "phantom.out",
    .run = run,
};
