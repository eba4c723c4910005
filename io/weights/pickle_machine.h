/* pickle_machine.h - private to io/weights/pickle*.c: the stack, the memo and the values of a pickle that is being read. */
#ifndef IO_WEIGHTS_PICKLE_MACHINE_H
#define IO_WEIGHTS_PICKLE_MACHINE_H
#include "io/weights/pickle.h"

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

int machine_bad(struct machine *m, const char *how); /* "is damaged: its pickle HOW, at byte N"; -1 */
/* Bytes of the pickle, as a view, a little-endian number, and up to a line feed. */
int machine_take(struct machine *m, const uint8_t **bytes, uint64_t count);
int machine_take_number(struct machine *m, uint64_t *value, int bytes);
int machine_take_line(struct machine *m, const char **line, size_t *length);
/* Values by number; NOTHING with err where there is none. */
int machine_new_value(struct machine *m, enum pickle_kind kind);
void machine_add_item(struct machine *m, int value, int item);
int machine_top(struct machine *m); /* stays on the stack */
int machine_pop(struct machine *m);
int machine_push(struct machine *m, int value); /* MARK, too; NOTHING is passed on as an error */
int machine_push_int(struct machine *m, enum pickle_kind kind, int64_t integer);
int machine_push_text(struct machine *m, uint64_t length);
int machine_last_mark(struct machine *m); /* its place in the stack, or -1 */
int machine_memo_put(struct machine *m, uint64_t index);
int machine_memo_get(struct machine *m, uint64_t index);
int machine_tuple_of(struct machine *m, int count);
int machine_tuple_after_mark(struct machine *m);
/* What follows the last mark goes into the list or dictionary before it, or into a fresh one; the last `items` values likewise. */
int machine_fill(struct machine *m, enum pickle_kind kind, bool fresh);
int machine_fill_one(struct machine *m, enum pickle_kind kind, int items);
#endif
