/* dnnl_amx.h - lets oneDNN use AMX where a virtual machine hides the tiles' description.
 *
 * AMX (bf16 matrix tiles) makes convolutions about four times as fast as f32. oneDNN 2.x sees the AMX flags in CPUID leaf
 * 7, then asks leaf 1Dh how large tiles are. Some hypervisors (seen: Firecracker) pass the flags and the instructions but
 * answer 1Dh with zeros; oneDNN then loads an empty tile configuration and its first tile instruction ends the program
 * with SIGILL. The answer itself is fixed by the architecture: palette 1 is 8 tiles of 16 rows of 64 bytes (Intel SDM
 * vol. 2, CPUID leaf 1Dh).
 *
 * So on such machines, and only there, amx_enter makes CPUID fault in the calling thread (arch_prctl ARCH_SET_CPUID) and
 * answers it from the signal handler, until amx_leave puts everything back. Where that is not possible AMX is switched
 * off for oneDNN, which then does not crash.
 */
#ifndef OPS_CPU_DNNL_AMX_H
#define OPS_CPU_DNNL_AMX_H
#include <stdbool.h>

/* Once, before any other call of oneDNN. */
void amx_prepare(void);
/* bf16 convolutions will run on AMX tiles. */
bool amx_usable(void);
/* Around calls of oneDNN that may read CPUID: compiling a primitive, running one that uses AMX. Not nested, and one
 * thread at a time. Nothing happens on machines that need no help. */
bool amx_needs_help(void);
void amx_enter(void);
void amx_leave(void);
#endif
