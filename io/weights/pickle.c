/* pickle.c - see pickle.h. Protocols 2 to 5 as far as torch uses them. Values are numbered as they are made and never freed before the end, so
 * a list may hold itself: nothing here follows items. The stack (pickle_machine.h) holds numbers of values; -1 is a mark. */
#include "io/weights/pickle.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "io/weights/pickle_machine.h"

/* ---- names and calls ---- */

static const struct allowed { const char *module, *name; enum pickle_global global; enum weights_type type; } allowed[] = {
    {"collections", "OrderedDict", GLOBAL_ORDERED_DICT, 0}, {"torch", "Size", GLOBAL_SIZE, 0},
    {"torch._utils", "_rebuild_tensor", GLOBAL_REBUILD_TENSOR, 0}, {"torch._utils", "_rebuild_tensor_v2", GLOBAL_REBUILD_TENSOR_V2, 0},
    {"torch._utils", "_rebuild_parameter", GLOBAL_REBUILD_PARAMETER, 0},
#define STORED(name, type) {"torch", name "Storage", GLOBAL_STORAGE, type}, {"torch", name "Tensor", GLOBAL_STORAGE, type}
    STORED("Float", WEIGHTS_F32), STORED("Double", WEIGHTS_F64), STORED("Half", WEIGHTS_F16), STORED("BFloat16", WEIGHTS_BF16),
    STORED("Long", WEIGHTS_I64), STORED("Int", WEIGHTS_I32), STORED("Short", WEIGHTS_I16), STORED("Char", WEIGHTS_I8), STORED("Byte", WEIGHTS_U8),
    STORED("Bool", WEIGHTS_BOOL)};
#undef STORED

static int refuse_global(struct machine *m, const char *module, size_t module_length, const char *name, size_t length)
{
    struct text shown = {0};
    char *all = mem_format("%.*s.%.*s", module_length < 100 ? (int)module_length : 100, module, length < 100 ? (int)length : 100, name);
    text_add_name(&shown, all);
    error_set(m->err, "%s: its pickle asks for %s, which no weights need: refused, and nothing of it was executed", m->name, shown.data ? shown.data : "nothing");
    text_free(&shown);
    mem_free(all);
    return error_hint(m->err, "if you trust it: load it in Python and torch.save(net.state_dict(), FILE)");
}

static int push_global(struct machine *m, const char *module, size_t module_length, const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        const struct allowed *a = &allowed[i];
        if (strlen(a->module) != module_length || memcmp(a->module, module, module_length) || strlen(a->name) != length || memcmp(a->name, name, length))
            continue;
        int v = machine_new_value(m, PICKLE_GLOBAL);
        if (v == NOTHING) return -1;
        m->p->value[v].global = a->global;
        m->p->value[v].type = a->type;
        return machine_push(m, v);
    }
    return refuse_global(m, module, module_length, name, length);
}

static int global_by_lines(struct machine *m)
{
    const char *module, *name;
    size_t module_length, length;
    if (machine_take_line(m, &module, &module_length) || machine_take_line(m, &name, &length)) return -1;
    return push_global(m, module, module_length, name, length);
}

static int global_by_stack(struct machine *m)
{
    int name = machine_pop(m), module = name == NOTHING ? NOTHING : machine_pop(m);
    if (module == NOTHING) return -1;
    const struct pickle_value *a = &m->p->value[module], *b = &m->p->value[name];
    if (a->kind != PICKLE_TEXT || b->kind != PICKLE_TEXT) return machine_bad(m, "asks for something without a name");
    return push_global(m, a->text, a->length, b->text, b->length);
}

/* OrderedDict(), or OrderedDict([[key, value], ...]) as Python 2 wrote it. */
static int make_dict(struct machine *m, int arguments)
{
    int dict = machine_new_value(m, PICKLE_DICT), pairs = pickle_item(m->p, arguments, 0, PICKLE_LIST);
    if (dict == NOTHING) return -1;
    if (m->p->value[arguments].count > (pairs >= 0)) return machine_bad(m, "makes a dictionary of something else");
    for (int i = 0; pairs >= 0 && i < m->p->value[pairs].count; i++) {
        const struct pickle_value *pair = &m->p->value[m->p->value[pairs].item[i]];
        if ((pair->kind != PICKLE_LIST && pair->kind != PICKLE_TUPLE) || pair->count != 2) return machine_bad(m, "makes a dictionary of something else");
        int key = pair->item[0], value = pair->item[1];
        machine_add_item(m, dict, key);
        machine_add_item(m, dict, value);
    }
    return machine_push(m, dict);
}

static int keep_call(struct machine *m, int function, int arguments)
{
    int v = machine_new_value(m, PICKLE_CALL);
    if (v == NOTHING) return -1;
    machine_add_item(m, v, function);
    machine_add_item(m, v, arguments);
    return machine_push(m, v);
}

static int reduce(struct machine *m)
{
    int arguments = machine_pop(m), function = arguments == NOTHING ? NOTHING : machine_pop(m);
    if (function == NOTHING) return -1;
    if (m->p->value[function].kind != PICKLE_GLOBAL || m->p->value[arguments].kind != PICKLE_TUPLE) return machine_bad(m, "calls what is no function");
    switch (m->p->value[function].global) {
    case GLOBAL_ORDERED_DICT: return make_dict(m, arguments);
    case GLOBAL_SIZE:
        if (m->p->value[arguments].count != 1) return machine_bad(m, "makes a shape of something else");
        return machine_push(m, m->p->value[arguments].item[0]);
    case GLOBAL_STORAGE: return machine_bad(m, "calls what is no function");
    default: return keep_call(m, function, arguments);
    }
}

/* Attributes of a dictionary (torch's _metadata) say nothing about tensors. */
static int build(struct machine *m)
{
    int state = machine_pop(m), object = state == NOTHING ? NOTHING : machine_top(m);
    if (object == NOTHING) return -1;
    return m->p->value[object].kind == PICKLE_DICT ? 0 : machine_bad(m, "sets attributes of what has none");
}

static int persistent(struct machine *m)
{
    int id = machine_pop(m), v = id == NOTHING ? NOTHING : machine_new_value(m, PICKLE_STORED);
    if (v == NOTHING) return -1;
    machine_add_item(m, v, id);
    return machine_push(m, v);
}

/* ---- the machine ---- */

static int step_number(struct machine *m, uint8_t op)
{
    uint64_t n = 0;
    switch (op) {
    case 'J': return machine_take_number(m, &n, 4) ? -1 : machine_push_int(m, PICKLE_INT, (int32_t)(uint32_t)n);
    case 'K': return machine_take_number(m, &n, 1) ? -1 : machine_push_int(m, PICKLE_INT, (int64_t)n);
    case 'M': return machine_take_number(m, &n, 2) ? -1 : machine_push_int(m, PICKLE_INT, (int64_t)n);
    case 'G': return machine_take_number(m, &n, 8) ? -1 : machine_push_int(m, PICKLE_FLOAT, 0); /* its value says nothing about tensors */
    case 0x88: return machine_push_int(m, PICKLE_BOOL, 1);
    case 0x89: return machine_push_int(m, PICKLE_BOOL, 0);
    case 'N': return machine_push(m, machine_new_value(m, PICKLE_NONE));
    }
    uint64_t bytes, value; /* 0x8a: a whole number of any length, two's complement */
    if (machine_take_number(m, &bytes, 1)) return -1;
    if (bytes > 8) return machine_bad(m, "has a number of more than 64 bits");
    if (machine_take_number(m, &value, (int)bytes)) return -1;
    if (bytes && bytes < 8 && value >> (8 * bytes - 1)) value |= ~(uint64_t)0 << (8 * bytes);
    return machine_push_int(m, PICKLE_INT, (int64_t)value);
}

static int step_text(struct machine *m, uint8_t op)
{
    uint64_t length = 0;
    bool one = op == 'U' || op == 'C' || op == 0x8c, eight = op == 0x8d || op == 0x8e;
    return machine_take_number(m, &length, one ? 1 : eight ? 8 : 4) ? -1 : machine_push_text(m, length);
}

static int step_memo(struct machine *m, uint8_t op)
{
    uint64_t index = 0;
    if (op == 0x94) return machine_memo_put(m, (uint64_t)m->memo_used);
    if (machine_take_number(m, &index, op == 'q' || op == 'h' ? 1 : 4)) return -1;
    return op == 'q' || op == 'r' ? machine_memo_put(m, index) : machine_memo_get(m, index);
}

static int step(struct machine *m, uint8_t op)
{
    uint64_t ignored;
    int mark;
    switch (op) {
    case 0x80: return machine_take_number(m, &ignored, 1);
    case 0x95: return machine_take_number(m, &ignored, 8); /* a frame's length */
    case '(': return machine_push(m, MARK);
    case '0': return machine_pop(m) == NOTHING ? -1 : 0;
    case '1': return (mark = machine_last_mark(m)) < 0 ? -1 : (m->depth = mark, 0);
    case ')': return machine_tuple_of(m, 0);
    case 0x85: case 0x86: case 0x87: return machine_tuple_of(m, op - 0x84);
    case 't': return machine_tuple_after_mark(m);
    case ']': return machine_push(m, machine_new_value(m, PICKLE_LIST));
    case 'l': return machine_fill(m, PICKLE_LIST, true);
    case 'a': return machine_fill_one(m, PICKLE_LIST, 1);
    case 'e': return machine_fill(m, PICKLE_LIST, false);
    case '}': return machine_push(m, machine_new_value(m, PICKLE_DICT));
    case 'd': return machine_fill(m, PICKLE_DICT, true);
    case 's': return machine_fill_one(m, PICKLE_DICT, 2);
    case 'u': return machine_fill(m, PICKLE_DICT, false);
    case 'c': return global_by_lines(m);
    case 0x93: return global_by_stack(m);
    case 'R': return reduce(m);
    case 'b': return build(m);
    case 'Q': return persistent(m);
    case 'J': case 'K': case 'M': case 'G': case 'N': case 0x88: case 0x89: case 0x8a: return step_number(m, op);
    case 'X': case 'T': case 'U': case 'B': case 'C': case 0x8c: case 0x8d: case 0x8e: return step_text(m, op);
    case 'q': case 'r': case 'h': case 'j': case 0x94: return step_memo(m, op);
    }
    m->at--;
    error_set(m->err, "%s: its pickle uses instruction 0x%02x at byte %zu, which no weights need: refused, and nothing of it was executed", m->name, op, m->at);
    return error_hint(m->err, "if you trust it: load it in Python and torch.save(net.state_dict(), FILE)");
}

int pickle_read(struct pickle *p, const uint8_t *data, size_t bytes, const char *name, struct error *err)
{
    struct machine m = {.p = p, .data = data, .bytes = bytes, .name = name, .err = err};
    int status = 0;
    *p = (struct pickle){.result = NOTHING};
    while (!status) {
        const uint8_t *op;
        if ((status = machine_take(&m, &op, 1)) || *op == '.') break;
        status = step(&m, *op);
    }
    if (!status) status = (p->result = machine_pop(&m)) == NOTHING ? -1 : 0;
    p->used = m.at;
    mem_free(m.stack);
    mem_free(m.memo);
    return status;
}

void pickle_free(struct pickle *p)
{
    for (int i = 0; i < p->count; i++) mem_free(p->value[i].item);
    mem_free(p->value);
    *p = (struct pickle){0};
}

/* ---- looking at values ---- */

bool pickle_is_text(const struct pickle *p, int value, const char *text)
{
    const struct pickle_value *v = value >= 0 ? &p->value[value] : NULL;
    return v && v->kind == PICKLE_TEXT && v->length == strlen(text) && !memcmp(v->text, text, v->length);
}

int pickle_item(const struct pickle *p, int value, int k, enum pickle_kind kind)
{
    if (value < 0 || k < 0 || k >= p->value[value].count) return -1;
    int item = p->value[value].item[k];
    return p->value[item].kind == kind ? item : -1;
}

int pickle_lookup(const struct pickle *p, int dict, const char *key)
{
    const struct pickle_value *v = &p->value[dict];
    for (int i = v->count - 2; v->kind == PICKLE_DICT && i >= 0; i -= 2)
        if (pickle_is_text(p, v->item[i], key)) return v->item[i + 1];
    return -1;
}
