#!/usr/bin/python3
"""Writes tests/reference/weights/: small files of every kind that io/weights reads, and weights.txt, what torch finds in them.

    make_weights.py          (torch; everything is made by torch.save, except what it no longer writes or never would:
                              safetensors and the tar of 2016, put together here by their descriptions)

weights.txt: `file FILE count`, then per tensor `NAME TYPE ndim dims... values...`, in the file's order."""
import collections
import io
import json
import os
import pickle
import struct
import sys
import tarfile
import zipfile

import torch

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "weights")
TYPES = {torch.float32: "f32", torch.float64: "f64", torch.float16: "f16", torch.bfloat16: "bf16", torch.int64: "i64",
         torch.int32: "i32", torch.int16: "i16", torch.int8: "i8", torch.uint8: "u8", torch.bool: "bool"}
SAFE = {"f32": "F32", "f64": "F64", "f16": "F16", "bf16": "BF16", "i64": "I64", "i32": "I32", "i16": "I16", "i8": "I8", "u8": "U8", "bool": "BOOL"}


def tensors():
    """Every type, and every way in which a tensor can lie in its storage."""
    grid = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) / 8 - 1
    d = collections.OrderedDict()
    for dtype, name in TYPES.items():
        d["type." + name] = (torch.arange(6) % 2 if dtype == torch.bool else torch.arange(6)).reshape(2, 3).to(dtype)
    for name in ("f64", "f32", "f16", "bf16"):
        d["type." + name] = (d["type." + name] - 2) / 3
    d["half.edges"] = torch.tensor([6e-8, -6e-8, 6.1e-5, 65504, -0.0, 1 / 3], dtype=torch.float16)
    d["bfloat.edges"] = torch.tensor([1e-38, 3e38, -1e-40, 1 / 3], dtype=torch.bfloat16)
    d["view.whole"] = grid
    d["view.transposed"] = grid.permute(2, 0, 1)
    d["view.part"] = grid[1:, 1:, ::2]
    d["view.repeated"] = grid[0, 0].unsqueeze(0).expand(3, 4)
    d["scalar"] = torch.tensor(2.5)
    d["empty"] = torch.zeros(0, 3)
    d["näme with \"marks\" \\"] = torch.ones(1)
    return d


def listed(out, name, d):
    out.write(f"file {name} {len(d)}\n")
    for key, t in d.items():
        values = t.to(torch.float32).reshape(-1).tolist()
        out.write("%s\t%s %d %s %s\n" % (key, TYPES[t.dtype], t.dim(), " ".join(map(str, t.shape)), " ".join("%.9g" % v for v in values)))


def raw(t):
    return bytes(t.contiguous().reshape(-1).view(torch.uint8).numpy()) if t.numel() else b""


def write_safetensors(path, d):
    header, data = {"__metadata__": {"format": "pt", "é": "\u00e9\n"}}, b""
    for key, t in d.items():
        piece = raw(t) if t.dim() else raw(t.reshape(1))
        header[key] = {"dtype": SAFE[TYPES[t.dtype]], "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


class TarPickler(pickle.Pickler):
    """Tensors are numbers in it."""

    def __init__(self, f, keys):
        super().__init__(f, 2)
        self.keys = keys

    def persistent_id(self, obj):
        return str(self.keys[id(obj)]) if isinstance(obj, torch.Tensor) else None


def write_tar(path, d):
    """As torch/serialization.py reads it (legacy_load)."""
    def dump(to, obj):
        to.write(pickle.dumps(obj, 2))

    types = {torch.float32: (torch.FloatStorage, torch.FloatTensor), torch.float64: (torch.DoubleStorage, torch.DoubleTensor),
             torch.int64: (torch.LongStorage, torch.LongTensor)}
    first = 140000000000001  # addresses, as they were written
    roots = {}
    for t in d.values():
        roots.setdefault(t.storage().data_ptr() if t.numel() else id(t), t)
    storages, shapes = io.BytesIO(), io.BytesIO()
    numbers = {root: first + i for i, root in enumerate(roots)}
    dump(storages, len(roots))
    for root, t in roots.items():
        whole = torch.tensor([], dtype=t.dtype).set_(t.storage())
        dump(storages, (numbers[root], "cpu", types[t.dtype][0]))
        storages.write(struct.pack("<q", whole.numel()) + raw(whole))
    dump(storages, [])
    keys = {id(t): 7000000000 + i for i, t in enumerate(d.values())}
    dump(shapes, len(d))
    for t in d.values():
        root = t.storage().data_ptr() if t.numel() else id(t)
        dump(shapes, (keys[id(t)], numbers[root], types[t.dtype][1]))
        shapes.write(struct.pack("<ii", t.dim(), 0) + struct.pack("<%dq" % t.dim(), *t.shape) + struct.pack("<%dq" % t.dim(), *t.stride()))
        shapes.write(struct.pack("<q", t.storage_offset()))
    obj = io.BytesIO()
    TarPickler(obj, keys).dump(d)
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as tar:
        for name, data in (("sys_info", pickle.dumps({"little_endian": True}, 2)), ("pickle", obj.getvalue()), ("storages", storages.getvalue()),
                           ("tensors", shapes.getvalue())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mtime = 0.5  # not whole: gives a pax header, as the files of that time have
            tar.addfile(info, io.BytesIO(data))


def as_zip64(source, path):
    """The same entries, with the 64-bit records that archives above 4 GB need."""
    with zipfile.ZipFile(source) as z:
        entries = [(i.filename, z.read(i), i.CRC) for i in z.infolist()]
    body, listing = b"", b""
    for name, data, crc in entries:
        extra = struct.pack("<HHQQ", 1, 16, len(data), len(data))
        wide = struct.pack("<HHQQQ", 1, 24, len(data), len(data), len(body))
        most = 0xFFFFFFFF
        listing += struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 45, 45, 0, 0, 0, 0, crc, most, most, len(name), len(wide), 0, 0, 0, 0, most) + name.encode() + wide
        body += struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 45, 0, 0, 0, 0, crc, most, most, len(name), len(extra)) + name.encode() + extra + data
    second = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, len(entries), len(entries), len(listing), len(body))
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(body) + len(listing), 1)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    with open(path, "wb") as f:
        f.write(body + listing + second + locator + end)


class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)


def main():
    os.makedirs(HERE, exist_ok=True)
    here = lambda name: os.path.join(HERE, name)
    out = io.StringIO()
    d = tensors()
    write_safetensors(here("all.safetensors"), d)
    torch.save(d, here("all.pth"))
    torch.save(d, here("all-old.pth"), _use_new_zipfile_serialization=False)
    as_zip64(here("all.pth"), here("zip64.pth"))
    for name in ("all.safetensors", "all.pth", "all-old.pth", "zip64.pth"):
        listed(out, name, d)
    few = collections.OrderedDict((k, t) for k, t in d.items() if t.dtype in (torch.float32, torch.float64, torch.int64) and t.numel())
    few.pop("view.repeated")
    write_tar(here("all.tar"), few)
    back = torch.load(here("all.tar"))
    assert all(torch.equal(back[k], few[k]) and back[k].stride() == few[k].stride() for k in few)
    listed(out, "all.tar", few)
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(torch.arange(p.numel()).reshape(p.shape) / 4 + i)
    nested = {"epoch": 3, "best": 0.5, "arch": "net", "optimizer": {"lr": [1e-3, -2]}, "state_dict": net.state_dict()}
    torch.save(nested, here("nested.pth"))
    listed(out, "nested.pth", net.state_dict())
    torch.save(dict(net.named_parameters()), here("parameters.pth"))
    listed(out, "parameters.pth", {k: p.detach() for k, p in net.named_parameters()})
    torch.save(net.state_dict(), here("protocol4.pth"), pickle_protocol=4)
    listed(out, "protocol4.pth", net.state_dict())
    torch.save({"weight": torch.ones(2), "surprise": Evil()}, here("evil.pth"))
    torch.save({"weight": torch.ones(2), "surprise": Evil()}, here("evil-old.pth"), _use_new_zipfile_serialization=False)
    torch.save(net, here("module.pth"))
    with open(os.path.join(os.path.dirname(HERE), "weights.txt"), "w", encoding="utf-8") as f:
        f.write(out.getvalue())


if __name__ == "__main__":
    sys.exit(main())
