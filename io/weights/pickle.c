/* pickle.c - see pickle.h. Protocols 2 to 5 as far as torch uses them. Values are numbered as they are made and never freed before the end, so
 * a list may hold itself: nothing here follows items. The stack holds numbers of values; -1 is a mark. */
#include "io/weights/pickle.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

enum { VALUES_MOST = 2000000, MARK = -1, NOTHING = -2 };

struct machine {
    struct pickle *p;
    const uint8_t *data;
    size_t bytes, at;
    const char *name;
    int *stack, depth, stack_room;
    int *memo, memo_count, memo_used; /* NOTHING where none is */
    struct error *err;
};

static int bad(struct machine *m, const char *how)
{
    error_set(m->err, "%s: is damaged: its pickle %s, at byte %zu", m->name, how, m->at);
    return -1;
}

/* ---- bytes ---- */

static int take(struct machine *m, const uint8_t **bytes, uint64_t count)
{
    *bytes = NULL;
    if (count > m->bytes - m->at) return bad(m, "ends in the middle of something");
    *bytes = m->data + m->at;
    m->at += count;
    return 0;
}

static int take_number(struct machine *m, uint64_t *value, int bytes)
{
    const uint8_t *from;
    if (take(m, &from, (uint64_t)bytes)) return -1;
    *value = 0;
    for (int i = bytes - 1; i >= 0; i--) *value = *value << 8 | from[i];
    return 0;
}

/* Up to a line feed, which is passed over. */
static int take_line(struct machine *m, const char **line, size_t *length)
{
    const uint8_t *from = m->data + m->at, *end = memchr(from, '\n', m->bytes - m->at);
    if (!end) return bad(m, "ends in the middle of a name");
    *line = (const char *)from;
    *length = (size_t)(end - from);
    m->at += *length + 1;
    return 0;
}

/* ---- values, stack, memo ---- */

static void *grown(void *old, int count, int *room, size_t each)
{
    if (count < *room) return old;
    int more = *room ? 2 * *room : 4;
    old = mem_grow(old, each * (size_t)*room, each * (size_t)more);
    *room = more;
    return old;
}

/* The new value's number, or NOTHING: there are too many. */
static int new_value(struct machine *m, enum pickle_kind kind)
{
    struct pickle *p = m->p;
    if (p->count >= VALUES_MOST) {
        bad(m, "has more objects than any network needs");
        return NOTHING;
    }
    p->value = grown(p->value, p->count, &p->room, sizeof *p->value);
    p->value[p->count] = (struct pickle_value){.kind = kind};
    return p->count++;
}

static void add_item(struct machine *m, int value, int item)
{
    struct pickle_value *v = &m->p->value[value];
    v->item = grown(v->item, v->count, &v->room, sizeof *v->item);
    v->item[v->count++] = item;
}

static int push(struct machine *m, int value)
{
    if (value == NOTHING) return -1;
    if (m->depth >= VALUES_MOST) return bad(m, "has more objects than any network needs");
    m->stack = grown(m->stack, m->depth, &m->stack_room, sizeof *m->stack);
    m->stack[m->depth++] = value;
    return 0;
}

static int push_int(struct machine *m, enum pickle_kind kind, int64_t integer)
{
    int v = new_value(m, kind);
    if (v != NOTHING) m->p->value[v].integer = integer;
    return push(m, v);
}

static int push_text(struct machine *m, uint64_t length)
{
    const uint8_t *bytes;
    if (take(m, &bytes, length)) return -1;
    int v = new_value(m, PICKLE_TEXT);
    if (v == NOTHING) return -1;
    m->p->value[v].text = (const char *)bytes;
    m->p->value[v].length = length;
    return push(m, v);
}

/* The topmost value, which stays; NOTHING with err. */
static int top(struct machine *m)
{
    if (m->depth && m->stack[m->depth - 1] != MARK) return m->stack[m->depth - 1];
    bad(m, "takes more than there is");
    return NOTHING;
}

static int pop(struct machine *m)
{
    int v = top(m);
    if (v != NOTHING) m->depth--;
    return v;
}

/* Place of the last mark in the stack, or -1 with err. */
static int last_mark(struct machine *m)
{
    int at = m->depth - 1;
    while (at >= 0 && m->stack[at] != MARK) at--;
    if (at < 0) bad(m, "misses a mark");
    return at;
}

static int memo_put(struct machine *m, uint64_t index)
{
    int v = top(m);
    if (v == NOTHING) return -1;
    if (index >= VALUES_MOST || index > m->bytes) return bad(m, "remembers more than it has");
    if ((int64_t)index >= m->memo_count) {
        int more = (int)index < 64 ? 128 : 2 * (int)index + 1;
        m->memo = mem_grow(m->memo, sizeof(int) * (size_t)m->memo_count, sizeof(int) * (size_t)more);
        while (m->memo_count < more) m->memo[m->memo_count++] = NOTHING;
    }
    m->memo_used += m->memo[index] == NOTHING;
    m->memo[index] = v;
    return 0;
}

static int memo_get(struct machine *m, uint64_t index)
{
    if (index >= (uint64_t)m->memo_count || m->memo[index] == NOTHING) return bad(m, "recalls what it has not stored");
    return push(m, m->memo[index]);
}

/* ---- containers ---- */

static int make_tuple(struct machine *m, int first)
{
    int v = new_value(m, PICKLE_TUPLE);
    if (v == NOTHING) return -1;
    for (int i = first; i < m->depth; i++) {
        if (m->stack[i] == MARK) return bad(m, "takes more than there is");
        add_item(m, v, m->stack[i]);
    }
    return 0;
}

/* The last `count` values as a tuple in their place. */
static int tuple_of(struct machine *m, int count)
{
    if (count > m->depth) return bad(m, "takes more than there is");
    int first = m->depth - count;
    if (make_tuple(m, first)) return -1;
    m->depth = first;
    return push(m, m->p->count - 1);
}

static int tuple_after_mark(struct machine *m)
{
    int mark = last_mark(m);
    if (mark < 0 || make_tuple(m, mark + 1)) return -1;
    m->depth = mark;
    return push(m, m->p->count - 1);
}

/* Everything after the last mark goes into the list or dictionary before it, or into a new one. */
static int fill(struct machine *m, enum pickle_kind kind, bool fresh)
{
    int mark = last_mark(m), to;
    if (mark < 0) return -1;
    if (kind == PICKLE_DICT && (m->depth - mark - 1) % 2) return bad(m, "has a key without a value");
    to = fresh ? new_value(m, kind) : mark > 0 ? m->stack[mark - 1] : NOTHING;
    if (to < 0 || m->p->value[to].kind != kind) return bad(m, "adds to what takes nothing");
    for (int i = mark + 1; i < m->depth; i++) add_item(m, to, m->stack[i]);
    m->depth = mark;
    return fresh ? push(m, to) : 0;
}

static int fill_one(struct machine *m, enum pickle_kind kind, int items)
{
    int first = m->depth - items, to = first > 0 ? m->stack[first - 1] : NOTHING;
    if (to < 0 || m->p->value[to].kind != kind) return bad(m, "adds to what takes nothing");
    for (int i = first; i < m->depth; i++) {
        if (m->stack[i] == MARK) return bad(m, "takes more than there is");
        add_item(m, to, m->stack[i]);
    }
    m->depth = first;
    return 0;
}

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
        int v = new_value(m, PICKLE_GLOBAL);
        if (v == NOTHING) return -1;
        m->p->value[v].global = a->global;
        m->p->value[v].type = a->type;
        return push(m, v);
    }
    return refuse_global(m, module, module_length, name, length);
}

static int global_by_lines(struct machine *m)
{
    const char *module, *name;
    size_t module_length, length;
    if (take_line(m, &module, &module_length) || take_line(m, &name, &length)) return -1;
    return push_global(m, module, module_length, name, length);
}

static int global_by_stack(struct machine *m)
{
    int name = pop(m), module = name == NOTHING ? NOTHING : pop(m);
    if (module == NOTHING) return -1;
    const struct pickle_value *a = &m->p->value[module], *b = &m->p->value[name];
    if (a->kind != PICKLE_TEXT || b->kind != PICKLE_TEXT) return bad(m, "asks for something without a name");
    return push_global(m, a->text, a->length, b->text, b->length);
}

/* OrderedDict(), or OrderedDict([[key, value], ...]) as Python 2 wrote it. */
static int make_dict(struct machine *m, int arguments)
{
    int dict = new_value(m, PICKLE_DICT), pairs = pickle_item(m->p, arguments, 0, PICKLE_LIST);
    if (dict == NOTHING) return -1;
    if (m->p->value[arguments].count > (pairs >= 0)) return bad(m, "makes a dictionary of something else");
    for (int i = 0; pairs >= 0 && i < m->p->value[pairs].count; i++) {
        const struct pickle_value *pair = &m->p->value[m->p->value[pairs].item[i]];
        if ((pair->kind != PICKLE_LIST && pair->kind != PICKLE_TUPLE) || pair->count != 2) return bad(m, "makes a dictionary of something else");
        int key = pair->item[0], value = pair->item[1];
        add_item(m, dict, key);
        add_item(m, dict, value);
    }
    return push(m, dict);
}

static int keep_call(struct machine *m, int function, int arguments)
{
    int v = new_value(m, PICKLE_CALL);
    if (v == NOTHING) return -1;
    add_item(m, v, function);
    add_item(m, v, arguments);
    return push(m, v);
}

static int reduce(struct machine *m)
{
    int arguments = pop(m), function = arguments == NOTHING ? NOTHING : pop(m);
    if (function == NOTHING) return -1;
    if (m->p->value[function].kind != PICKLE_GLOBAL || m->p->value[arguments].kind != PICKLE_TUPLE) return bad(m, "calls what is no function");
    switch (m->p->value[function].global) {
    case GLOBAL_ORDERED_DICT: return make_dict(m, arguments);
    case GLOBAL_SIZE:
        if (m->p->value[arguments].count != 1) return bad(m, "makes a shape of something else");
        return push(m, m->p->value[arguments].item[0]);
    case GLOBAL_STORAGE: return bad(m, "calls what is no function");
    default: return keep_call(m, function, arguments);
    }
}

/* Attributes of a dictionary (torch's _metadata) say nothing about tensors. */
static int build(struct machine *m)
{
    int state = pop(m), object = state == NOTHING ? NOTHING : top(m);
    if (object == NOTHING) return -1;
    return m->p->value[object].kind == PICKLE_DICT ? 0 : bad(m, "sets attributes of what has none");
}

static int persistent(struct machine *m)
{
    int id = pop(m), v = id == NOTHING ? NOTHING : new_value(m, PICKLE_STORED);
    if (v == NOTHING) return -1;
    add_item(m, v, id);
    return push(m, v);
}

/* ---- the machine ---- */

static int step_number(struct machine *m, uint8_t op)
{
    uint64_t n = 0;
    switch (op) {
    case 'J': return take_number(m, &n, 4) ? -1 : push_int(m, PICKLE_INT, (int32_t)(uint32_t)n);
    case 'K': return take_number(m, &n, 1) ? -1 : push_int(m, PICKLE_INT, (int64_t)n);
    case 'M': return take_number(m, &n, 2) ? -1 : push_int(m, PICKLE_INT, (int64_t)n);
    case 'G': return take_number(m, &n, 8) ? -1 : push_int(m, PICKLE_FLOAT, 0); /* its value says nothing about tensors */
    case 0x88: return push_int(m, PICKLE_BOOL, 1);
    case 0x89: return push_int(m, PICKLE_BOOL, 0);
    case 'N': return push(m, new_value(m, PICKLE_NONE));
    }
    uint64_t bytes, value; /* 0x8a: a whole number of any length, two's complement */
    if (take_number(m, &bytes, 1)) return -1;
    if (bytes > 8) return bad(m, "has a number of more than 64 bits");
    if (take_number(m, &value, (int)bytes)) return -1;
    if (bytes && bytes < 8 && value >> (8 * bytes - 1)) value |= ~(uint64_t)0 << (8 * bytes);
    return push_int(m, PICKLE_INT, (int64_t)value);
}

static int step_text(struct machine *m, uint8_t op)
{
    uint64_t length = 0;
    bool one = op == 'U' || op == 'C' || op == 0x8c, eight = op == 0x8d || op == 0x8e;
    return take_number(m, &length, one ? 1 : eight ? 8 : 4) ? -1 : push_text(m, length);
}

static int step_memo(struct machine *m, uint8_t op)
{
    uint64_t index = 0;
    if (op == 0x94) return memo_put(m, (uint64_t)m->memo_used);
    if (take_number(m, &index, op == 'q' || op == 'h' ? 1 : 4)) return -1;
    return op == 'q' || op == 'r' ? memo_put(m, index) : memo_get(m, index);
}

static int step(struct machine *m, uint8_t op)
{
    uint64_t ignored;
    int mark;
    switch (op) {
    case 0x80: return take_number(m, &ignored, 1);
    case 0x95: return take_number(m, &ignored, 8); /* a frame's length */
    case '(': return push(m, MARK);
    case '0': return pop(m) == NOTHING ? -1 : 0;
    case '1': return (mark = last_mark(m)) < 0 ? -1 : (m->depth = mark, 0);
    case ')': return tuple_of(m, 0);
    case 0x85: case 0x86: case 0x87: return tuple_of(m, op - 0x84);
    case 't': return tuple_after_mark(m);
    case ']': return push(m, new_value(m, PICKLE_LIST));
    case 'l': return fill(m, PICKLE_LIST, true);
    case 'a': return fill_one(m, PICKLE_LIST, 1);
    case 'e': return fill(m, PICKLE_LIST, false);
    case '}': return push(m, new_value(m, PICKLE_DICT));
    case 'd': return fill(m, PICKLE_DICT, true);
    case 's': return fill_one(m, PICKLE_DICT, 2);
    case 'u': return fill(m, PICKLE_DICT, false);
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
        if ((status = take(&m, &op, 1)) || *op == '.') break;
        status = step(&m, *op);
    }
    if (!status) status = (p->result = pop(&m)) == NOTHING ? -1 : 0;
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
