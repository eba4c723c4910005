/* weights_import.h - `ladnn weights import` and `export`, without the command line. */
#ifndef TRAIN_WEIGHTS_IMPORT_H
#define TRAIN_WEIGHTS_IMPORT_H
#include <stdbool.h>
#include "base/error.h"

extern const char weights_notice[];
struct weights_import {
    const char *file, *backbone, *out;
    bool partial, json;
};
/* Prints the table of all tensors on standard output, also when it then refuses. */
int weights_import(const struct weights_import *w, struct error *err);
int weights_show(const char *file, bool json, struct error *err);
/* The best weights of a run, for torchvision (safetensors) or for any program (ONNX). */
int weights_export(const char *run, const char *out, bool onnx, struct error *err);
#endif
