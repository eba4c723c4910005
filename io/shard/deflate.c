/* deflate.c - see deflate.h. zlib's functions are there in every build; libdeflate's come first. */
#include "io/shard/deflate.h"

#include <zlib.h>
#ifdef LADNN_HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

#include "base/error.h"

size_t deflate_bound(size_t bytes)
{
    return compressBound((uLong)bytes);
}

static size_t pack_by_zlib(uint8_t *to, const uint8_t *from, size_t bytes)
{
    uLong packed = compressBound((uLong)bytes);
    CHECK(compress2(to, &packed, from, (uLong)bytes, DEFLATE_LEVEL) == Z_OK, "zlib cannot compress");
    return packed;
}

#ifdef LADNN_HAVE_LIBDEFLATE
size_t deflate_pack(uint8_t *to, const uint8_t *from, size_t bytes)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(DEFLATE_LEVEL);
    size_t packed = c ? libdeflate_zlib_compress(c, from, bytes, to, deflate_bound(bytes)) : 0;
    libdeflate_free_compressor(c);
    return packed ? packed : pack_by_zlib(to, from, bytes);
}

bool deflate_unpack(uint8_t *to, size_t bytes, const uint8_t *from, size_t packed_bytes)
{
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    CHECK(d, "no memory for libdeflate");
    size_t used = 0, got = 0;
    bool good = libdeflate_zlib_decompress_ex(d, from, packed_bytes, to, bytes, &used, &got) == LIBDEFLATE_SUCCESS;
    libdeflate_free_decompressor(d);
    return good && used == packed_bytes && got == bytes;
}
#else
size_t deflate_pack(uint8_t *to, const uint8_t *from, size_t bytes)
{
    return pack_by_zlib(to, from, bytes);
}

bool deflate_unpack(uint8_t *to, size_t bytes, const uint8_t *from, size_t packed_bytes)
{
    uLong got = (uLong)bytes, used = (uLong)packed_bytes;
    return uncompress2(to, &got, from, &used) == Z_OK && got == bytes && used == packed_bytes;
}
#endif
