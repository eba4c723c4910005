/* init.h - random initial weights with torchvision's distributions for each family (their constructors are the source):
 * vgg: kaiming normal fan_out (relu), linear normal(0, 0.01), biases 0; resnet: kaiming normal fan_out, linear PyTorch's
 * default; densenet: kaiming normal fan_in, linear bias 0; efficientnet: kaiming normal fan_out, linear
 * uniform(+-1/sqrt(out)), bias 0; norms 1 and 0. */
#ifndef MODELS_INIT_H
#define MODELS_INIT_H
#include "models/network.h"

/* values: (elements of param p) in torchvision's order. Random numbers (seed, RANDOM_INIT, p). */
void init_param(float *values, const struct graph *g, int p, uint64_t seed);
/* Every parameter so; parameter p depends on (seed, p) alone. */
void init_network(struct network *n, const struct graph *g, uint64_t seed);
/* The formula that C and Python share for reference files (tests/reference/networks.py): not random, needs no library.
 * A number in [-1, 1) with 24 bits, a function of the two integers alone. */
float init_formula(uint64_t stream, uint64_t element);
/* Stream p: weights with variance 2 / fan_in, gamma in 0.5 .. 1.5, biases in +-1/8, beta as far around a centre. */
void init_param_formula(float *values, const struct graph *g, int p);
#endif
