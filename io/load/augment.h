/* augment.h - stored uint8 picture -> network input, for training and for everything else (evaluation, Grad-CAM, web):
 * one path, so that what is tested is what was trained. Output is float NCHW: (3, size, size), RGB in [0,1] normalised
 * with ImageNet's mean (0.485 0.456 0.406) and deviation (0.229 0.224 0.225); a grey picture gives three equal planes
 * before normalisation.
 *
 * Recipes (PAPER):
 *   affine: resize to size x size; training: random affine (shear, scale about the centre, zero fill), flip.
 *   crop  : shorter side to `crop_resize`; training: random resized crop (area crop_scale_min..1, aspect 3/4..4/3), flip;
 *           evaluation: resize shorter side to size, centre crop.
 *   none  : resize only.
 * Geometry is one inverse map, sampled in one pass from the stored picture with the triangle filter of Pillow's BILINEAR
 * (its support grows where the map shrinks, which antialiases; it is plain bilinear interpolation elsewhere). Random
 * numbers: (seed, RANDOM_AUGMENT, epoch, sample): the same for any rank, thread or batch. */
#ifndef IO_LOAD_AUGMENT_H
#define IO_LOAD_AUGMENT_H
#include <stdbool.h>
#include <stdint.h>
#include "io/image/image.h"

enum augment_recipe { AUGMENT_AFFINE, AUGMENT_CROP, AUGMENT_NONE };
struct augment {
    enum augment_recipe recipe;
    int size;
    double flip, scale_min, scale_max, shear_degrees, crop_scale_min;
    int crop_resize;
    uint64_t seed;
};
extern const float imagenet_mean[3], imagenet_deviation[3];
/* planes: (3, size, size). `train` false: the evaluation map; epoch and sample are then unused. Thread safe. */
void augment_apply(float *planes, const struct augment *a, const struct image *image, bool train, uint64_t epoch,
                   uint64_t sample);

/* The two halves of augment_apply, for tests with given parameters and for backends that sample on a device. */
struct augment_map { /* output (column, row) -> stored picture, both in pixels with centres at .5 */
    double x0, x_column, x_row; /* x = x0 + x_column * (column + .5) + x_row * (row + .5) */
    double y0, y_row;           /* y = y0 + y_row * (row + .5) */
};
/* Draws the random numbers and gives the map for a stored picture of that size. Thread safe. */
void augment_map_draw(struct augment_map *map, const struct augment *a, int height, int width, bool train,
                      uint64_t epoch, uint64_t sample);
/* torchvision's affine (angle 0, no translation, shear along x) on the picture resized to size x size, then the flip. */
void augment_map_affine(struct augment_map *map, int size, int height, int width, double scale, double shear_degrees,
                        bool flip);
/* planes: (3, size, size). Points outside the picture are 0 before normalisation. Thread safe. */
void augment_map_apply(float *planes, int size, const struct augment_map *map, const struct image *image);
#endif
