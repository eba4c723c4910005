/* torch_pickles.c - what torch.save wrote from 0.1.10 to 1.5 (torchvision's vgg16-397923af.pth, densenet121-a639ec97.pth): pickles in a row -
 * a number, a version, facts of the machine, the object, the keys of its storages - and then the storages, each with its count before it. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/weights/torch_objects.h"

enum { MAGIC_BYTES = 15, VERSION = 1001 };

struct known { /* a storage that the object speaks of */
    struct torch_storage s;
    int place; /* weights_storage_add, -1: its bytes were not found yet */
};
struct storages {
    struct known *known;
    int count;
};

static int compare_keys(const void *a, const void *b)
{
    const struct torch_storage *x = &((const struct known *)a)->s, *y = &((const struct known *)b)->s;
    int order = memcmp(x->key, y->key, x->key_length < y->key_length ? x->key_length : y->key_length);
    return order ? order : (x->key_length > y->key_length) - (x->key_length < y->key_length);
}

static struct known *find_known(const struct storages *all, const char *key, size_t length)
{
    struct known want = {.s = {.key = key, .key_length = length}};
    return all->count ? bsearch(&want, all->known, (size_t)all->count, sizeof want, compare_keys) : NULL;
}

static int find_storage(void *context, struct weights_file *f, const struct torch_storage *s, struct error *err)
{
    const struct known *k = find_known(context, s->key, s->key_length);
    ASSERT(k);
    if (k->place < 0) return error_set(err, "%s: is damaged: the bytes of a storage are missing", f->source.name);
    if (k->s.type != s->type || k->s.count != s->count) return error_set(err, "%s: is damaged: a storage has two types or sizes", f->source.name);
    return k->place;
}

/* Every persistent id of the object, one of each key. */
static int collect(struct storages *all, const struct pickle *p, const char *name, struct error *err)
{
    all->known = NEW_ARRAY(struct known, p->count);
    for (int v = 0; v < p->count; v++) {
        if (p->value[v].kind != PICKLE_STORED) continue;
        all->known[all->count].place = -1;
        if (torch_storage_of(&all->known[all->count++].s, p, v, name, err)) return -1;
    }
    if (all->count) qsort(all->known, (size_t)all->count, sizeof *all->known, compare_keys);
    int kept = 0;
    for (int i = 0; i < all->count; i++)
        if (!kept || compare_keys(&all->known[kept - 1], &all->known[i])) all->known[kept++] = all->known[i];
    all->count = kept;
    return 0;
}

/* The storages lie in the order of the keys. */
static int place_storages(struct storages *all, struct weights_file *f, const struct pickle *keys, uint64_t at, struct error *err)
{
    const struct pickle_value *list = &keys->value[keys->result];
    if (list->kind != PICKLE_LIST) return error_set(err, "%s: is damaged: it has no list of storages", f->source.name);
    for (int i = 0; i < list->count; i++) {
        int key = pickle_item(keys, keys->result, i, PICKLE_TEXT);
        struct known *k = key < 0 ? NULL : find_known(all, keys->value[key].text, keys->value[key].length);
        int64_t count;
        if (!k || k->place >= 0) return error_set(err, "%s: is damaged: its list of storages makes no sense", f->source.name);
        if (weights_source_read(&f->source, &count, at, sizeof count, err)) return -1;
        uint64_t bytes, each = (uint64_t)weights_type_bytes(k->s.type);
        if (count != k->s.count) return error_set(err, "%s: is damaged: a storage has %lld elements instead of %lld", f->source.name, (long long)count, (long long)k->s.count);
        if (__builtin_mul_overflow((uint64_t)count, each, &bytes) || bytes > f->source.bytes - at - sizeof count)
            return error_set(err, "%s: is truncated: a storage of %lld elements is not all there", f->source.name, (long long)count);
        k->place = weights_storage_add(f, (struct weights_storage){.offset = at + sizeof count, .bytes = bytes});
        at += sizeof count + bytes;
    }
    return at == f->source.bytes ? 0 : error_set(err, "%s: is damaged: bytes are left over behind the last storage", f->source.name);
}

struct pickles { /* those of the file, in a row */
    struct weights_file *f;
    const uint8_t *head;
    size_t bytes, at;
};

static int next(struct pickles *in, struct pickle *p, struct error *err)
{
    int status = pickle_read(p, in->head + in->at, in->bytes - in->at, in->f->source.name, err);
    in->at += p->used;
    return status;
}

static int check_machine(struct pickles *in, struct error *err)
{
    struct pickle version = {0}, facts = {0};
    int status = next(in, &version, err) || next(in, &facts, err) ? -1 : 0;
    if (!status && torch_integer(&version, version.result) != VERSION)
        status = error_set(err, "%s: is of a version of torch.save that is not known", in->f->source.name);
    int little = status ? -1 : pickle_lookup(&facts, facts.result, "little_endian");
    if (!status && (little < 0 || facts.value[little].kind != PICKLE_BOOL || !facts.value[little].integer))
        status = error_set(err, "%s: was written on a machine of the other byte order, or is damaged", in->f->source.name);
    pickle_free(&version);
    pickle_free(&facts);
    return status;
}

int torch_pickles_read(struct weights_file *f, struct error *err)
{
    struct pickles in = {.f = f, .at = MAGIC_BYTES, .bytes = f->source.bytes < TORCH_PICKLE_BYTES_MOST ? f->source.bytes : TORCH_PICKLE_BYTES_MOST};
    uint8_t *head = weights_source_piece(&f->source, 0, in.bytes, in.bytes, "its pickles", err);
    struct storages all = {0};
    struct torch_finder finder = {find_storage, &all};
    struct torch_kind kind = {torch_is_call, torch_add_call, &finder};
    struct pickle object = {0}, keys = {0};
    in.head = head;
    int status = head ? check_machine(&in, err) : -1;
    if (!status) status = next(&in, &object, err);
    if (!status) status = next(&in, &keys, err);
    if (!status) status = collect(&all, &object, f->source.name, err);
    if (!status) status = place_storages(&all, f, &keys, in.at, err);
    if (!status) status = torch_state_dict(f, &object, &kind, err);
    pickle_free(&object);
    pickle_free(&keys);
    mem_free(all.known);
    mem_free(head);
    return status;
}
