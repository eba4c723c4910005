/* pickle_machine.c - see pickle_machine.h. Each function checks that what it takes is there. */
#include "io/weights/pickle_machine.h"

#include <string.h>

#include "base/memory.h"

int machine_bad(struct machine *m, const char *how)
{
    error_set(m->err, "%s: is damaged: its pickle %s, at byte %zu", m->name, how, m->at);
    return -1;
}

/* ---- bytes ---- */

int machine_take(struct machine *m, const uint8_t **bytes, uint64_t count)
{
    *bytes = NULL;
    if (count > m->bytes - m->at) return machine_bad(m, "ends in the middle of something");
    *bytes = m->data + m->at;
    m->at += count;
    return 0;
}

int machine_take_number(struct machine *m, uint64_t *value, int bytes)
{
    const uint8_t *from;
    if (machine_take(m, &from, (uint64_t)bytes)) return -1;
    *value = 0;
    for (int i = bytes - 1; i >= 0; i--) *value = *value << 8 | from[i];
    return 0;
}

/* Up to a line feed, which is passed over. */
int machine_take_line(struct machine *m, const char **line, size_t *length)
{
    const uint8_t *from = m->data + m->at, *end = memchr(from, '\n', m->bytes - m->at);
    if (!end) return machine_bad(m, "ends in the middle of a name");
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
int machine_new_value(struct machine *m, enum pickle_kind kind)
{
    struct pickle *p = m->p;
    if (p->count >= VALUES_MOST) {
        machine_bad(m, "has more objects than any network needs");
        return NOTHING;
    }
    p->value = grown(p->value, p->count, &p->room, sizeof *p->value);
    p->value[p->count] = (struct pickle_value){.kind = kind};
    return p->count++;
}

void machine_add_item(struct machine *m, int value, int item)
{
    struct pickle_value *v = &m->p->value[value];
    v->item = grown(v->item, v->count, &v->room, sizeof *v->item);
    v->item[v->count++] = item;
}

int machine_push(struct machine *m, int value)
{
    if (value == NOTHING) return -1;
    if (m->depth >= VALUES_MOST) return machine_bad(m, "has more objects than any network needs");
    m->stack = grown(m->stack, m->depth, &m->stack_room, sizeof *m->stack);
    m->stack[m->depth++] = value;
    return 0;
}

int machine_push_int(struct machine *m, enum pickle_kind kind, int64_t integer)
{
    int v = machine_new_value(m, kind);
    if (v != NOTHING) m->p->value[v].integer = integer;
    return machine_push(m, v);
}

int machine_push_text(struct machine *m, uint64_t length)
{
    const uint8_t *bytes;
    if (machine_take(m, &bytes, length)) return -1;
    int v = machine_new_value(m, PICKLE_TEXT);
    if (v == NOTHING) return -1;
    m->p->value[v].text = (const char *)bytes;
    m->p->value[v].length = length;
    return machine_push(m, v);
}

/* The topmost value, which stays; NOTHING with err. */
int machine_top(struct machine *m)
{
    if (m->depth && m->stack[m->depth - 1] != MARK) return m->stack[m->depth - 1];
    machine_bad(m, "takes more than there is");
    return NOTHING;
}

int machine_pop(struct machine *m)
{
    int v = machine_top(m);
    if (v != NOTHING) m->depth--;
    return v;
}

/* Place of the last mark in the stack, or -1 with err. */
int machine_last_mark(struct machine *m)
{
    int at = m->depth - 1;
    while (at >= 0 && m->stack[at] != MARK) at--;
    if (at < 0) machine_bad(m, "misses a mark");
    return at;
}

int machine_memo_put(struct machine *m, uint64_t index)
{
    int v = machine_top(m);
    if (v == NOTHING) return -1;
    if (index >= VALUES_MOST || index > m->bytes) return machine_bad(m, "remembers more than it has");
    if ((int64_t)index >= m->memo_count) {
        int more = (int)index < 64 ? 128 : 2 * (int)index + 1;
        m->memo = mem_grow(m->memo, sizeof(int) * (size_t)m->memo_count, sizeof(int) * (size_t)more);
        while (m->memo_count < more) m->memo[m->memo_count++] = NOTHING;
    }
    m->memo_used += m->memo[index] == NOTHING;
    m->memo[index] = v;
    return 0;
}

int machine_memo_get(struct machine *m, uint64_t index)
{
    if (index >= (uint64_t)m->memo_count || m->memo[index] == NOTHING) return machine_bad(m, "recalls what it has not stored");
    return machine_push(m, m->memo[index]);
}

/* ---- containers ---- */

static int make_tuple(struct machine *m, int first)
{
    int v = machine_new_value(m, PICKLE_TUPLE);
    if (v == NOTHING) return -1;
    for (int i = first; i < m->depth; i++) {
        if (m->stack[i] == MARK) return machine_bad(m, "takes more than there is");
        machine_add_item(m, v, m->stack[i]);
    }
    return 0;
}

/* The last `count` values as a tuple in their place. */
int machine_tuple_of(struct machine *m, int count)
{
    if (count > m->depth) return machine_bad(m, "takes more than there is");
    int first = m->depth - count;
    if (make_tuple(m, first)) return -1;
    m->depth = first;
    return machine_push(m, m->p->count - 1);
}

int machine_tuple_after_mark(struct machine *m)
{
    int mark = machine_last_mark(m);
    if (mark < 0 || make_tuple(m, mark + 1)) return -1;
    m->depth = mark;
    return machine_push(m, m->p->count - 1);
}

/* Everything after the last mark goes into the list or dictionary before it, or into a new one. */
int machine_fill(struct machine *m, enum pickle_kind kind, bool fresh)
{
    int mark = machine_last_mark(m), to;
    if (mark < 0) return -1;
    if (kind == PICKLE_DICT && (m->depth - mark - 1) % 2) return machine_bad(m, "has a key without a value");
    to = fresh ? machine_new_value(m, kind) : mark > 0 ? m->stack[mark - 1] : NOTHING;
    if (to < 0 || m->p->value[to].kind != kind) return machine_bad(m, "adds to what takes nothing");
    for (int i = mark + 1; i < m->depth; i++) machine_add_item(m, to, m->stack[i]);
    m->depth = mark;
    return fresh ? machine_push(m, to) : 0;
}

int machine_fill_one(struct machine *m, enum pickle_kind kind, int items)
{
    int first = m->depth - items, to = first > 0 ? m->stack[first - 1] : NOTHING;
    if (to < 0 || m->p->value[to].kind != kind) return machine_bad(m, "adds to what takes nothing");
    for (int i = first; i < m->depth; i++) {
        if (m->stack[i] == MARK) return machine_bad(m, "takes more than there is");
        machine_add_item(m, to, m->stack[i]);
    }
    m->depth = first;
    return 0;
}
