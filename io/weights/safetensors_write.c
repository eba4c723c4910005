/* safetensors_write.c - writing that format: the header is known before any value, tensors go to the disk one by one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/weights/weights_private.h"

static uint64_t bytes_of(const struct weights_output *t)
{
    uint64_t bytes = (uint64_t)weights_type_bytes(t->type);
    for (int d = 0; d < t->ndim; d++) bytes *= (uint64_t)t->dims[d];
    return bytes;
}

/* 8 bytes of length, JSON, blanks to a multiple of 8. */
static void make_header(struct text *out, const struct weights_output *tensors, int count, const struct weights_metadata *metadata, int metadata_count)
{
    struct text json = {0};
    struct json j;
    uint64_t at = 0;
    json_open(&j, &json, false);
    json_object(&j, NULL);
    json_object(&j, "__metadata__");
    for (int i = 0; i < metadata_count; i++) json_string(&j, metadata[i].key, metadata[i].text);
    json_end_object(&j);
    for (int i = 0; i < count; i++) {
        const struct weights_output *t = &tensors[i];
        ASSERT(t->type == WEIGHTS_F32 || t->type == WEIGHTS_I64);
        json_object(&j, t->name);
        json_string(&j, "dtype", t->type == WEIGHTS_F32 ? "F32" : "I64");
        json_array(&j, "shape");
        for (int d = 0; d < t->ndim; d++) json_int(&j, NULL, t->dims[d]);
        json_end_array(&j);
        json_array(&j, "data_offsets");
        json_int(&j, NULL, (int64_t)at);
        at += bytes_of(t);
        json_int(&j, NULL, (int64_t)at);
        json_end_array(&j);
        json_end_object(&j);
    }
    json_end_object(&j);
    while (json.length % 8) text_add_bytes(&json, " ", 1);
    uint64_t length = json.length;
    text_add_bytes(out, (const char *)&length, sizeof length);
    text_add_bytes(out, json.data, json.length);
    text_free(&json);
}

static int write_all(int fd, const struct text *header, const struct weights_output *tensors, int count,
                     int (*values)(void *context, int i, void *to, struct error *err), void *context, const char *path, struct error *err)
{
    uint64_t at = header->length;
    int status = file_pwrite(fd, header->data, header->length, 0, path, err);
    for (int i = 0; i < count && !status; at += bytes_of(&tensors[i++])) {
        void *bytes = mem_zero(bytes_of(&tensors[i]));
        status = values(context, i, bytes, err);
        if (!status) status = file_pwrite(fd, bytes, bytes_of(&tensors[i]), at, path, err);
        mem_free(bytes);
    }
    if (!status && fsync(fd)) status = error_set(err, "%s: cannot write: %s", path, strerror(errno));
    return status;
}

int safetensors_write(const char *path, const struct weights_output *tensors, int count, const struct weights_metadata *metadata, int metadata_count,
                      int (*values)(void *context, int i, void *to, struct error *err), void *context, struct error *err)
{
    struct text header = {0};
    char *temporary = mem_format("%s.tmp-%ld", path, (long)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int status = fd < 0 ? error_set(err, "%s: cannot create: %s", path, strerror(errno)) : 0;
    make_header(&header, tensors, count, metadata, metadata_count);
    if (!status) status = write_all(fd, &header, tensors, count, values, context, path, err);
    if (fd >= 0) close(fd);
    if (!status) status = file_rename(temporary, path, err);
    if (status && fd >= 0) unlink(temporary);
    text_free(&header);
    mem_free(temporary);
    return status;
}
