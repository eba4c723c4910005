/* checkpoint.c - folders of checkpoints. Every change is one rename, so a kill at any moment leaves whole folders, plus at most
 * a tmp-* folder that the next look removes. */
#include "train/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"

static const char TEMPORARY[] = "tmp-", OLD[] = ".old";

struct checkpoint { /* a folder's name, taken apart */
    int64_t step;
    bool old; /* replaced, or about to be */
};

static void name_of(char name[64], struct checkpoint c)
{
    snprintf(name, 64, "step-%010" PRId64 "%s", c.step, c.old ? OLD : "");
}

static bool parse_name(struct checkpoint *c, const char *name)
{
    char again[64];
    if (strncmp(name, "step-", 5)) return false;
    *c = (struct checkpoint){.step = strtoll(name + 5, NULL, 10)};
    c->old = strstr(name, OLD) != NULL;
    name_of(again, *c);
    return !strcmp(again, name);
}

/* Newest first; the replaced one after the one that replaces it. */
static int by_age(const void *a, const void *b)
{
    const struct checkpoint *x = a, *y = b;
    if (x->step != y->step) return x->step > y->step ? -1 : 1;
    return (int)x->old - (int)y->old;
}

/* All checkpoints of a folder (mem_free); removes leftovers when asked. */
static int list(struct checkpoint **found, int *count, const char *folder, bool remove_leftovers, struct error *err)
{
    char **names;
    int names_count;
    *count = 0;
    *found = NULL;
    if (folder_list(&names, &names_count, folder, err)) return -1;
    *found = NEW_ARRAY(struct checkpoint, names_count);
    for (int i = 0; i < names_count; i++) {
        if (parse_name(&(*found)[*count], names[i]))
            (*count)++;
        else if (remove_leftovers && !strncmp(names[i], TEMPORARY, strlen(TEMPORARY))) {
            char *path = path_join(folder, names[i]);
            folder_remove(path, NULL); /* what cannot be removed does no harm */
            mem_free(path);
        }
    }
    folder_list_free(names, names_count);
    qsort(*found, (size_t)*count, sizeof **found, by_age);
    return 0;
}

static char *folder_path(const char *folder, struct checkpoint c)
{
    char name[64];
    name_of(name, c);
    return path_join(folder, name);
}

/* Renames first: half a checkpoint never bears a checkpoint's name. */
static int remove_checkpoint(const char *folder, struct checkpoint c, struct error *err)
{
    char *path = folder_path(folder, c);
    char *temporary = mem_format("%s/%sremove-%" PRId64 "-%ld", folder, TEMPORARY, c.step, (long)getpid());
    int status = file_rename(path, temporary, err);
    fault_point("checkpoint-removal");
    if (!status) status = folder_remove(temporary, err);
    mem_free(temporary);
    mem_free(path);
    return status;
}

/* ---- writing ---- */

static int hash_of(char hex[65], const char *state, struct error *err)
{
    uint8_t digest[32];
    struct tensor_file *f = tensor_file_open(state, err);
    if (!f) return -1;
    tensor_file_identity(f, digest);
    tensor_file_close(f);
    hash_hex(hex, digest);
    return 0;
}

static int write_hash(const char *temporary, const char *state, struct error *err)
{
    char hex[65], line[128];
    if (hash_of(hex, state, err)) return -1;
    int length = snprintf(line, sizeof line, "%s  first block of state.h5\n", hex);
    char *path = path_join(temporary, "SHA256");
    int status = file_write_atomic(path, line, (size_t)length, err);
    mem_free(path);
    return status;
}

/* The temporary folder takes its name; an earlier one of the same step steps aside. */
static int put_in_place(const char *folder, const char *temporary, int64_t step, struct error *err)
{
    struct checkpoint c = {.step = step, .old = false}, old = {.step = step, .old = true};
    char *final = folder_path(folder, c), *aside = folder_path(folder, old);
    int status = 0;
    if (path_exists(final)) {
        if (path_exists(aside)) status = remove_checkpoint(folder, old, err);
        if (!status) status = file_rename(final, aside, err);
        fault_point("checkpoint-aside");
    }
    if (!status) status = file_rename(temporary, final, err);
    mem_free(final);
    mem_free(aside);
    return status;
}

static int remove_surplus(const char *folder, int64_t step, int keep, struct error *err)
{
    struct checkpoint *all;
    int count, kept = 0, status = list(&all, &count, folder, false, err);
    for (int i = 0; i < count && !status; i++) {
        if (all[i].step > step) continue;
        if (all[i].old || kept == keep)
            status = remove_checkpoint(folder, all[i], err);
        else
            kept++;
    }
    mem_free(all);
    return status;
}

static int write_folder(const char *temporary, const struct tensor_entry *entries, int count,
                        const struct tensor_attribute *attributes, int attribute_count, struct error *err)
{
    char *state = path_join(temporary, "state.h5");
    int status = folder_create(temporary, err);
    if (!status) status = tensor_file_write(state, entries, count, attributes, attribute_count, err);
    fault_point("checkpoint-state");
    if (!status) status = write_hash(temporary, state, err);
    if (!status) status = file_sync(temporary, err);
    mem_free(state);
    return status;
}

int checkpoint_write(const char *run, int64_t step, int keep, const struct tensor_entry *entries, int count,
                     const struct tensor_attribute *attributes, int attribute_count, struct fence *fence, struct error *err)
{
    ASSERT(keep >= 1 && step >= 0);
    char *folder = path_join(run, "checkpoints");
    bool fresh = !path_exists(folder);
    char *temporary = mem_format("%s/%swrite-%" PRId64 "-%ld", folder, TEMPORARY, step, (long)getpid());
    int status = fence_check(fence, err);
    if (!status) status = folder_create(folder, err);
    if (!status && fresh) status = file_sync(run, err);
    if (!status) status = write_folder(temporary, entries, count, attributes, attribute_count, err);
    fault_point("checkpoint-ready");
    if (!status) status = fence_check(fence, err);
    if (!status) status = put_in_place(folder, temporary, step, err);
    fault_point("checkpoint-placed");
    if (status)
        folder_remove(temporary, NULL);
    else
        status = remove_surplus(folder, step, keep, err);
    mem_free(temporary);
    mem_free(folder);
    return status;
}

/* ---- finding ---- */

static int check_hash(const char *folder, const struct tensor_file *f, struct error *err)
{
    uint8_t digest[32], *line;
    char hex[65];
    size_t bytes;
    char *path = path_join(folder, "SHA256");
    int status = file_read(&line, &bytes, path, err);
    tensor_file_identity(f, digest);
    hash_hex(hex, digest);
    if (!status && (bytes < 64 || memcmp(line, hex, 64)))
        status = error_set(err, "%s: does not belong to state.h5, or one of them is damaged", path);
    mem_free(line);
    mem_free(path);
    return status;
}

/* The path of state.h5 when everything is whole, else NULL with err. */
static char *check_whole(const char *folder, struct checkpoint c, struct error *err)
{
    char *path = folder_path(folder, c), *state = path_join(path, "state.h5");
    struct tensor_file *f = tensor_file_open(state, err);
    bool whole = f && check_hash(path, f, err) == 0 && tensor_file_verify(f, err) == 0;
    tensor_file_close(f);
    mem_free(path);
    if (whole) return state;
    mem_free(state);
    return NULL;
}

int checkpoint_newest(const char *run, char **path, int64_t *step, struct text *damaged, struct error *err)
{
    char *folder = path_join(run, "checkpoints");
    struct checkpoint *all = NULL;
    int count = 0, status = path_exists(folder) ? list(&all, &count, folder, true, err) : 0;
    *path = NULL;
    *step = -1;
    for (int i = 0; i < count && !*path; i++) {
        struct error why;
        *path = check_whole(folder, all[i], &why);
        if (*path)
            *step = all[i].step;
        else
            text_add(damaged, "%s\n", why.message);
    }
    mem_free(all);
    mem_free(folder);
    return status;
}
