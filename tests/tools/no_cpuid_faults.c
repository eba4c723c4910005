/* no_cpuid_faults.c - preloaded, refuses arch_prctl as kernels and sandboxes do that cannot make CPUID fault: then
 * ops/cpu/dnnl_amx.c cannot help oneDNN where a hypervisor hides AMX's description, and must switch AMX off.
 *   cc -shared -fPIC -o shim.so no_cpuid_faults.c -ldl; LD_PRELOAD=./shim.so ladnn ... */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>

long syscall(long number, ...)
{
    static long (*real)(long, ...);
    va_list list;
    long a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
#ifdef SYS_arch_prctl
    if (number == SYS_arch_prctl) {
        errno = ENODEV;
        return -1;
    }
#endif
    if (!real) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
