/* faithfulness.h - does a map show what the network's answer rests on? (Petsiuk et al. 2018, RISE, section 4.2)
 *
 *   deletion:  pixels are replaced by the mean colour, the map's hottest first; the answer should fall early: a small area under the curve.
 *   insertion: a blurred picture gets its pixels back in that order; the answer should rise early: a large area.
 *
 * The curve is the probability that is explained after 0, 1, ... `steps` equal parts of the pixels; its area by the trapezoid rule, so 0 to 1.
 * The mean colour is that of the network's input (ImageNet's), 0 after normalisation; the blur is a Gaussian of 5 pixels cut to 11 x 11; both
 * as in the authors' program. Pixels of equal heat are taken in a random order.
 * An area alone says little, since a network may answer the same whatever is deleted; so the same is done with a map without meaning: random
 * numbers in the map's own size. Only the difference between the two is the map's merit. */
#ifndef TRAIN_FAITHFULNESS_H
#define TRAIN_FAITHFULNESS_H
#include <stdint.h>
#include "models/network.h"
#include "train/config.h"

struct faithfulness {
    double deletion, insertion;               /* NaN where there is no map to judge */
    double random_deletion, random_insertion;
};
struct faithfulness_options {
    int steps, what;  /* `what`: of the six probabilities */
    uint64_t seed;
    int map_h, map_w; /* of the random map */
};
/* Of image number `image`: planes (3, size, size) as the network takes them, heat (size, size). Uses network_infer with up to c->eval_batch
 * pictures at once. */
void faithfulness_measure(struct faithfulness *f, struct network *net, const struct train_config *c, const struct faithfulness_options *o,
                          int64_t image, const float *planes, const float *heat);
#endif
