/* text.h - a growing string and a JSON writer on top of it. Numbers are printed so that they read back to the same
 * bits; NaN and infinity become null, because JSON has no word for them. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *data; /* NUL-ended; NULL while empty */
    size_t length, room;
};
void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_bytes(struct text *t, const char *bytes, size_t count);
/* A name of any bytes, for people: control characters and what is not UTF-8 as \xHH. */
void text_add_name(struct text *t, const char *name);
/* The same for programs, so that every name can be had back: a backslash becomes two. mem_free. */
char *text_name_encode(const char *raw);
char *text_name_decode(const char *name); /* what is no such escape stays as it is */
void text_add_base64(struct text *t, const uint8_t *bytes, size_t count); /* RFC 4648, padded, in one line */
/* The shortest decimal that reads back to the same bits; "nan", "inf" as printf has them. */
void text_add_number(struct text *t, double value);
void text_clear(struct text *t); /* keeps the room */
void text_free(struct text *t);
/* Bytes of the valid UTF-8 character that begins `text`, or 0; of `bytes` bytes, or up to a NUL. */
int utf8_length(const char *text, size_t bytes);
/* The line that begins at *at, without its end, and *at moves to the next one: for (const char *l; (l = text_line(&at, &n));). NULL when *at is
 * NULL or at the text's end. */
const char *text_line(const char **at, size_t *length);
/* Moves both to the beginning of the first line in which they differ; false when they are equal. */
bool text_first_difference(const char **a, const char **b);
/* Edits (insert, delete, replace, swap of neighbours) that turn a into b: for "did you mean". */
int text_distance(const char *a, const char *b);

/* JSON: begin/end nest; inside an object every value call takes a key, inside an array key is NULL. Commas and
 * escaping are handled here. `json_pretty(1)` puts each member of the outermost level on its own line. */
struct json {
    struct text *out;
    bool pretty;
    int depth;
    bool comma[32];
};
void json_open(struct json *j, struct text *out, bool pretty);
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_end_object(struct json *j);
void json_end_array(struct json *j);
void json_string(struct json *j, const char *key, const char *value); /* NULL value -> null */
void json_number(struct json *j, const char *key, double value);
void json_int(struct json *j, const char *key, int64_t value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);
#endif
