/* pickle.h - reads the pickles in which torch describes tensors, and executes nothing.
 *
 * A pickle is a program for a stack machine that may name any function of Python and call it. Here a name that is not in the short list below
 * ends the reading; the calls that remain are not made but kept as values, for io/weights/torch_objects.c to take apart. There is no
 * recursion, and memory grows with the bytes read alone: no count in the file is believed. */
#ifndef IO_WEIGHTS_PICKLE_H
#define IO_WEIGHTS_PICKLE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "io/weights/weights_file.h"

enum pickle_kind { PICKLE_NONE, PICKLE_BOOL, PICKLE_INT, PICKLE_FLOAT, PICKLE_TEXT, PICKLE_TUPLE, PICKLE_LIST, PICKLE_DICT, PICKLE_GLOBAL, PICKLE_CALL,
                   PICKLE_STORED };
enum pickle_global { GLOBAL_ORDERED_DICT, GLOBAL_SIZE, GLOBAL_REBUILD_TENSOR, GLOBAL_REBUILD_TENSOR_V2, GLOBAL_REBUILD_PARAMETER, GLOBAL_STORAGE };
struct pickle_value {
    enum pickle_kind kind;
    int64_t integer;           /* bool, int */
    const char *text;          /* text (bytes, too): borrowed, not NUL-ended */
    size_t length;
    enum pickle_global global;
    enum weights_type type;    /* of a GLOBAL_STORAGE */
    int *item, count, room;    /* tuple, list: values; dict: key, value, key, ...; call: function, arguments; stored: the persistent id */
};
struct pickle {
    struct pickle_value *value;
    int count, room;
    int result;                /* the value that the pickle is of */
    size_t used;               /* bytes up to its end */
};
/* data must outlive p. `name` is for messages. pickle_free also after a failure. */
int pickle_read(struct pickle *p, const uint8_t *data, size_t bytes, const char *name, struct error *err);
void pickle_free(struct pickle *p);
bool pickle_is_text(const struct pickle *p, int value, const char *text);
/* Value k of a tuple or list, checked to be of that kind; -1: it is not there, or of another kind. */
int pickle_item(const struct pickle *p, int value, int k, enum pickle_kind kind);
/* The value of a key of a dictionary, or -1; the last one counts, as in Python. */
int pickle_lookup(const struct pickle *p, int dict, const char *key);
#endif
