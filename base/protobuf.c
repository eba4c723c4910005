/* protobuf.c - see protobuf.h. */
#include "base/protobuf.h"

#include <string.h>

#include "base/error.h"

enum { VARINT = 0, LENGTH = 2, FIXED32 = 5, LENGTH_BYTES = 5 };

static void add_varint(struct text *t, uint64_t value)
{
    char bytes[10];
    int count = 0;
    for (; value >= 128; value >>= 7) bytes[count++] = (char)(value | 128);
    bytes[count++] = (char)value;
    text_add_bytes(t, bytes, (size_t)count);
}

static void add_key(struct text *t, int field, int wire) { add_varint(t, (uint64_t)field << 3 | (uint64_t)wire); }

void proto_int(struct text *t, int field, int64_t value)
{
    add_key(t, field, VARINT);
    add_varint(t, (uint64_t)value);
}

void proto_float(struct text *t, int field, float value)
{
    char bytes[4];
    memcpy(bytes, &value, 4);
    add_key(t, field, FIXED32);
    text_add_bytes(t, bytes, 4);
}

void proto_bytes(struct text *t, int field, const void *bytes, size_t count)
{
    add_key(t, field, LENGTH);
    add_varint(t, count);
    text_add_bytes(t, bytes, count);
}

void proto_text(struct text *t, int field, const char *value) { proto_bytes(t, field, value, strlen(value)); }

size_t proto_open(struct text *t, int field)
{
    add_key(t, field, LENGTH);
    text_add_bytes(t, "\x80\x80\x80\x80\0", LENGTH_BYTES);
    return t->length;
}

void proto_end(struct text *t, size_t opened)
{
    uint64_t length = t->length - opened;
    ASSERT(length < (uint64_t)1 << 7 * LENGTH_BYTES);
    for (int i = 0; i < LENGTH_BYTES; i++, length >>= 7) t->data[opened - LENGTH_BYTES + (size_t)i] = (char)((length & 127) | (i + 1 < LENGTH_BYTES ? 128 : 0));
}
