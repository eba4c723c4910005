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
 * Geometry is one inverse map sampled bilinearly in one pass from the stored picture (antialiased by a box of the right
 * width where it shrinks by more than 1.5). Random numbers: (seed, RANDOM_AUGMENT, epoch, sample): the same for any
 * rank, thread or batch. */
#ifndef IO_AUGMENT_H
#define IO_AUGMENT_H
#include <stdbool.h>
#include <stdint.h>
#include "io/image.h"

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
#endif
