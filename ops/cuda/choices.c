/* choices.c - see choices.h. */
#include "ops/cuda/choices.h"

#include "base/memory.h"
#include "ops/cuda/matmul_choices.h"
#include "ops/cuda/plan_cache.h"

void choices_give(struct text *out)
{
    matmul_choices_give(out);
    plan_cache_give(out);
}

/* One text of both; takes them. */
static char *both(char *a, char *b)
{
    if (!a || !b) return a ? a : b;
    char *text = mem_format("%s and %s", a, b);
    mem_free(a);
    mem_free(b);
    return text;
}

int choices_take(const char *text, size_t bytes, char **other, struct error *err)
{
    const char *plans;
    char *of_products, *of_plans = NULL;
    int status = matmul_choices_take(text, bytes, &plans, &of_products, err);
    size_t left = bytes - (size_t)(plans - text);
    if (!status && (left || plans == text)) status = plan_cache_take(plans, left, &of_plans, err);
    *other = both(of_products, of_plans);
    return status;
}
