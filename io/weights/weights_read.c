/* weights_read.c - tensors as floats, through their strides. A storage is read whole, since its checksum is of all of it. */
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "io/weights/weights_private.h"

/* The whole storage of tensor i; the last one read is kept, since tensors may share it. */
static int hold_storage(struct weights_file *f, int i, struct error *err)
{
    int k = f->view[i].storage;
    const struct weights_storage *s = &f->storage[k];
    if (f->held == k) return 0;
    mem_free(f->held_bytes);
    f->held = -1;
    f->held_bytes = weights_source_piece(&f->source, s->offset, s->bytes, f->source.bytes, f->tensor[i].name, err);
    if (!f->held_bytes) return -1;
    if (s->has_crc && crc32_z(0, f->held_bytes, s->bytes) != s->crc)
        return error_set(err, "%s: is damaged: wrong checksum of the storage of '%s'", f->source.name, f->tensor[i].name);
    f->held = k;
    return 0;
}

static float half_to_float(uint16_t h)
{
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    float value = exponent == 31 ? (mantissa ? NAN : INFINITY) : exponent ? ldexpf((float)(1024 + mantissa), exponent - 25) : ldexpf((float)mantissa, -24);
    return h >> 15 ? -value : value;
}

static float bfloat_to_float(uint16_t b)
{
    uint32_t bits = (uint32_t)b << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Element `at` of the storage; files are little-endian, and so are the machines that this is built for. */
static float element(const uint8_t *bytes, enum weights_type type, int64_t at)
{
    union { float f; double d; uint16_t u16; int64_t i64; int32_t i32; int16_t i16; int8_t i8; uint8_t u8; } v;
    int each = weights_type_bytes(type);
    memcpy(&v, bytes + at * each, (size_t)each);
    switch (type) {
    case WEIGHTS_F32: return v.f;
    case WEIGHTS_F64: return (float)v.d;
    case WEIGHTS_F16: return half_to_float(v.u16);
    case WEIGHTS_BF16: return bfloat_to_float(v.u16);
    case WEIGHTS_I64: return (float)v.i64;
    case WEIGHTS_I32: return (float)v.i32;
    case WEIGHTS_I16: return (float)v.i16;
    case WEIGHTS_I8: return (float)v.i8;
    default: return (float)v.u8;
    }
}

static bool is_plain(const struct weights_tensor *t, const struct weights_view *v)
{
    int64_t dense = 1;
    for (int d = t->ndim - 1; d >= 0; dense *= t->dims[d--])
        if (t->dims[d] != 1 && v->strides[d] != dense) return false;
    return t->type == WEIGHTS_F32;
}

static void gather(float *values, const uint8_t *bytes, const struct weights_tensor *t, const struct weights_view *v)
{
    int64_t index[WEIGHTS_DIMS] = {0}, at = v->offset;
    if (is_plain(t, v)) {
        memcpy(values, bytes + sizeof(float) * (size_t)at, sizeof(float) * (size_t)t->elements);
        return;
    }
    for (int64_t k = 0; k < t->elements; k++) {
        values[k] = element(bytes, t->type, at);
        for (int d = t->ndim - 1; d >= 0; d--) {
            at += v->strides[d];
            if (++index[d] < t->dims[d]) break;
            at -= v->strides[d] * t->dims[d];
            index[d] = 0;
        }
    }
}

static int read_from_own(struct weights_file *f, int i, float *values, struct error *err)
{
    struct tensor_entry e;
    tensor_file_entry(f->own, i, &e);
    if (e.type != TENSOR_F32) return error_set(err, "%s: tensor '%s' is not f32", f->source.name, e.name);
    e.data = values;
    return tensor_file_read(f->own, &e, err);
}

int weights_file_read(struct weights_file *f, int i, float *values, struct error *err)
{
    const struct weights_tensor *t = weights_file_tensor(f, i);
    if (t->type == WEIGHTS_OTHER) return error_set(err, "%s: tensor '%s' has a type that cannot be read as f32", f->source.name, t->name);
    if (f->own) {
        if (read_from_own(f, i, values, err)) return -1;
    } else if (t->elements) {
        if (hold_storage(f, i, err)) return -1;
        gather(values, f->held_bytes, t, &f->view[i]);
    }
    for (int64_t k = 0; k < t->elements; k++)
        if (!isfinite(values[k])) return error_set(err, "%s: tensor '%s' has a value that is not a number, at %lld", f->source.name, t->name, (long long)k);
    return 0;
}
