/* pictures.h - where a picture of the network's input comes from, for backends that sample stored pictures themselves. */
#ifndef OPS_PICTURES_H
#define OPS_PICTURES_H
#include <stdint.h>

/* A stored uint8 picture (height, width, channels), channels 1 or 3, and the map from output (column, row) to it, both in pixels with
 * centres at .5: x = x0 + x_column * (column + .5) + x_row * (row + .5), y = y0 + y_row * (row + .5). Sampled with the triangle filter
 * of io/load/augment.h; points outside are 0; then [0, 1], minus mean, over deviation. Grey gives three equal planes. */
struct picture {
    int64_t offset; /* of its first byte in the pool */
    int height, width, channels;
    double x0, x_column, x_row, y0, y_row;
};
struct picture_pool {
    const uint8_t *bytes; /* in the backend's memory */
    float mean[3], deviation[3];
};
#endif
