/* cmd_weights.c - `ladnn weights show|import|export`: files of weights in and out, without Python. */
#include <string.h>

#include "train/commands.h"
#include "train/weights_import.h"

/* Readers go by the name: weights.format is not guessed from it, but it may not contradict it. */
static int judge_name(const char *out, bool onnx, struct error *err)
{
    const char *other = onnx ? ".safetensors" : ".onnx", *name = onnx ? "onnx" : "safetensors";
    size_t n = strlen(out), tail = strlen(other);
    if (n < tail || strcmp(out + n - tail, other)) return 0;
    error_set(err, "%s: the name ends in %s, but weights.format is %s", out, other, name);
    return error_hint(err, "--format %s, or another name", other + 1);
}

static int run(struct settings *s, struct error *err)
{
    const char *what = settings_string(s, "weights.what"), *file = settings_string(s, "weights.file"), *out = settings_string(s, "weights.out");
    const char *backbone = settings_string(s, "weights.backbone");
    bool json = settings_bool(s, "weights.json"), onnx = !strcmp(settings_string(s, "weights.format"), "onnx");
    if (!*file) return settings_missing(&command_weights, "weights.file", "which file, or run?", err);
    if (!strcmp(what, "show")) return weights_show(file, json, err);
    if (!*out) return settings_missing(&command_weights, "weights.out", "--out: where to?", err);
    if (!strcmp(what, "export")) return judge_name(out, onnx, err) ? -1 : weights_export(file, out, onnx, err);
    if (!strcmp(backbone, "none")) return settings_missing(&command_weights, "weights.backbone", "--backbone: of which network is the file?", err);
    struct weights_import import = {file, backbone, out, settings_bool(s, "weights.partial"), json};
    return weights_import(&import, err);
}

const struct command command_weights = {
    .name = "weights", .groups = "weights",
    .summary = "read published weights (safetensors, .pth), write a run's (safetensors, ONNX)",
    .usage = "show FILE | import FILE --backbone B --out W.h5 [--partial] | export RUN --out FILE [--format onnx]",
    .positional = "weights.what weights.file", .run = run};
