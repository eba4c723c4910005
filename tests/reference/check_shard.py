#!/usr/bin/env python3
"""Reads shards by io/FORMAT.md alone and checks every checksum: python3 check_shard.py FILE ...

Status 77 when h5py is not installed, 1 when something does not hold. Prints images, channels and COVID images of each.
"""
import struct
import sys

try:
    import h5py
    import numpy as np
except ImportError as why:
    print("skipped:", why)
    sys.exit(77)

TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
    TABLE.append(n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def number(value):
    return struct.pack("<q", value)


def metadata(f):
    a = f.attrs
    out = b"".join(bytes(a[k]) + b"\0" for k in ("dataset", "set_id", "split", "settings", "tool"))
    for k in ("format_version", "shard_index", "shard_count", "images", "size", "channels", "synthetic", "by_figure"):
        out += number(a[k])
    out += b"".join(bytes(n) + b"\0" for n in a["lesion_names"])
    for i in range(a["images"]):
        out += b"".join(bytes(f[k][i]) + b"\0" for k in ("file", "patient", "figure"))
        out += number(f["covid"][i]) + b"".join(map(number, f["lesion"][i])) + b"".join(map(number, f["shape"][i]))
        out += f["source_sha256"][i].tobytes() + number(f["crc32c"][i])
    return out


def image(f, i):
    h, w, c = (int(v) for v in f["shape"][i])
    if f.attrs["size"]:
        pixels = f["images"][i]
        assert f["images"].chunks == ((1, h, w, c) if f["images"].compression else None)
    else:
        at = int(f["offset"][i])
        pixels = f["pixels"][at:at + h * w * c].reshape(h, w, c)
    assert pixels.shape == (h, w, c) and pixels.dtype == np.uint8
    return pixels


for path in sys.argv[1:]:
    with h5py.File(path, "r") as f:
        assert bytes(f.attrs["format"]) == b"ladnn-shard" and f.attrs["format_version"] == 2
        assert crc32c(metadata(f)) == f.attrs["metadata_crc32c"], "metadata"
        for i in range(f.attrs["images"]):
            assert crc32c(image(f, i).tobytes()) == f["crc32c"][i], ("image", i)
        print("images", f.attrs["images"], "channels", f.attrs["channels"], "covid", int(f["covid"][:].sum()),
              "synthetic", f.attrs["synthetic"])
