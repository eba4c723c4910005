/* tensor.h - a value in memory as the backends see it: a plain struct that borrows its data. */
#ifndef OPS_TENSOR_H
#define OPS_TENSOR_H
#include <stddef.h>
#include <stdint.h>

enum dtype { DTYPE_F32, DTYPE_BF16 };
enum layout {
    LAYOUT_NCHW,    /* the definition's layout (ops/ref) and that of pictures */
    LAYOUT_NHWC,    /* channels innermost; every (N, C) matrix is this with h = w = 1 */
    LAYOUT_NCHW16C, /* blocks of 16 channels: [n][ceil(c_total/16)][h][w][16]; lanes past c_total hold zeros, always */
};
/* A view of channels [c_offset, c_offset + c) of a buffer with c_total channels. `data` points at the BUFFER's first
 * element, so a whole tensor has c_offset 0 and c == c_total. In LAYOUT_NCHW16C, c_offset of a slice is a multiple of 16
 * and so is c unless the slice ends the buffer. */
struct tensor {
    void *data;
    int n, c, h, w;
    int c_offset, c_total;
    enum dtype dtype;
    enum layout layout;
};

static inline size_t dtype_bytes(enum dtype d) { return d == DTYPE_F32 ? 4 : 2; }
/* Bytes of the buffer behind a view for n images. */
size_t tensor_buffer_bytes(const struct tensor *t);
/* Whole-tensor view of a fresh shape. */
struct tensor tensor_make(void *data, int n, int c, int h, int w, enum dtype dtype, enum layout layout);
/* Copies to and from plain float (N, C, H, W) of the view: tests, import, export. Reference speed. */
void tensor_to_nchw(float *nchw, const struct tensor *t);
void tensor_from_nchw(const struct tensor *t, const float *nchw); /* also zeroes padding lanes of a whole tensor */

static inline float bf16_to_float(uint16_t b)
{
    union { uint32_t u; float f; } v = {(uint32_t)b << 16};
    return v.f;
}
/* Round to nearest even; NaN stays NaN. */
static inline uint16_t bf16_from_float(float f)
{
    union { float f; uint32_t u; } v = {f};
    if ((v.u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((v.u >> 16) | 0x40);
    return (uint16_t)((v.u + 0x7fff + ((v.u >> 16) & 1)) >> 16);
}
#endif
