/* torch_objects.c - see torch_objects.h. Nothing is believed: each field is looked at for its kind before it is used. */
#include "io/weights/torch_objects.h"

#include <string.h>

#include "base/memory.h"

static int odd(const char *name, const char *what, struct error *err)
{
    return error_set(err, "%s: is damaged, or of a kind that is not known: %s", name, what);
}

int64_t torch_integer(const struct pickle *p, int value)
{
    const struct pickle_value *v = value >= 0 ? &p->value[value] : NULL;
    int64_t n = 0;
    if (v && v->kind == PICKLE_INT) return v->integer >= 0 ? v->integer : -1;
    if (!v || v->kind != PICKLE_TEXT || !v->length) return -1;
    for (size_t i = 0; i < v->length; i++) {
        char c = v->text[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, c - '0', &n)) return -1;
    }
    return n;
}

int torch_storage_of(struct torch_storage *s, const struct pickle *p, int value, const char *name, struct error *err)
{
    int id = value >= 0 && p->value[value].kind == PICKLE_STORED ? pickle_item(p, value, 0, PICKLE_TUPLE) : -1;
    if (id < 0 || p->value[id].count < 5 || !pickle_is_text(p, p->value[id].item[0], "storage")) return odd(name, "a tensor has no storage", err);
    int type = pickle_item(p, id, 1, PICKLE_GLOBAL), key = pickle_item(p, id, 2, PICKLE_TEXT), count = pickle_item(p, id, 4, PICKLE_INT);
    if (type < 0 || p->value[type].global != GLOBAL_STORAGE || key < 0 || count < 0) return odd(name, "a storage makes no sense", err);
    if (p->value[id].count > 5 && pickle_item(p, id, 5, PICKLE_NONE) < 0) return odd(name, "a storage is a part of another one", err);
    *s = (struct torch_storage){p->value[key].text, p->value[key].length, p->value[type].type, p->value[count].integer};
    return s->count < 0 ? odd(name, "a storage has a negative size", err) : 0;
}

/* ---- tensors as calls ---- */

/* The arguments of a call of one of the _rebuild functions; those of a parameter are its tensor's. */
static int tensor_arguments(const struct pickle *p, int value)
{
    for (int depth = 0; depth < 2; depth++) {
        if (value < 0 || p->value[value].kind != PICKLE_CALL) return -1;
        int function = p->value[value].item[0], arguments = p->value[value].item[1];
        if (p->value[function].global != GLOBAL_REBUILD_PARAMETER) return arguments;
        value = pickle_item(p, arguments, 0, PICKLE_CALL);
    }
    return -1;
}

bool torch_is_call(const struct pickle *p, int value) { return p->value[value].kind == PICKLE_CALL; }

/* Whole numbers of a tuple (or list); their count, or -1. */
static int read_numbers(int64_t *numbers, const struct pickle *p, int arguments, int k)
{
    int tuple = pickle_item(p, arguments, k, PICKLE_TUPLE);
    if (tuple < 0) tuple = pickle_item(p, arguments, k, PICKLE_LIST);
    if (tuple < 0 || p->value[tuple].count > WEIGHTS_DIMS) return -1;
    for (int i = 0; i < p->value[tuple].count; i++) {
        int item = pickle_item(p, tuple, i, PICKLE_INT);
        if (item < 0) return -1;
        numbers[i] = p->value[item].integer;
    }
    return p->value[tuple].count;
}

static int place_of(struct weights_file *f, const struct pickle *p, int arguments, const struct torch_finder *finder, enum weights_type *type, struct error *err)
{
    struct torch_storage s;
    if (torch_storage_of(&s, p, pickle_item(p, arguments, 0, PICKLE_STORED), f->source.name, err)) return -1;
    *type = s.type;
    return finder->find(finder->context, f, &s, err);
}

int torch_add_call(void *finder, struct weights_file *f, const struct pickle *p, int value, char *name, struct error *err)
{
    int64_t dims[WEIGHTS_DIMS] = {0}, strides[WEIGHTS_DIMS] = {0};
    enum weights_type type;
    int arguments = tensor_arguments(p, value), offset = pickle_item(p, arguments, 1, PICKLE_INT);
    int ndim = read_numbers(dims, p, arguments, 2);
    int storage = -1;
    if (offset < 0 || ndim < 0 || read_numbers(strides, p, arguments, 3) != ndim) odd(f->source.name, "a tensor has no shape", err);
    else storage = place_of(f, p, arguments, finder, &type, err);
    if (storage >= 0) return weights_tensor_add(f, name, type, ndim, dims, strides, storage, p->value[offset].integer, err);
    error_prefix(err, "tensor '%s'", name);
    mem_free(name);
    return -1;
}

/* ---- the dictionary ---- */

static int tensors_in(const struct pickle *p, int dict, const struct torch_kind *kind)
{
    int count = 0;
    for (int i = 1; i < p->value[dict].count; i += 2) count += kind->is_tensor(p, p->value[dict].item[i]);
    return count;
}

static int find_dict(struct weights_file *f, const struct pickle *p, const struct torch_kind *kind, struct error *err)
{
    static const char *const entries[] = {"state_dict", "model_state_dict", "model", "net"};
    if (p->value[p->result].kind != PICKLE_DICT) return odd(f->source.name, "it holds no dictionary of tensors", err);
    if (tensors_in(p, p->result, kind)) return p->result;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        int dict = pickle_lookup(p, p->result, entries[i]);
        if (dict < 0 || p->value[dict].kind != PICKLE_DICT || !tensors_in(p, dict, kind)) continue;
        text_add(&f->note, "its entry '%s'", entries[i]);
        return dict;
    }
    return odd(f->source.name, "its dictionary holds no tensors", err);
}

int torch_state_dict(struct weights_file *f, const struct pickle *p, const struct torch_kind *kind, struct error *err)
{
    int dict = find_dict(f, p, kind, err), others = 0;
    if (dict < 0) return -1;
    for (int i = 0; i + 1 < p->value[dict].count; i += 2) {
        const struct pickle_value *key = &p->value[p->value[dict].item[i]];
        int value = p->value[dict].item[i + 1];
        if (!kind->is_tensor(p, value)) {
            others++;
            continue;
        }
        if (key->kind != PICKLE_TEXT || memchr(key->text, 0, key->length) || key->length > 400) return odd(f->source.name, "a tensor has no name", err);
        if (kind->add(kind->context, f, p, value, mem_format("%.*s", (int)key->length, key->text), err)) return -1;
    }
    if (others) text_add(&f->note, "%s%d entries that are no tensors", f->note.length ? "; " : "", others);
    return 0;
}
