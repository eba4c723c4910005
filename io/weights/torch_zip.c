/* torch_zip.c - what torch.save writes since 1.6: a zip archive, nothing compressed, of ROOT/data.pkl and a file ROOT/data/KEY for each storage.
 * The archive's list is at its end. Its CRC-32 sums are checked for the pickle here and for a storage when it is read. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "io/weights/torch_objects.h"

enum { END_BYTES = 22, END64_BYTES = 56, LOCATOR_BYTES = 20, ENTRY_BYTES = 46, LOCAL_BYTES = 30, LIST_BYTES_MOST = 256 << 20 };

struct zip_entry {
    const char *name; /* in `list`, not NUL-ended */
    size_t name_length;
    uint64_t local, packed, bytes;
    uint32_t crc;
    int method, flags;
    int storage;      /* weights_storage_add, or -1 */
};
struct zip {
    uint8_t *list;
    struct zip_entry *entry; /* by name */
    int count;
    const char *root;        /* "archive/", in front of all names */
    int root_length;
};

static uint64_t number(const uint8_t *at, int bytes)
{
    uint64_t n = 0;
    for (int i = bytes - 1; i >= 0; i--) n = n << 8 | at[i];
    return n;
}

static int bad(const struct weights_file *f, const char *how, struct error *err)
{
    return error_set(err, "%s: is truncated or damaged: %s", f->source.name, how);
}

/* ---- the list at the end ---- */

/* Where the list is. With zip64, the numbers that do not fit into 32 bits stand in a second record before. */
static int find_list(struct weights_file *f, uint64_t *offset, uint64_t *bytes, uint64_t *count, struct error *err)
{
    uint64_t all = f->source.bytes, look = all < END_BYTES + 65535 ? all : END_BYTES + 65535, at;
    uint8_t *tail = weights_source_piece(&f->source, all - look, look, look, "its end", err), second[END64_BYTES];
    if (!tail) return -1;
    for (at = look; at-- > 0;)
        if (at + END_BYTES <= look && !memcmp(tail + at, "PK\5\6", 4)) break;
    if (at >= look) {
        mem_free(tail);
        return bad(f, "the list at the end of the zip archive is missing", err);
    }
    *count = number(tail + at + 10, 2);
    *bytes = number(tail + at + 12, 4);
    *offset = number(tail + at + 16, 4);
    bool has_second = at >= LOCATOR_BYTES && !memcmp(tail + at - LOCATOR_BYTES, "PK\6\7", 4);
    uint64_t place = has_second ? number(tail + at - LOCATOR_BYTES + 8, 8) : 0;
    mem_free(tail);
    if (!has_second) return 0;
    if (weights_source_read(&f->source, second, place, END64_BYTES, err)) return -1;
    if (memcmp(second, "PK\6\6", 4)) return bad(f, "the zip archive's second record is missing", err);
    *count = number(second + 32, 8);
    *bytes = number(second + 40, 8);
    *offset = number(second + 48, 8);
    return 0;
}

/* Sizes and offset of 64 bits stand in the extra field, in this order, where the entry has 0xffffffff. */
static int widen(struct zip_entry *e, const uint8_t *extra, size_t length)
{
    uint64_t *wide[] = {&e->bytes, &e->packed, &e->local};
    for (size_t at = 0; at + 4 <= length; at += 4 + number(extra + at + 2, 2)) {
        size_t size = number(extra + at + 2, 2), used = 0;
        if (number(extra + at, 2) != 1) continue;
        for (int i = 0; i < 3; i++) {
            if (*wide[i] != 0xffffffffu) continue;
            if (used + 8 > size || at + 4 + used + 8 > length) return -1;
            *wide[i] = number(extra + at + 4 + used, 8);
            used += 8;
        }
        return 0;
    }
    return e->bytes == 0xffffffffu || e->packed == 0xffffffffu || e->local == 0xffffffffu ? -1 : 0;
}

static int read_entries(struct zip *z, const struct weights_file *f, uint64_t bytes, struct error *err)
{
    uint64_t at = 0;
    for (int i = 0; i < z->count; i++) {
        const uint8_t *e = z->list + at;
        if (at + ENTRY_BYTES > bytes || memcmp(e, "PK\1\2", 4)) return bad(f, "the list of the zip archive makes no sense", err);
        size_t name = number(e + 28, 2), extra = number(e + 30, 2), comment = number(e + 32, 2);
        if (at + ENTRY_BYTES + name + extra + comment > bytes) return bad(f, "the list of the zip archive makes no sense", err);
        z->entry[i] = (struct zip_entry){.name = (const char *)e + ENTRY_BYTES, .name_length = name, .flags = (int)number(e + 8, 2),
            .method = (int)number(e + 10, 2), .crc = (uint32_t)number(e + 16, 4), .packed = number(e + 20, 4), .bytes = number(e + 24, 4),
            .local = number(e + 42, 4), .storage = -1};
        if (widen(&z->entry[i], e + ENTRY_BYTES + name, extra)) return bad(f, "the list of the zip archive makes no sense", err);
        at += ENTRY_BYTES + name + extra + comment;
    }
    return 0;
}

static int compare_names(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int by_name(const void *a, const void *b)
{
    const struct zip_entry *x = a, *y = b;
    return compare_names(x->name, x->name_length, y->name, y->name_length);
}

static int open_zip(struct zip *z, struct weights_file *f, struct error *err)
{
    uint64_t offset = 0, bytes = 0, count = 0;
    if (find_list(f, &offset, &bytes, &count, err)) return -1;
    z->list = weights_source_piece(&f->source, offset, bytes, LIST_BYTES_MOST, "the list of the zip archive", err);
    if (!z->list) return -1;
    if (count > bytes / ENTRY_BYTES) return bad(f, "the list of the zip archive makes no sense", err);
    z->count = (int)count;
    z->entry = NEW_ARRAY(struct zip_entry, count);
    if (read_entries(z, f, bytes, err)) return -1;
    qsort(z->entry, count, sizeof *z->entry, by_name);
    for (int i = 1; i < z->count; i++)
        if (by_name(&z->entry[i - 1], &z->entry[i]) == 0) return bad(f, "the zip archive has an entry twice", err);
    return 0;
}

static void close_zip(struct zip *z)
{
    mem_free(z->list);
    mem_free(z->entry);
}

static struct zip_entry *find_entry(const struct zip *z, const char *name, size_t length)
{
    int low = 0, high = z->count - 1;
    while (low <= high) {
        int middle = (low + high) / 2, order = compare_names(name, length, z->entry[middle].name, z->entry[middle].name_length);
        if (order == 0) return &z->entry[middle];
        if (order < 0) high = middle - 1;
        else low = middle + 1;
    }
    return NULL;
}

/* ---- entries ---- */

/* Where an entry's bytes begin: behind its local head, whose own lengths count. */
static int place_entry(const struct weights_file *f, const struct zip_entry *e, uint64_t *offset, struct error *err)
{
    uint8_t head[LOCAL_BYTES];
    if (e->method || e->packed != e->bytes || e->flags & 1)
        return error_set(err, "%s: entry '%.*s' is compressed or encrypted, which torch.save never does", f->source.name, (int)e->name_length, e->name);
    if (weights_source_read(&f->source, head, e->local, sizeof head, err)) return -1;
    if (memcmp(head, "PK\3\4", 4)) return bad(f, "an entry of the zip archive is not where the list says", err);
    *offset = e->local + LOCAL_BYTES + number(head + 26, 2) + number(head + 28, 2);
    if (*offset > f->source.bytes || e->bytes > f->source.bytes - *offset) return bad(f, "an entry of the zip archive reaches beyond its end", err);
    return 0;
}

/* An entry in memory (mem_free), its sum checked; NULL with err. */
static uint8_t *read_entry(const struct weights_file *f, const struct zip_entry *e, uint64_t most, struct error *err)
{
    uint64_t offset;
    if (place_entry(f, e, &offset, err)) return NULL;
    uint8_t *bytes = weights_source_piece(&f->source, offset, e->bytes, most, "an entry of the zip archive", err);
    if (!bytes || crc32_z(0, bytes, e->bytes) == e->crc) return bytes;
    mem_free(bytes);
    error_set(err, "%s: is damaged: wrong checksum of '%.*s'", f->source.name, (int)e->name_length, e->name);
    return NULL;
}

static int find_storage(void *context, struct weights_file *f, const struct torch_storage *s, struct error *err)
{
    struct zip *z = context;
    char *name = mem_format("%.*sdata/%.*s", z->root_length, z->root, s->key_length < 200 ? (int)s->key_length : 200, s->key);
    struct zip_entry *e = find_entry(z, name, strlen(name));
    uint64_t offset = 0, each = (uint64_t)weights_type_bytes(s->type);
    int status = e ? 0 : bad(f, "a storage is missing in the zip archive", err);
    if (!status && e->storage < 0 && !(status = place_entry(f, e, &offset, err)))
        e->storage = weights_storage_add(f, (struct weights_storage){.offset = offset, .bytes = e->bytes, .has_crc = true, .crc = e->crc});
    if (!status && e->bytes / each < (uint64_t)s->count) status = bad(f, "a storage is shorter than it should be", err);
    mem_free(name);
    return status ? -1 : e->storage;
}

/* ROOT/data.pkl. */
static const struct zip_entry *find_pickle(struct zip *z)
{
    static const char name[] = "/data.pkl";
    size_t length = sizeof name - 1;
    for (int i = 0; i < z->count; i++) {
        const struct zip_entry *e = &z->entry[i];
        if (e->name_length <= length || memcmp(e->name + e->name_length - length, name, length)) continue;
        if (memchr(e->name, '/', e->name_length - length) || memchr(e->name, 0, e->name_length)) continue;
        z->root = e->name;
        z->root_length = (int)(e->name_length - length + 1);
        return e;
    }
    return NULL;
}

static int check_order(const struct zip *z, const struct weights_file *f, struct error *err)
{
    char *name = mem_format("%.*sbyteorder", z->root_length, z->root);
    const struct zip_entry *e = find_entry(z, name, strlen(name));
    uint8_t *order = e ? read_entry(f, e, 64, err) : NULL;
    int status = e && !order ? -1 : 0;
    if (order && strcmp((char *)order, "little")) status = error_set(err, "%s: was written on a machine of the other byte order", f->source.name);
    mem_free(order);
    mem_free(name);
    return status;
}

static int read_pickle(struct zip *z, struct weights_file *f, const struct zip_entry *e, struct error *err)
{
    struct torch_finder finder = {find_storage, z};
    struct torch_kind kind = {torch_is_call, torch_add_call, &finder};
    struct pickle p = {0};
    uint8_t *bytes = read_entry(f, e, TORCH_PICKLE_BYTES_MOST, err);
    int status = bytes ? pickle_read(&p, bytes, e->bytes, f->source.name, err) : -1;
    if (!status) status = torch_state_dict(f, &p, &kind, err);
    pickle_free(&p);
    mem_free(bytes);
    return status;
}

int torch_zip_read(struct weights_file *f, struct error *err)
{
    struct zip z = {0};
    int status = open_zip(&z, f, err);
    const struct zip_entry *pickle = status ? NULL : find_pickle(&z);
    if (!status && !pickle) {
        status = error_set(err, "%s: is a zip archive, but not one of torch.save: it has no data.pkl", f->source.name);
        error_hint(err, "give the file that torch.save wrote, not one that was zipped again");
    }
    if (!status) status = check_order(&z, f, err);
    if (!status) status = read_pickle(&z, f, pickle, err);
    close_zip(&z);
    return status;
}
