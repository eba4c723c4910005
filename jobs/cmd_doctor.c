/* cmd_doctor.c - `ladnn doctor`: what was found on this machine, what is missing and how to get it.
 *
 * Each look_* function adds one row. Libraries are named with the version of the build (cmake/dependencies.cmake
 * passes them); everything else is looked up when the command runs. Exit status 0 when all required things are there.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/settings.h"
#include "base/text.h"
#include "jobs/commands.h"

struct finding {
    const char *name;
    bool found, required;
    char what[400]; /* version, size, path */
    char how[400];  /* how to get it, or what to watch; empty when all is well */
};
struct report {
    int count;
    struct finding row[40];
};

static struct finding *add_row(struct report *r, const char *name, bool required)
{
    ASSERT(r->count < (int)(sizeof r->row / sizeof r->row[0]));
    struct finding *f = &r->row[r->count++];
    *f = (struct finding){.name = name, .found = true, .required = required};
    return f;
}

#define SAY(field, ...) snprintf((field), sizeof(field), __VA_ARGS__)

/* ---- reading the machine ---- */

/* A small file of /proc or /sys as text, or NULL. The caller frees. */
static char *read_text(const char *path)
{
    uint8_t *data;
    size_t bytes;
    return file_read(&data, &bytes, path, NULL) ? NULL : (char *)data;
}

/* First line that a program prints, or false. */
static bool first_line(char *line, int bytes, const char *shell_command)
{
    FILE *f = popen(shell_command, "r");
    bool got = f && fgets(line, bytes, f);
    if (f) got = pclose(f) == 0 && got;
    line[got ? strcspn(line, "\n") : 0] = 0;
    return got;
}

/* Value of "key : value" in a /proc file. */
static void proc_value(char *value, size_t bytes, const char *text, const char *key)
{
    const char *line = text ? strstr(text, key) : NULL, *colon = line ? strchr(line, ':') : NULL;
    snprintf(value, bytes, "%.*s", colon ? (int)strcspn(colon + 1, "\n") : 1, colon ? colon + 1 : "?");
    memmove(value, value + strspn(value, " \t"), strlen(value + strspn(value, " \t")) + 1);
}

static bool has_flag(const char *flags, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = flags; p && (p = strstr(p, name)); p += n)
        if (p > flags && p[-1] == ' ' && (p[n] == ' ' || p[n] == '\n')) return true;
    return false;
}

/* The smallest limit in a cgroup v2 file ("cpu.max": quota period; "memory.max") from our group up to the root;
 * `limit` stays when there is none. */
static void cgroup_limit(double *limit, const char *file)
{
    char *groups = read_text("/proc/self/cgroup"), *own = groups ? strstr(groups, "0::") : NULL;
    char folder[2048];
    snprintf(folder, sizeof folder, "/sys/fs/cgroup%.*s", own ? (int)strcspn(own + 3, "\n") : 0, own ? own + 3 : "");
    mem_free(groups);
    while (strlen(folder) >= strlen("/sys/fs/cgroup")) {
        char *path = path_join(folder, file), *text = read_text(path);
        double quota, period = 1;
        int got = text ? sscanf(text, "%lf %lf", &quota, &period) : 0;
        if (got >= 1 && period > 0 && quota / period < *limit) *limit = quota / period;
        mem_free(text);
        mem_free(path);
        *strrchr(folder, '/') = 0;
    }
}

/* A limit of cgroup v1; unlimited is negative or huge there. */
static void cgroup1_limit(double *limit, const char *quota_path, const char *period_path)
{
    char *quota = read_text(quota_path), *period = period_path ? read_text(period_path) : NULL;
    double value = quota ? atof(quota) / (period ? atof(period) : 1) : -1;
    if (value > 0 && value < *limit) *limit = value;
    mem_free(quota);
    mem_free(period);
}

/* ---- rows ---- */

static void look_build(struct report *r)
{
#if defined(__clang__)
    SAY(add_row(r, "compiler", true)->what, "%s, ladnn %s", __VERSION__, LADNN_VERSION);
#else
    SAY(add_row(r, "compiler", true)->what, "gcc %s, ladnn %s", __VERSION__, LADNN_VERSION);
#endif
    static const char *const libraries[][2] = {{"HDF5", LADNN_HDF5},       {"libconfig", LADNN_LIBCONFIG},
                                               {"libpng", LADNN_LIBPNG},   {"libjpeg", LADNN_LIBJPEG},
                                               {"oneDNN", LADNN_ONEDNN},   {"MPI library", LADNN_MPI}};
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++)
        SAY(add_row(r, libraries[i][0], true)->what, "%s (of the build)", libraries[i][1]);
    static const char *const optional[][3] = {{"libdeflate", LADNN_DEFLATE, "libdeflate-dev: packs PNG about twice as fast"},
                                              {"libtiff", LADNN_TIFF, "libtiff-dev: packs TIFF"},
                                              {"DCMTK", LADNN_DCMTK, "libdcmtk-dev and a C++ compiler: packs DICOM"},
                                              {"cairo", LADNN_CAIRO, "libcairo2-dev: report writes PNG beside SVG"}};
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        struct finding *f = add_row(r, optional[i][0], false);
        f->found = *optional[i][1];
        SAY(f->what, "%s (of the build)", optional[i][1]);
        SAY(f->how, "%s%s", f->found ? "" : "apt-get install ", f->found ? "" : optional[i][2]);
    }
}

static void look_cpu(struct report *r)
{
    static const char *const wanted[] = {"sse4_2", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16"};
    struct finding *cpu = add_row(r, "CPU", true), *isa = add_row(r, "vector units", false);
    char *text = read_text("/proc/cpuinfo"), *flags = text ? strstr(text, "\nflags") : NULL;
    if (flags) flags[1 + strcspn(flags + 1, "\n") + 1] = 0; /* the first core's line, with its line end */
    proc_value(cpu->what, sizeof cpu->what, text, "model name");
    size_t used = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (has_flag(flags, wanted[i]))
            used += (size_t)snprintf(isa->what + used, sizeof isa->what - used, "%s%s", used ? " " : "", wanted[i]);
    isa->found = used > 0;
    if (!has_flag(flags, "avx2")) SAY(isa->how, "without avx2 training is several times slower");
    mem_free(text);
}

static void look_cores(struct report *r)
{
    struct finding *f = add_row(r, "cores", true);
    cpu_set_t set;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int allowed = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)online;
    double limit = 1e9;
    cgroup_limit(&limit, "cpu.max");
    cgroup1_limit(&limit, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    SAY(f->what, "%ld online, %d allowed to this process", online, allowed);
    size_t used = strlen(f->what);
    if (limit < 1e9) snprintf(f->what + used, sizeof f->what - used, ", cgroup limit %.2f", limit);
    if (limit < allowed) SAY(f->how, "use --threads %d or fewer: the cgroup grants no more", limit < 1 ? 1 : (int)limit);
}

static void look_memory(struct report *r)
{
    enum { KIB_PER_GIB = 1 << 20 };
    struct finding *f = add_row(r, "memory", true);
    char *text = read_text("/proc/meminfo"), total[64], available[64];
    proc_value(total, sizeof total, text, "MemTotal");
    proc_value(available, sizeof available, text, "MemAvailable");
    mem_free(text);
    double limit = 1e15;
    cgroup_limit(&limit, "memory.max");
    cgroup1_limit(&limit, "/sys/fs/cgroup/memory/memory.limit_in_bytes", NULL);
    SAY(f->what, "%.1f GiB, %.1f GiB available", atof(total) / KIB_PER_GIB, atof(available) / KIB_PER_GIB);
    size_t used = strlen(f->what);
    if (limit < 1e15) snprintf(f->what + used, sizeof f->what - used, ", cgroup limit %.1f GiB", limit / 1024 / KIB_PER_GIB);
}

static void look_launcher(struct report *r)
{
    struct finding *f = add_row(r, "MPI launcher", true);
    f->found = first_line(f->what, sizeof f->what, "mpirun --version 2>/dev/null </dev/null") ||
               first_line(f->what, sizeof f->what, "srun --version 2>/dev/null </dev/null");
    if (!f->found) SAY(f->how, "apt-get install openmpi-bin, or module load openmpi");
}

static void look_slurm(struct report *r)
{
    struct finding *f = add_row(r, "Slurm", false);
    f->found = first_line(f->what, sizeof f->what, "sbatch --version 2>/dev/null </dev/null");
    if (!f->found) SAY(f->how, "sbatch is not in PATH; needed only to submit jobs, on a login node");
}

static void look_gpu(struct report *r)
{
    struct finding *f = add_row(r, "GPU", false);
    struct error err = {0};
    f->found = accelerator_look(f->what, sizeof f->what, &err) == 0;
    if (f->found) return;
    SAY(f->how, "%.200s: %.190s", err.message, err.hint);
}

static const char *file_system_name(unsigned type)
{
    static const struct {
        unsigned type;
        const char *name;
    } known[] = {/* statfs(2) and the vendors' headers */
                 {0xEF53, "ext4"},       {0x58465342, "xfs"},    {0x9123683E, "btrfs"},  {0x2FC12FC1, "zfs"},
                 {0x01021994, "tmpfs"},  {0x794C7630, "overlay"}, {0x6969, "nfs"},       {0x0BD00BD0, "lustre"},
                 {0x47504653, "gpfs"},   {0x19830326, "beegfs"}, {0x00C36400, "ceph"},   {0x65735546, "fuse"},
                 {0x01021997, "9p"},     {0xFF534D42, "cifs"},   {0xFE534D42, "smb2"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].type == type) return known[i].name;
    return "unknown type";
}

static void look_folder(struct report *r)
{
    struct finding *f = add_row(r, "current folder", true);
    struct statfs info;
    f->found = statfs(".", &info) == 0;
    if (!f->found) {
        SAY(f->how, "statfs: %s", strerror(errno));
        return;
    }
    double free_gib = (double)info.f_bavail * (double)info.f_bsize / (1 << 30);
    SAY(f->what, "%s, %.1f GiB free", file_system_name((unsigned)info.f_type), free_gib);
    if (free_gib < 1) SAY(f->how, "less than 1 GiB is free: shards and checkpoints may not fit");
}

static void look_locks(struct report *r)
{
    struct finding *f = add_row(r, "file locks", false);
    char name[64];
    snprintf(name, sizeof name, ".ladnn-doctor-%ld", (long)getpid());
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        f->found = false;
        SAY(f->how, "the current folder cannot be written to (%s): run this in a run folder", strerror(errno));
        return;
    }
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool whole = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (whole) flock(fd, LOCK_UN);
    bool ranges = fcntl(fd, F_SETLK, &range) == 0;
    close(fd);
    unlink(name);
    f->found = whole && ranges;
    SAY(f->what, "flock %s, fcntl %s", whole ? "works" : "fails", ranges ? "works" : "fails");
    if (!f->found) SAY(f->how, "this file system has no locks: export HDF5_USE_FILE_LOCKING=FALSE");
}

static void look_shared_memory(struct report *r)
{
    struct finding *f = add_row(r, "/dev/shm", false);
    struct statfs info;
    f->found = statfs("/dev/shm", &info) == 0;
    double mib = f->found ? (double)info.f_blocks * (double)info.f_bsize / (1 << 20) : 0;
    double free_mib = f->found ? (double)info.f_bavail * (double)info.f_bsize / (1 << 20) : 0;
    SAY(f->what, "%.0f MiB, %.0f MiB free", mib, free_mib);
    if (free_mib < 256) SAY(f->how, "small: ranks of one node talk through it (docker run --shm-size=1g)");
}

static void look_files(struct report *r)
{
    enum { COMFORTABLE = 1024 };
    struct finding *f = add_row(r, "open files", false);
    struct rlimit limit;
    f->found = getrlimit(RLIMIT_NOFILE, &limit) == 0;
    if (!f->found) return;
    SAY(f->what, "limit %llu, at most %llu", (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
    if (limit.rlim_cur < COMFORTABLE) SAY(f->how, "ulimit -n %d", COMFORTABLE);
}

/* ---- output ---- */

static const char *state_word(const struct finding *f)
{
    return f->found ? "found" : f->required ? "MISSING" : "absent";
}

static void print_table(const struct report *r, int missing)
{
    for (int i = 0; i < r->count; i++) {
        const struct finding *f = &r->row[i];
        printf("%-15s %-8s %s%s%s\n", f->name, state_word(f), f->found ? f->what : "",
               f->found && *f->how ? "\n    hint: " : "", f->how);
    }
    if (missing)
        printf("\n%d required %s missing\n", missing, missing == 1 ? "thing is" : "things are");
    else
        printf("\nall that is required is there\n");
}

static void print_json(const struct report *r, int missing)
{
    struct text out = {0};
    struct json j;
    json_open(&j, &out, true);
    json_object(&j, NULL);
    json_bool(&j, "ok", missing == 0);
    json_array(&j, "rows");
    for (int i = 0; i < r->count; i++) {
        const struct finding *f = &r->row[i];
        json_object(&j, NULL);
        json_string(&j, "name", f->name);
        json_string(&j, "state", f->found ? "found" : f->required ? "missing" : "absent");
        json_bool(&j, "required", f->required);
        json_string(&j, "what", f->found ? f->what : NULL);
        json_string(&j, "hint", *f->how ? f->how : NULL);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_end_object(&j);
    fputs(out.data, stdout);
    text_free(&out);
}

static int doctor_run(struct settings *s, struct error *err)
{
    (void)err;
    struct report r = {0};
    look_build(&r);
    look_launcher(&r);
    look_cpu(&r);
    look_cores(&r);
    look_memory(&r);
    look_shared_memory(&r);
    look_files(&r);
    look_folder(&r);
    look_locks(&r);
    look_slurm(&r);
    look_gpu(&r);
    int missing = 0;
    for (int i = 0; i < r.count; i++) missing += r.row[i].required && !r.row[i].found;
    if (settings_bool(s, "doctor.json"))
        print_json(&r, missing);
    else
        print_table(&r, missing);
    return missing ? 1 : 0;
}

const struct command command_doctor = {.name = "doctor",
                                       .groups = "doctor",
                                       .summary = "what was found on this machine, what is missing and how to get it",
                                       .usage = "[--json]",
                                       .run = doctor_run};
