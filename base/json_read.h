/* json_read.h - a strict reader of JSON (RFC 8259) into a tree. Written by base/text.h, read back here; also what other programs left.
 *
 * Strict: UTF-8 only, no comment, no trailing comma, nothing behind the value, no member twice in an object, no number that is
 * not finite as a double, no NUL in a string (values are C strings), at most JSON_DEPTH_MAX levels. */
#ifndef BASE_JSON_READ_H
#define BASE_JSON_READ_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

enum { JSON_DEPTH_MAX = 64 };
enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
struct json_value {
    enum json_type type;
    double number;              /* JSON_NUMBER */
    char *string;               /* JSON_STRING; in an array or object NULL */
    char *key;                  /* of a member of an object, else NULL */
    struct json_value *items;   /* of an array or object, in the order of the text */
    int count;
};
/* NULL with err "byte 17: ...". The caller frees with json_free. */
struct json_value *json_read(const char *text, size_t bytes, struct error *err);
void json_free(struct json_value *v); /* NULL is fine */

/* Member of an object, or NULL: also when v is NULL or no object, so that look-ups can be chained. */
const struct json_value *json_member(const struct json_value *v, const char *key);
/* Value of a member, or `otherwise` when there is none of that type. */
double json_member_number(const struct json_value *v, const char *key, double otherwise);
const char *json_member_string(const struct json_value *v, const char *key, const char *otherwise);
#endif
