/* matmul.h - one matrix product of cuBLASLt, chosen once, run often.
 *
 * Matrices are stored column after column without gaps, as cuBLASLt has them: a row-major (n, k) array is a matrix of k rows and n columns.
 * D = op(A) op(B), sums in float; then the bias (one value for each row of D, of D's type) is added, then max(0, .). */
#ifndef OPS_CUDA_MATMUL_H
#define OPS_CUDA_MATMUL_H
#include <stdbool.h>
#include "base/error.h"
#include "ops/tensor.h"

struct matmul_spec {
    int rows, columns, inner;          /* D is (rows, columns) */
    bool a_transposed, b_transposed;   /* A is (rows, inner), stored (inner, rows) when transposed; B (inner, columns) */
    enum dtype in, out;                /* of A and B; of D and the bias */
    bool bias, relu;
    bool tf32;                         /* f32 products may be made in TF32 */
};
struct matmul;
/* Asks the heuristics within the device's workspace; only ways that give the same bits each time. NULL with err. The first run goes a
 * checkpoint's way instead, when there is one (matmul_choices.h). */
struct matmul *matmul_open(const struct matmul_spec *spec, struct error *err);
void matmul_close(struct matmul *m); /* NULL is fine */
/* Queues it on the device's stream. Pointers are 16-byte aligned. bias: NULL when the spec has none. */
void matmul_run(struct matmul *m, void *d, const void *a, const void *b, const void *bias);
#endif
