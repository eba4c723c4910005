/* image_window.h - which part of a scale of many grey levels becomes 0..255. */
#ifndef IO_IMAGE_IMAGE_WINDOW_H
#define IO_IMAGE_IMAGE_WINDOW_H
#include <stdint.h>
#include "base/error.h"

struct image_window {
    double centre, width; /* in Hounsfield units for CT; width 0: none is given, else at least 1 */
};
/* "lung" (-600/1500), "mediastinum" (40/400), "CENTRE/WIDTH", or "" for none. */
int image_window_parse(struct image_window *window, const char *text, struct error *err);
/* Linear, DICOM PS3.3 C.11.2.1.2.1: 0 below, 255 above, rounded to the nearest. */
uint8_t image_window_apply(const struct image_window *window, double value);
#endif
