/* measure_tolerance.c - where the factors k of tests/tools/ops_compare.h come from.
 *
 *   gcc -std=gnu11 -D_GNU_SOURCE -O2 -fopenmp -I. tests/tools/measure_tolerance.c build/release/libladnn_core.a -ldnnl -lm
 *   ./a.out [threads 2]
 *
 * First what is honest: the error of a plain sum of products in f32, one after the other, stored as f32 or bf16, in the
 * units of a limit, (eps(dtype) + eps(f32) * sqrt(length)) * rms. Any order of summing is about as good or better, so a
 * backend that needs a much larger k than this is wrong, whatever it was measured to be. Then, for each kind of result, the
 * largest error of the CPU backend on this machine beside the limit.
 */
#include <stdlib.h>

#include "tests/tools/ops_backends.h"

enum { RESULTS = 20000 };

static double plain_sum_error(int length, enum dtype dtype)
{
    double worst = 0, squares = 0;
    for (int i = 0; i < RESULTS; i++) {
        float sum = 0;
        double exact = 0;
        for (int k = 0; k < length; k++) {
            float a = value_round((float)value_normal(), dtype), b = value_round((float)value_normal(), dtype);
            sum += a * b;
            exact += (double)a * b;
        }
        squares += exact * exact;
        worst = fmax(worst, fabs(value_round(sum, dtype) - exact));
    }
    return worst / ((dtype_epsilon(dtype) + FLT_EPSILON * sqrt(length)) * sqrt(squares / RESULTS));
}

int main(int argc, char **argv)
{
    static const int lengths[] = {1, 9, 100, 1000, 10000};
    values_seed(1);
    printf("plain sums in f32, largest of %d errors in units of the limit\n%8s %8s %8s\n", RESULTS, "length", "f32", "bf16");
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        printf("%8d %8.2f %8.2f\n", lengths[i], plain_sum_error(lengths[i], DTYPE_F32), plain_sum_error(lengths[i], DTYPE_BF16));
    tally.quiet = true;
    compare_everything(argc > 1 ? atoi(argv[1]) : 2);
    printf("\n%-18s %8s %8s %8s %8s\n", "result", "f32", "bf16", "limit", "compared");
    for (size_t i = 0; i < sizeof tolerances / sizeof *tolerances; i++) {
        const struct tolerance *t = &tolerances[i];
        printf("%-18s %8.3g %8.3g %8.3g %8ld\n", t->name, t->worst[0], t->worst[1], t->k, t->compared);
    }
    printf("%ld compared, %ld failed\n", tally.compared, tally.failed);
    return 0;
}
