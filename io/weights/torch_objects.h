/* torch_objects.h - tensors and dictionaries out of a pickle that was read (pickle.h): private to io/weights. */
#ifndef IO_WEIGHTS_TORCH_OBJECTS_H
#define IO_WEIGHTS_TORCH_OBJECTS_H
#include "io/weights/pickle.h"
#include "io/weights/weights_private.h"

enum { TORCH_PICKLE_BYTES_MOST = 64 << 20 };

struct torch_storage { /* what a persistent id ('storage', FloatStorage, '0', 'cpu', 9408) says */
    const char *key;   /* not NUL-ended */
    size_t key_length;
    enum weights_type type;
    int64_t count;
};
/* 0 when the value is such an id; -1 with err. */
int torch_storage_of(struct torch_storage *s, const struct pickle *p, int value, const char *name, struct error *err);
/* `length` decimal digits or whole text as a number; -1: it is none. */
int64_t torch_integer(const struct pickle *p, int value);

/* How a format knows its tensors. */
struct torch_kind {
    bool (*is_tensor)(const struct pickle *p, int value);
    /* Adds tensor `value` under the name, which it takes. */
    int (*add)(void *context, struct weights_file *f, const struct pickle *p, int value, char *name, struct error *err);
    void *context;
};
/* The tensors of the dictionary that the pickle is of, or of its entry state_dict or model. */
int torch_state_dict(struct weights_file *f, const struct pickle *p, const struct torch_kind *kind, struct error *err);

/* For the two formats with calls of _rebuild_tensor: `find` gives the place (weights_storage_add) of a storage, or -1 with err. */
struct torch_finder {
    int (*find)(void *context, struct weights_file *f, const struct torch_storage *s, struct error *err);
    void *context;
};
bool torch_is_call(const struct pickle *p, int value);
int torch_add_call(void *finder, struct weights_file *f, const struct pickle *p, int value, char *name, struct error *err);
#endif
