/* protobuf.h - writes messages in protocol buffers' wire format: enough for files that others define (models/onnx.c). A message that contains
 * messages is opened, filled and ended; its length, which stands before it, is filled in at the end, in five bytes whatever it is. */
#ifndef BASE_PROTOBUF_H
#define BASE_PROTOBUF_H
#include <stddef.h>
#include <stdint.h>
#include "base/text.h"

void proto_int(struct text *t, int field, int64_t value);
void proto_float(struct text *t, int field, float value);
void proto_bytes(struct text *t, int field, const void *bytes, size_t count);
void proto_text(struct text *t, int field, const char *value);
size_t proto_open(struct text *t, int field); /* for proto_end; below 32 GiB */
void proto_end(struct text *t, size_t opened);
#endif
