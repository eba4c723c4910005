/* cam.h - class activation maps from a network's last map A and the gradient g = dY/dA of a logit Y.
 *
 *   Grad-CAM   (Selvaraju et al. 2017, eq. 1 and 2):  w_k = mean over places of g_k
 *   Grad-CAM++ (Chattopadhyay et al. 2018, eq. 10 and 19): w_k = sum over places of alpha_k * relu(g_k),
 *              alpha_k = g_k^2 / (2 g_k^2 + S_k g_k^3 + eps), 0 where g_k = 0;  S_k = sum over places of A_k
 *   map = relu(sum over k of w_k A_k)
 *
 * Grad-CAM++ explains exp(Y): its derivatives are exp(Y) times powers of g as the layers behind the map are linear by parts, and exp(Y)
 * cancels in alpha and scales the map. With eps = 0 that is the paper's formula, alpha = 1 / (2 + S_k g_k). pytorch-grad-cam has
 * eps = 1e-6, and so have we by default. It is not small beside g^2 at 224 pixels, where g is a weight of the last layer / 49: where it
 * outweighs, the weights are nearer to g^3 / eps, so large gradients count for more and the hottest place can be another one.
 *
 * The last map (graph->last_map), beside what users of pytorch-grad-cam name:
 *   resnet        layer4[-1]: the last block's sum after its ReLU. The same.
 *   vgg           features[29]: the last convolution after its ReLU, as in Selvaraju et al., 14 x 14 at 224 pixels. Who names features[-1]
 *                 takes the map after the last pooling, 7 x 7.
 *   densenet      features.norm5 after the ReLU that torchvision applies behind `features`. Who names features[-1] hooks norm5 itself; the
 *                 ReLU works in place, so the activations are the same, and only the gradient may differ, where the ReLU is shut.
 *   efficientnet  features[-1], after its SiLU. The same; the map can be slightly negative, and S_k with it.
 */
#ifndef MODELS_CAM_H
#define MODELS_CAM_H
#include <stdint.h>

enum cam_method { CAM_GRAD, CAM_GRAD_PLUS };
enum cam_state {
    CAM_FINE,
    CAM_FLAT,         /* the same positive number everywhere: it says nothing about where */
    CAM_ALL_NEGATIVE, /* nothing speaks for the logit; the map is 0 */
    CAM_NOT_FINITE,   /* NaN or infinity in the map, the gradient or the result; the map is 0 */
};
extern const char *const cam_state_names[]; /* "fine" "flat" "all_negative" "not_finite" */

/* Of one image: map (h, w) from activation and gradient (c, h, w). Never NaN. */
enum cam_state cam_map(float *map, const float *activation, const float *gradient, int c, int h, int w, enum cam_method method, double eps);
/* The map as a picture of (height, width) from 0 (its least) to 1 (its greatest): bilinear, centres at .5, edges repeated. A flat map is 0. */
void cam_heat(float *heat, int height, int width, const float *map, int h, int w);
/* rgb = the colour of heat 0..1: dark blue, blue, cyan, yellow, red, dark red. */
void cam_colour(uint8_t rgb[3], float heat);
#endif
