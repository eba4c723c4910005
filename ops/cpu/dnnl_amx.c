/* dnnl_amx.c - CPUID leaf 1Dh for oneDNN where the hypervisor hides it, see dnnl_amx.h. */
#include "ops/cpu/dnnl_amx.h"
#include <dnnl.h>
#include <stdlib.h>
#include "base/error.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID_CALL 0x1012 /* asm/prctl.h; argument 0: CPUID faults in this thread */
#define LEAF_TILES 0x1d
#define AMX_FLAGS ((1u << 22) | (1u << 24)) /* leaf 7 EDX: AMX-BF16, AMX-TILE */

static bool hidden; /* AMX is there, its description is not, and CPUID can be made to fault */
static struct sigaction before;

static bool cpuid_faults(bool on) { return syscall(SYS_arch_prctl, ARCH_SET_CPUID_CALL, on ? 0UL : 1UL) == 0; }

/* What the leaf says on every CPU with AMX. */
static void tiles_leaf(unsigned subleaf, greg_t *r)
{
    bool palette = subleaf == 1;
    r[REG_RAX] = palette ? (1024 << 16) | 8192 : subleaf == 0; /* bytes per tile, in all; subleaf 0: the last palette */
    r[REG_RBX] = palette ? (8 << 16) | 64 : 0;                 /* tiles, bytes per row */
    r[REG_RCX] = palette ? 16 : 0;                             /* rows */
    r[REG_RDX] = 0;
}

static void answer(greg_t *r)
{
    unsigned leaf = (unsigned)r[REG_RAX], subleaf = (unsigned)r[REG_RCX], a, b, c, d;
    if (leaf == LEAF_TILES) {
        tiles_leaf(subleaf, r);
        return;
    }
    cpuid_faults(false);
    __cpuid_count(leaf, subleaf, a, b, c, d);
    cpuid_faults(true);
    r[REG_RAX] = a;
    r[REG_RBX] = b;
    r[REG_RCX] = c;
    r[REG_RDX] = d;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)r[REG_RIP];
    bool general = info->si_code == SI_KERNEL; /* not a bad address: then the instruction can be read */
    if (general && at[0] == 0x0f && at[1] == 0xa2) {
        answer(r);
        r[REG_RIP] += 2;
        return;
    }
    cpuid_faults(false); /* a true fault: it happens again under the old handler */
    sigaction(number, &before, NULL);
}

bool amx_needs_help(void) { return hidden; }

void amx_enter(void)
{
    if (!hidden) return;
    struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigemptyset(&ours.sa_mask);
    CHECK(sigaction(SIGSEGV, &ours, &before) == 0 && cpuid_faults(true), "CPUID cannot be emulated for oneDNN");
}

void amx_leave(void)
{
    if (!hidden) return;
    cpuid_faults(false);
    sigaction(SIGSEGV, &before, NULL);
}

void amx_prepare(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & AMX_FLAGS) != AMX_FLAGS) return;
    __cpuid_count(LEAF_TILES, 0, a, b, c, d);
    if (a != 0) return;
    hidden = cpuid_faults(true) && cpuid_faults(false);
    bool asked = getenv("ONEDNN_MAX_CPU_ISA") != NULL || getenv("DNNL_MAX_CPU_ISA") != NULL;
    if (!hidden && !asked) dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx512_core_bf16);
}
#else
void amx_prepare(void) {}
bool amx_needs_help(void) { return false; }
void amx_enter(void) {}
void amx_leave(void) {}
#endif

bool amx_usable(void) { return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_amx) == dnnl_cpu_isa_avx512_core_amx; }
