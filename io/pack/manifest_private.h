/* manifest_private.h - what the two kinds of manifest share. */
#ifndef IO_PACK_MANIFEST_PRIVATE_H
#define IO_PACK_MANIFEST_PRIVATE_H
#include "io/csv.h"
#include "io/pack/manifest.h"

/* Names in byte order, each with a number of the caller's. Names are borrowed. */
struct name_index {
    struct name_entry {
        const char *name;
        int value;
    } *entries;
    int count;
};
void name_index_make(struct name_index *index, int count); /* room for `count`; fill entries, then sort */
void name_index_sort(struct name_index *index);
int name_index_find(const struct name_index *index, const char *name); /* value, or -1 */
/* First name that stands there twice: its place, or -1. */
int name_index_double(const struct name_index *index);
void name_index_free(struct name_index *index);

/* A copy without blanks before and after: "p0 " and "p0" are one patient. */
char *manifest_trim(const char *text);
/* A copy of the first `length` bytes. */
char *manifest_prefix(const char *text, size_t length);
bool manifest_is_blank(const char *text);
/* The folder, or the one it lies in, holds the file that `ladnn phantom` marks its pictures with. */
bool manifest_is_synthetic(const char *folder);
/* A cleared row at the end; pointers to rows are void afterwards. */
struct manifest_row *manifest_add(struct manifest *m);
/* "PATH:LINE: unknown lesion 'Aibr' (known: GGO, ...)", with a hint when one is near. Returns -1. */
int manifest_unknown_lesion(struct error *err, const char *path, int line, const char *name);
bool manifest_is_image_name(const char *name);
/* Lists folders and pictures of folder/relative (hidden ones aside) that are none of `known`; returns how many. */
int manifest_list_beside(struct text *list, const char *folder, const char *relative, const char *const *known, int count);
/* Two rows with one file are an error. */
int manifest_check_doubles(const struct manifest *m, struct error *err);
/* Adds a warning to the report for each split without an image. */
void manifest_warn_empty(struct manifest *m);
/* Adds to the report and counts what is the same for both kinds: figures across splits, lesions without a positive. */
void manifest_finish_report(struct manifest *m);
#endif
