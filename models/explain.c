/* explain.c - what Grad-CAM needs of a network: its last map, and the gradient of logits with respect to it.
 *
 * Behind the last map a network is a chain of a few layers (pooling, dropout, linear ones; plan_explain has checked that), so this is a
 * backward pass of its own over the evaluation's activations: no gradients of parameters, nothing of training, about a hundredth of a
 * forward pass. A normalisation behind the map would have to use its running statistics; no backbone has one. */
#include "base/clock.h"
#include "base/memory.h"
#include "models/network_private.h"

/* A value of the evaluation, or its gradient. */
static struct tensor value_view(const struct network *n, int value, int images) { return network_view(n, &n->eval, value, NONE, 0, images); }
static struct tensor gradient_view(const struct network *n, int value, int images)
{
    return network_view(n, &n->eval, value, n->eval.explain[value], 0, images);
}

static void backward_node(struct network *n, int i, int images)
{
    const struct node *node = &n->g->nodes[i];
    const struct ops *ops = n->o.ops;
    struct pool_spec pool = {node->adaptive ? 0 : node->kernel, node->stride, node->padding};
    struct tensor y = value_view(n, node->y, images), dy = gradient_view(n, node->y, images), dx = gradient_view(n, node->x, images);
    switch (node->kind) {
    case NODE_LINEAR:
        if (node->act == ACT_RELU) ops->relu_backward(&dy, &y);
        ops->linear_backward_data(n->layer[i].linear, &dx, &dy, network_param(n, n->parameters, node->param[0]), 1);
        break;
    case NODE_MAXPOOL: ops->maxpool_backward(&dx, &dy, network_slot(n, &n->eval, n->eval.note[i], 0), &pool); break;
    case NODE_AVGPOOL: ops->avgpool_backward(&dx, &dy, &pool); break;
    case NODE_DROPOUT: ops->dropout(&dx, &dy, 0, network_row_key(n, 0), (uint64_t)node->random_layer); break;
    default: ASSERT(!"a layer that lies behind the last map");
    }
}

static void fetch(const struct network *n, float *nchw, struct tensor t)
{
    if (n->o.ops->on_host) {
        tensor_to_nchw(nchw, &t);
        return;
    }
    size_t bytes = tensor_buffer_bytes(&t);
    void *here = mem_alloc(bytes);
    n->o.ops->download(here, t.data, bytes);
    t.data = here;
    tensor_to_nchw(nchw, &t);
    mem_free(here);
}

void network_last_map(const struct network *n, int images, float *map)
{
    ASSERT(n->eval.explain && images <= n->o.max_eval_images);
    fetch(n, map, value_view(n, n->g->last_map, images));
}

void network_last_map_gradient(struct network *n, int images, const float *dlogits, float *dmap)
{
    ASSERT(n->eval.explain && images <= n->o.max_eval_images);
    const struct graph *g = n->g;
    struct tensor last = gradient_view(n, g->logits, images);
    n->o.ops->upload(last.data, dlogits, sizeof(float) * (size_t)images * (size_t)last.c);
    for (int i = g->node_count - 1; i > g->values[g->last_map].producer; i--) {
        double start = clock_s();
        backward_node(n, i, images);
        n->times.backward_s[g->nodes[i].kind] += clock_s() - start;
    }
    fetch(n, dmap, gradient_view(n, g->last_map, images));
}
