/* pack_journal.c - what is known of a finished part: its key, a line for each row, a checksum. Written whole after the shard was
 * read back. Nothing is taken over because a file exists: key, checksum, the state of every source file and every byte of the
 * shard must be right. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "io/pack/merge.h"
#include "io/pack/pack_private.h"
#include "io/shard/shard_format.h"

static const char MAGIC[] = "ladnn-pack-journal 2";

char *part_path(const struct pack_job *job, const struct part *part, const char *suffix)
{
    char *name = shard_file_name(job->o->name, part->split, part->index, part->count);
    char *path = mem_format("%s/%s%s", job->staging, name, suffix);
    mem_free(name);
    return path;
}

int journal_write(const struct pack_job *job, const struct part *part, struct error *err)
{
    struct text out = {0};
    char hex[65], look[65], *path = part_path(job, part, ".journal");
    hash_hex(hex, part->key);
    text_add(&out, "%s %s\n", MAGIC, hex);
    for (int i = 0; i < part->images; i++) {
        const struct verdict *v = &job->v[part->rows[i]];
        hash_hex(hex, v->sha256);
        hash_hex(look, v->look);
        text_add(&out, "%d %d %s %s %d %d %d %" PRId64 " %" PRId64 " ", v->good, (int)v->format, hex, look, v->height, v->width,
                 v->channels, v->file_bytes, v->modified_ns);
        for (const char *p = v->why ? v->why : ""; *p; p++) text_add_bytes(&out, *p == '\n' ? " " : p, 1);
        text_add(&out, "\n");
    }
    text_add(&out, "end %08x\n", crc32c(0, out.data, out.length));
    int status = file_write_atomic(path, out.data, out.length, err);
    text_free(&out);
    mem_free(path);
    return status;
}

static bool read_hex(uint8_t digest[32], const char *hex)
{
    for (int i = 0; i < 32; i++) {
        unsigned byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) return false;
        digest[i] = (uint8_t)byte;
    }
    return true;
}

/* `line` ends with NUL. */
static bool read_line(struct verdict *v, const char *line)
{
    char hex[65], look[65];
    int good, format, at = 0;
    *v = (struct verdict){0};
    if (sscanf(line, "%d %d %64s %64s %d %d %d %" SCNd64 " %" SCNd64 " %n", &good, &format, hex, look, &v->height, &v->width,
               &v->channels, &v->file_bytes, &v->modified_ns, &at) != 9 || !at || strlen(hex) != 64 || strlen(look) != 64 ||
        !read_hex(v->sha256, hex) || !read_hex(v->look, look))
        return false;
    v->good = good;
    v->format = (enum image_format)format;
    if (!good) v->why = mem_string(line + at);
    return true;
}

/* Fills `found` (part->images) from the text; the caller frees them. */
static bool parse(struct verdict *found, char *text, size_t bytes, const struct part *part, struct text *why)
{
    char hex[65], head[128], *end = bytes > 14 ? text + bytes - 13 : NULL; /* "end 01234567\n" */
    unsigned crc;
    hash_hex(hex, part->key);
    int length = snprintf(head, sizeof head, "%s %s\n", MAGIC, hex);
    if (bytes < (size_t)length || memcmp(text, head, (size_t)length)) return text_add(why, "other settings, names or labels"), false;
    if (!end || sscanf(end, "end %8x\n", &crc) != 1 || crc != crc32c(0, text, (size_t)(end - text)))
        return text_add(why, "the journal is damaged"), false;
    char *line = text + length;
    for (int i = 0; i < part->images; i++) {
        char *next = strchr(line, '\n');
        if (!next || next >= end) return text_add(why, "the journal is damaged"), false;
        *next = 0;
        if (!read_line(&found[i], line)) return text_add(why, "the journal is damaged"), false;
        line = next + 1;
    }
    return true;
}

static bool file_unchanged(const struct pack_options *o, const struct manifest_row *row, const struct verdict *found)
{
    struct stat now;
    char *path = pack_source_path(o, row->file);
    bool same = !stat(path, &now) && now.st_size == found->file_bytes &&
                (int64_t)now.st_mtim.tv_sec * 1000000000 + now.st_mtim.tv_nsec == found->modified_ns;
    mem_free(path);
    return same;
}

static bool merged_unchanged(const struct merge *m, const struct manifest_row *row, const struct verdict *found)
{
    uint8_t sha256[32];
    int64_t bytes, checksum;
    merge_state(m, row->line, sha256, &bytes, &checksum);
    return !memcmp(sha256, found->sha256, 32) && bytes == found->file_bytes && checksum == found->modified_ns;
}

static bool sources_unchanged(const struct pack_job *job, const struct part *part, const struct verdict *found, struct text *why)
{
    for (int i = 0; i < part->images; i++) {
        const struct manifest_row *row = &job->m->rows[part->rows[i]];
        if (!(job->o->merge ? merged_unchanged(job->o->merge, row, &found[i]) : file_unchanged(job->o, row, &found[i])))
            return text_add(why, "%s has changed", row->file), false;
    }
    return true;
}

/* Row by row what the journal says, and every checksum right. */
static bool shard_holds(const struct pack_job *job, const struct part *part, const struct verdict *found, struct text *why)
{
    struct shard s;
    struct error err = {0};
    char *path = part_path(job, part, "");
    int row = 0;
    bool good = shard_open(&s, path, &err) == 0;
    for (int i = 0; good && i < part->images; i++) {
        if (!found[i].good) continue;
        const struct shard_item *item = &s.items[row++];
        if (row > s.info.images || strcmp(item->file, job->m->rows[part->rows[i]].file) || memcmp(item->source_sha256, found[i].sha256, 32)) {
            error_set(&err, "%s: not what the journal says", path);
            good = false;
        }
    }
    if (good && row != s.info.images) good = error_set(&err, "%s: not what the journal says", path) == 0;
    if (good) good = shard_check_pixels(&s, &err) == 0;
    if (!good) text_add(why, "%s", err.message);
    shard_close(&s);
    mem_free(path);
    return good;
}

static bool any_good(const struct verdict *found, int count)
{
    for (int i = 0; i < count; i++)
        if (found[i].good) return true;
    return false;
}

bool journal_read(const struct pack_job *job, const struct part *part, struct text *why)
{
    char *path = part_path(job, part, ".journal");
    uint8_t *text = NULL;
    size_t bytes;
    bool usable = false;
    if (path_exists(path) && !file_read(&text, &bytes, path, NULL)) {
        struct verdict *found = NEW_ARRAY(struct verdict, part->images);
        usable = parse(found, (char *)text, bytes, part, why) && sources_unchanged(job, part, found, why) &&
                 (!any_good(found, part->images) || shard_holds(job, part, found, why));
        for (int i = 0; i < part->images; i++) {
            if (usable) job->v[part->rows[i]] = found[i];
            else mem_free(found[i].why);
        }
        mem_free(found);
    }
    mem_free(text);
    mem_free(path);
    return usable;
}
