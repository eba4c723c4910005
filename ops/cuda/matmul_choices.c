/* matmul_choices.c - see matmul_choices.h. */
#include "ops/cuda/matmul_choices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "ops/cuda/cuda_calls.h"
#include "ops/cuda/cuda_device.h"

struct choice {
    char *product; /* a spec as text */
    struct matmul_way way;
    enum { OFFERED, GIVEN, MADE } state; /* by the heuristics; by a checkpoint; used */
    bool taken;
    struct choice *next;
};
static struct choice *choices, **choices_end = &choices;

static const char first_words[] = "ladnn-products 1 ";
static const char *const field_names[WAY_FIELDS] = {"id", "tile", "stages", "split-k", "reduction", "swizzle", "custom", "inner-shape", "cluster"};

/* ---- the list ---- */

static char *product_text(const struct matmul_spec *s)
{
    const char *types[] = {[DTYPE_F32] = "f32", [DTYPE_BF16] = "bf16"};
    return mem_format("%d x %d by %d%s%s, %s to %s%s%s%s", s->rows, s->columns, s->inner, s->a_transposed ? ", A'" : "",
                      s->b_transposed ? ", B'" : "", types[s->in], types[s->out], s->bias ? ", bias" : "", s->relu ? ", relu" : "", s->tf32 ? ", tf32" : "");
}

static struct choice *choice_find(const char *product)
{
    struct choice *c = choices;
    while (c && strcmp(c->product, product)) c = c->next;
    return c;
}

/* Takes product. */
static struct choice *choice_add(char *product)
{
    struct choice *c = NEW(struct choice);
    c->product = product;
    *choices_end = c;
    choices_end = &c->next;
    return c;
}

static struct choice *choice_of(const struct matmul_spec *spec)
{
    char *product = product_text(spec);
    struct choice *c = choice_find(product);
    if (!c) return choice_add(product);
    mem_free(product);
    return c;
}

void matmul_choices_clear(void)
{
    while (choices) {
        struct choice *next = choices->next;
        mem_free(choices->product);
        mem_free(choices);
        choices = next;
    }
    choices_end = &choices;
}

const struct matmul_way *matmul_choice_given(const struct matmul_spec *spec)
{
    char *product = product_text(spec);
    const struct choice *c = choice_find(product);
    mem_free(product);
    return c && (c->state == GIVEN || c->taken) ? &c->way : NULL;
}

void matmul_choice_offered(const struct matmul_spec *spec, const struct matmul_way *way)
{
    struct choice *c = choice_of(spec);
    if (c->state == OFFERED) c->way = *way;
}

void matmul_choice_made(const struct matmul_spec *spec, const struct matmul_way *way, bool taken)
{
    struct choice *c = choice_of(spec);
    c->way = *way;
    c->taken = taken;
    c->state = MADE;
}

struct matmul_counts matmul_counts(void)
{
    struct matmul_counts n = {0};
    for (const struct choice *c = choices; c; c = c->next) n.products += c->state == MADE, n.taken += c->taken;
    return n;
}

/* ---- as text: "PRODUCT: id 21 tile 20 ..." ---- */

static char *made_for(void)
{
    char *card = device_text(), *text = mem_format("cuBLASLt %zu, %s", cuda.cublasLtGetVersion(), card);
    mem_free(card);
    return text;
}

static uint32_t sum_of(const char *made_for, const char *body, size_t bytes)
{
    return crc32c(crc32c(0, made_for, strlen(made_for)), body, bytes);
}

void matmul_choices_give(struct text *out)
{
    if (!choices) return;
    struct text body = {0};
    char *what = made_for();
    for (const struct choice *c = choices; c; c = c->next) {
        text_add(&body, "%s:", c->product);
        for (int i = 0; i < WAY_FIELDS; i++) text_add(&body, " %s %d", field_names[i], c->way.field[i]);
        text_add(&body, "\n");
    }
    text_add(out, "%s%zu %08x %s\n%s", first_words, body.length, sum_of(what, body.data, body.length), what, body.data);
    text_free(&body);
    mem_free(what);
}

static const char *const damaged = "the products of the checkpoint are damaged";

static int line_damaged(const char *line, struct error *err)
{
    return error_set(err, "%s: '%.100s'", damaged, line);
}

static int take_line(char *line, struct error *err)
{
    char *at = strstr(line, ": id ");
    struct matmul_way way;
    int used = 0;
    if (!at || at == line) return line_damaged(line, err);
    *at++ = 0;
    for (int i = 0; i < WAY_FIELDS; i++, at += used) {
        char name[16];
        used = 0;
        if (sscanf(at, " %15s %d%n", name, &way.field[i], &used) != 2 || strcmp(name, field_names[i]) || way.field[i] < WAY_NONE)
            return line_damaged(line, err);
    }
    if (*at || way.field[WAY_ID] < 0) return line_damaged(line, err);
    struct choice *c = choice_find(line);
    if (!c) c = choice_add(mem_string(line));
    if (c->state == MADE) return 0;
    c->way = way;
    c->state = GIVEN;
    return 0;
}

static int take_lines(char *body, struct error *err)
{
    for (char *line = body, *end; *line; line = end + 1) {
        if (!(end = strchr(line, '\n'))) return line_damaged(line, err);
        *end = 0;
        if (take_line(line, err)) return -1;
    }
    return 0;
}

/* "BYTES CRC WHAT": -1 unless the sum is right. */
static int check_head(const char *head, const char *body, size_t room, size_t *bytes, const char **what, struct error *err)
{
    unsigned sum;
    int used = 0;
    if (sscanf(head, "%zu %8x %n", bytes, &sum, &used) != 2 || !used) return error_set(err, "%s: their first line", damaged);
    *what = head + used;
    if (*bytes > room || sum_of(*what, body, *bytes) != sum) return error_set(err, "%s: their checksum is not right", damaged);
    return 0;
}

int matmul_choices_take(const char *text, size_t bytes, const char **end, char **other, struct error *err)
{
    const size_t words = strlen(first_words);
    *end = text;
    *other = NULL;
    if (bytes < words || memcmp(text, first_words, words)) return 0; /* written before products were kept, or there were none */
    const char *line_end = memchr(text, '\n', bytes), *what = NULL;
    if (!line_end) return error_set(err, "%s: their first line", damaged);
    char *head = mem_format("%.*s", (int)(line_end - text - (ptrdiff_t)words), text + words), *here = made_for();
    size_t body_bytes = 0;
    int status = check_head(head, line_end + 1, (size_t)(text + bytes - line_end - 1), &body_bytes, &what, err);
    if (!status && strcmp(what, here)) *other = mem_string(what);
    if (!status && !*other) {
        char *body = mem_format("%.*s", (int)body_bytes, line_end + 1);
        status = take_lines(body, err);
        mem_free(body);
    }
    *end = line_end + 1 + body_bytes;
    mem_free(head);
    mem_free(here);
    return status;
}
