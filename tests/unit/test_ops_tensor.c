/* test_ops_tensor.c - where elements lie (ops/tensor.c), the order of sums over shards, backends by name (ops/ops.c), and
 * that the helpers of the operations' tests see stray writes. */
#include "tests/tools/ops_values.h"
#include "tests/unit/check.h"

/* ---- tensors ---- */

static void check_addresses(void)
{
    float *v = values_different(2 * 20 * 3 * 5);
    const struct shape s = {2, 20, 3, 5};
    struct tensor nchw = tensor_filled(v, s, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    struct tensor nhwc = tensor_filled(v, s, DTYPE_F32, LAYOUT_NHWC, 0, 0);
    struct tensor blocked = tensor_filled(v, s, DTYPE_F32, LAYOUT_NCHW16C, 0, 0);
    const float want = v[((1 * 20 + 18) * 3 + 2) * 5 + 4]; /* (1, 18, 2, 4) */
    EXPECT(((float *)nchw.data)[((1 * 20 + 18) * 3 + 2) * 5 + 4] == want, "NCHW");
    EXPECT(((float *)nhwc.data)[((1 * 3 + 2) * 5 + 4) * 20 + 18] == want, "NHWC");
    EXPECT(((float *)blocked.data)[(((1 * 2 + 1) * 3 + 2) * 5 + 4) * 16 + 2] == want, "NCHW16C");
    EXPECT(tensor_buffer_bytes(&nhwc) == 2 * 20 * 15 * 4 && tensor_buffer_bytes(&blocked) == 2 * 32 * 15 * 4, "buffer bytes");
    tensor_delete(&nchw), tensor_delete(&nhwc), tensor_delete(&blocked);
    mem_free(v);
}

static void check_round_trip(struct shape s, enum dtype dtype, enum layout layout, int before, int after)
{
    float *in = values_normal(shape_count(s), 0, 1, dtype);
    struct tensor t = tensor_filled(in, s, dtype, layout, before, after);
    float *out = tensor_values(&t);
    EXPECT(memcmp(in, out, sizeof(float) * shape_count(s)) == 0, "layout %d dtype %d, %d channels at %d", layout, dtype, s.c, before);
    EXPECT(neighbours_are_kept(&t) && padding_is_zero(&t), "layout %d dtype %d, %d channels at %d", layout, dtype, s.c, before);
    tensor_delete(&t);
    mem_free(in), mem_free(out);
}

static void check_round_trips(void)
{
    static const int channels[] = {1, 3, 16, 17, 40};
    for (int layout = LAYOUT_NCHW; layout <= LAYOUT_NCHW16C; layout++)
        for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++)
            for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
                check_round_trip((struct shape){3, channels[i], 2, 5}, dtype, layout, 0, 0);
                check_round_trip((struct shape){2, channels[i], 3, 1}, dtype, layout, 32, 0);
                check_round_trip((struct shape){0, channels[i], 3, 1}, dtype, layout, 0, 0);
            }
    check_round_trip((struct shape){2, 5, 3, 2}, DTYPE_F32, LAYOUT_NHWC, 3, 4);
    check_round_trip((struct shape){2, 32, 3, 2}, DTYPE_BF16, LAYOUT_NCHW16C, 16, 7);
}

/* A write beside a slice or into the padding must be seen. */
static void check_strays_are_seen(void)
{
    const struct shape s = {2, 17, 2, 2};
    struct tensor t = tensor_new(s, DTYPE_F32, LAYOUT_NCHW16C, 16, 0);
    EXPECT(neighbours_are_kept(&t) && padding_is_zero(&t), "a fresh slice");
    ((float *)t.data)[((1 * 3 + 2) * 4 + 3) * 16 + 1] = 1; /* image 1, last block, last pixel, lane 1 of which 0 exists */
    EXPECT(neighbours_are_kept(&t) && !padding_is_zero(&t), "a write into the padding");
    ((float *)t.data)[(1 * 3 * 4 + 3) * 16 + 15] = 1; /* image 1, channel 15 */
    EXPECT(!neighbours_are_kept(&t), "a write beside the slice");
    tensor_delete(&t);
    t = tensor_new(s, DTYPE_BF16, LAYOUT_NCHW16C, 0, 0);
    EXPECT(!padding_is_zero(&t), "a fresh whole tensor holds NaN");
    tensor_delete(&t);
}

static void check_bf16(void)
{
    static const struct {
        float f;
        uint16_t bits;
    } known[] = {{1, 0x3f80}, {-2, 0xc000}, {1 + 0x1p-8F, 0x3f80}, {1 + 0x3p-8F, 0x3f82}, {1 + 0x1.01p-8F, 0x3f81}, {3.4e38F, 0x7f80}, {0x1p-133F, 1}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        EXPECT(bf16_from_float(known[i].f) == known[i].bits, "%a gives %04x", (double)known[i].f, bf16_from_float(known[i].f));
    EXPECT(isnan(bf16_to_float(bf16_from_float(NAN))), "NaN stays NaN");
    for (uint32_t b = 0; b < 0x7f80; b++)
        if (bf16_from_float(bf16_to_float((uint16_t)b)) != b) EXPECT(0, "%04x changes", b);
}

/* ---- sums over shards ---- */

enum { COUNT = 1000, SHARDS = 8 };

/* The tree over p[0..n) written out, n 1..8. */
static float tree(const float *p, int n)
{
    switch (n) {
    case 1: return p[0];
    case 2: return p[0] + p[1];
    case 3: return (p[0] + p[1]) + p[2];
    case 4: return (p[0] + p[1]) + (p[2] + p[3]);
    case 5: return ((p[0] + p[1]) + (p[2] + p[3])) + p[4];
    case 6: return ((p[0] + p[1]) + (p[2] + p[3])) + (p[4] + p[5]);
    case 7: return ((p[0] + p[1]) + (p[2] + p[3])) + ((p[4] + p[5]) + p[6]);
    default: return ((p[0] + p[1]) + (p[2] + p[3])) + ((p[4] + p[5]) + (p[6] + p[7]));
    }
}

static void check_tree(int shards)
{
    float *part[SHARDS], *value = values_normal(COUNT * SHARDS, 0, 1, DTYPE_F32);
    double *part_double[SHARDS];
    int bad = 0, bad_double = 0, order_matters = 0;
    for (int s = 0; s < shards; s++) {
        part[s] = NEW_ARRAY(float, COUNT), part_double[s] = NEW_ARRAY(double, COUNT);
        for (int i = 0; i < COUNT; i++) part[s][i] = value[i * SHARDS + s], part_double[s][i] = (double)part[s][i] * 0x1p29 + part[s][i];
    }
    double first[SHARDS] = {0};
    for (int s = 0; s < shards; s++) first[s] = part_double[s][0];
    shard_tree_sum(part, shards, COUNT), shard_tree_sum_double(part_double, shards, COUNT);
    for (int i = 0; i < COUNT; i++) {
        float in_turn = 0;
        for (int s = 0; s < shards; s++) in_turn += value[i * SHARDS + s];
        bad += part[0][i] != tree(value + i * SHARDS, shards);
        order_matters += part[0][i] != in_turn;
    }
    double half = shards > 2 ? (first[0] + first[1]) + (shards > 3 ? first[2] + first[3] : first[2]) : first[0] + first[1];
    if (shards > 1 && shards < 5) bad_double = part_double[0][0] != half;
    EXPECT(bad == 0 && bad_double == 0, "%d shards: %d of %d sums in another order", shards, bad, COUNT);
    EXPECT(shards < 4 || order_matters > COUNT / 10, "%d shards: the values do not tell orders apart", shards);
    for (int s = 0; s < shards; s++) mem_free(part[s]), mem_free(part_double[s]);
    mem_free(value);
}

static void check_known_tree(void)
{
    float a = 1e8F, b = 1, c = -1e8F, d = 1, *const part[] = {&a, &b, &c, &d};
    double e = 1e17, f = 1, g = -1e17, h = 1, *const part_double[] = {&e, &f, &g, &h};
    shard_tree_sum(part, 4, 1), shard_tree_sum_double(part_double, 4, 1);
    EXPECT(a == 0 && e == 0, "(1e8 + 1) + (-1e8 + 1) is 0 in f32, got %g and %g; in turn it is 1", (double)a, e);
    shard_tree_sum(part, 0, 1);
}

int main(void)
{
    values_seed(2);
    check_addresses();
    check_round_trips();
    check_strays_are_seen();
    check_bf16();
    for (int shards = 1; shards <= SHARDS; shards++) check_tree(shards);
    check_known_tree();
    EXPECT(ops_find("ref", NULL) == &ops_ref && ops_find("cpu", NULL) == ops_cpu() && !ops_find("tpu", NULL), "backends by name");
    EXPECT(conv_out_size(224, 7, 2, 3) == 112 && conv_out_size(112, 3, 2, 1) == 56 && conv_out_size(5, 1, 2, 0) == 3, "output sizes");
    EXPECT(conv_out_size(2, 3, 2, 0) <= 0, "a kernel larger than the padded picture has no output, got %d", conv_out_size(2, 3, 2, 0));
    return check_verdict();
}
