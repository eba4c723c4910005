/* comm_mpi_shared.c - memory shared by the ranks of a host: MPI's shared windows, all of it at the host's first rank.
 *
 * DESIGN. The windows are files in the memory file system, whose own limit (a container's may be 64 MB) is therefore a part of the
 * room; pages beyond it would be a SIGBUS when they are touched. Copies into shared memory go through base/file_map.h, which makes an error
 * of that. */
#include <string.h>
#include <sys/statvfs.h>

#include "base/memory.h"
#include "dist/comm_mpi.h"

enum { ALIGNMENT = 64 };
struct mpi_shared {
    struct mpi_shared *next;
    MPI_Win window;
    void *memory;
};

/* Every process maps whole pages, so rounding up ends at the same byte in all of them. */
static void *align(void *base)
{
    return (char *)base + (ALIGNMENT - (uintptr_t)base % ALIGNMENT) % ALIGNMENT;
}

void *mpi_shared_alloc(struct comm *c, size_t bytes, struct error *err)
{
    struct mpi_state *s = c->state;
    struct mpi_shared *one = NEW(struct mpi_shared);
    MPI_Aint mine = c->local_rank == 0 ? (MPI_Aint)(bytes + ALIGNMENT) : 0, ignored;
    void *base;
    int unit;
    deadline_start(c->rank, "sharing memory on this host", s->slow_limit_s);
    int code = MPI_Win_allocate_shared(mine, 1, MPI_INFO_NULL, s->local, &base, &one->window);
    if (code == MPI_SUCCESS) code = MPI_Win_shared_query(one->window, 0, &ignored, &unit, &base);
    deadline_end();
    if (code != MPI_SUCCESS) {
        char why[MPI_MAX_ERROR_STRING] = "";
        int length = 0;
        MPI_Error_string(code, why, &length);
        mem_free(one);
        error_set(err, "MPI cannot share %.1f MB of memory among the ranks of this host: %s", (double)bytes / 1e6, why);
        error_hint(err, "df -h /dev/shm shows what the host allows");
        return NULL;
    }
    one->memory = align(base);
    one->next = s->shared;
    s->shared = one;
    return one->memory;
}

void mpi_shared_free(struct comm *c, void *memory)
{
    struct mpi_state *s = c->state;
    struct mpi_shared **at = &s->shared, *one;
    while (*at && (*at)->memory != memory) at = &(*at)->next;
    ASSERT(*at);
    one = *at;
    *at = one->next;
    deadline_start(c->rank, "giving back shared memory", s->slow_limit_s);
    MPI_TRY(MPI_Win_free(&one->window));
    deadline_end();
    mem_free(one);
}

size_t mpi_shared_room(const struct comm *c)
{
    (void)c;
    size_t room = mem_room_bytes();
    struct statvfs system;
    if (statvfs("/dev/shm", &system)) return room;
    uint64_t most = (uint64_t)system.f_bavail * system.f_frsize;
    return most < room ? (size_t)most : room;
}
