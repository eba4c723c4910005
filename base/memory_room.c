/* memory_room.c - how much more memory this process may use: what the machine has free, and what a job's limit leaves. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

/* The first number of a file, or `otherwise`. A limit that is "max" is none. */
static uint64_t number_in(const char *path, const char *name, uint64_t otherwise)
{
    unsigned long long value;
    char *file = mem_format("%s/%s", path, name);
    FILE *f = fopen(file, "r");
    bool found = f && fscanf(f, "%llu", &value) == 1;
    if (f) fclose(f);
    mem_free(file);
    return found ? value : otherwise;
}

/* What a control group and those above it leave; the page cache that a group is charged with can be taken back. */
static uint64_t room_of_group(const char *root, char *group, const char *limit, const char *used, const char *cache_key)
{
    uint64_t least = UINT64_MAX;
    for (;;) {
        char *path = mem_format("%s%s", root, group), line[256];
        uint64_t most = number_in(path, limit, UINT64_MAX), now = number_in(path, used, 0), cache = 0;
        char *stat = mem_format("%s/memory.stat", path);
        FILE *f = fopen(stat, "r");
        for (unsigned long long value; f && fgets(line, sizeof line, f);)
            if (!strncmp(line, cache_key, strlen(cache_key)) && sscanf(line + strlen(cache_key), " %llu", &value) == 1) cache = value;
        if (f) fclose(f);
        mem_free(stat);
        mem_free(path);
        now -= cache < now ? cache : now;
        uint64_t room = most > now ? most - now : 0;
        if (room < least) least = room;
        char *slash = strrchr(group, '/');
        if (!slash) return least;
        *slash = 0;
    }
}

static uint64_t room_of_job(void)
{
    uint64_t least = UINT64_MAX, room;
    char line[4096], *group;
    FILE *f = fopen("/proc/self/cgroup", "r");
    while (f && fgets(line, sizeof line, f)) { /* "0::/a/b" (version 2) or "9:memory:/a/b" */
        line[strcspn(line, "\n")] = 0;
        room = UINT64_MAX;
        if (!strncmp(line, "0::/", 4))
            room = room_of_group("/sys/fs/cgroup", line + 3, "memory.max", "memory.current", "inactive_file");
        else if ((group = strstr(line, ":memory:/")))
            room = room_of_group("/sys/fs/cgroup/memory", group + 8, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
        if (room < least) least = room;
    }
    if (f) fclose(f);
    return least;
}

size_t mem_room_bytes(void)
{
    unsigned long long kib = 0;
    char line[256];
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f) && sscanf(line, "MemAvailable: %llu", &kib) != 1) {}
    if (f) fclose(f);
    uint64_t machine = kib * 1024, job = room_of_job();
    return (size_t)(machine < job ? machine : job);
}
