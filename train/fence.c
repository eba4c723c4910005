/* fence.c - see fence.h. */
#include "train/fence.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"

static const double LOOK_EVERY_S = 1;

struct fence {
    char *run, *path, *mine; /* mine: what we wrote */
    int64_t attempt;
    bool lost;
    double looked_s;
};

static int parse(int64_t *attempt, const char *text, const char *path, struct error *err)
{
    char *end;
    *attempt = strtoll(text, &end, 10);
    if (end != text && *attempt >= 0 && (*end == '\n' || !*end)) return 0;
    return error_set(err, "%s: '%.*s' is no attempt's number", path, (int)strcspn(text, "\n"), text);
}

/* Raises what stands there, or 0. */
static int raise_number(struct fence *f, struct error *err)
{
    char host[256] = "?", *text = NULL;
    size_t bytes;
    int rc = path_exists(f->path) ? file_read((uint8_t **)&text, &bytes, f->path, err) : 0;
    if (!rc && text) rc = parse(&f->attempt, text, f->path, err);
    mem_free(text);
    if (rc) return -1;
    gethostname(host, sizeof host - 1);
    f->mine = mem_format("%lld\n%s pid %ld\n", (long long)++f->attempt, host, (long)getpid());
    return file_write_atomic(f->path, f->mine, strlen(f->mine), err);
}

struct fence *fence_raise(const char *run, struct error *err)
{
    struct fence *f = NEW(struct fence);
    f->run = mem_string(run);
    f->path = path_join(run, "fence");
    if (!raise_number(f, err)) return f;
    fence_close(f);
    return NULL;
}

void fence_close(struct fence *f)
{
    if (!f) return;
    mem_free(f->run);
    mem_free(f->path);
    mem_free(f->mine);
    mem_free(f);
}

int64_t fence_attempt(const struct fence *f) { return f->attempt; }
bool fence_lost(const struct fence *f) { return f->lost; }

static int say_lost(struct fence *f, const char *now, struct error *err)
{
    int64_t newer;
    if (parse(&newer, now, f->path, err)) return -1;
    error_set(err, "%s: attempt %lld has taken over this run folder; this copy (attempt %lld) ends", f->run, (long long)newer,
              (long long)f->attempt);
    const char *who = strchr(now, '\n');
    return who && who[1] ? error_hint(err, "attempt %lld is on %.*s", (long long)newer, (int)strcspn(who + 1, "\n"), who + 1) : -1;
}

int fence_check(struct fence *f, struct error *err)
{
    uint8_t *now;
    size_t bytes;
    if (!f) return 0;
    int rc = file_read(&now, &bytes, f->path, err);
    f->looked_s = clock_s();
    if (!rc && strcmp((char *)now, f->mine)) rc = say_lost(f, (char *)now, err);
    if (rc) f->lost = true;
    mem_free(now);
    return rc;
}

int fence_check_sometimes(struct fence *f, struct error *err)
{
    return f && (f->lost || clock_s() - f->looked_s >= LOOK_EVERY_S) ? fence_check(f, err) : 0;
}
