#!/usr/bin/env python3
"""Changes a safetensors file, for tests/system/weights.sh; the standard library is enough: edit_safetensors.py FROM TO EDIT ...

EDIT: drop=NAME, add=NAME (two zeros), rename=OLD:NEW, head=N (fc with N outputs of zeros), half=NAME (f16 of the same numbers), whole=NAME
(called I32), transpose=NAME (dimensions in reverse), nan=NAME, negative=NAME (its first value), parallel (every name behind "module.")."""
import json
import struct
import sys


def main():
    with open(sys.argv[1], "rb") as f:
        length, = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(length))
        data = f.read()
    metadata = header.pop("__metadata__", {})
    tensors = {k: [e["dtype"], e["shape"], data[slice(*e["data_offsets"])]] for k, e in header.items()}
    for edit in sys.argv[3:]:
        what, _, name = edit.partition("=")
        if what == "drop":
            del tensors[name]
        elif what == "add":
            tensors[name] = ["F32", [2], bytes(8)]
        elif what == "rename":
            old, _, new = name.partition(":")
            tensors[new] = tensors.pop(old)
        elif what == "head":
            inputs = tensors["fc.weight"][1][1]
            tensors["fc.weight"] = ["F32", [int(name), inputs], bytes(4 * int(name) * inputs)]
            tensors["fc.bias"] = ["F32", [int(name)], bytes(4 * int(name))]
        elif what == "half":
            count = len(tensors[name][2]) // 4
            tensors[name] = ["F16", tensors[name][1], struct.pack("<%de" % count, *struct.unpack("<%df" % count, tensors[name][2]))]
        elif what == "whole":
            tensors[name][0] = "I32"
        elif what == "transpose":
            tensors[name][1] = tensors[name][1][::-1]
        elif what == "negative":
            tensors[name][2] = struct.pack("<f", -1.0) + tensors[name][2][4:]
        elif what == "nan":
            tensors[name][2] = struct.pack("<f", float("nan")) + tensors[name][2][4:]
        elif what == "parallel":
            tensors = {"module." + k: t for k, t in tensors.items()}
        else:
            sys.exit("no edit '%s'" % edit)
    at, pieces = 0, []
    header = {"__metadata__": metadata}
    for key, (dtype, shape, piece) in tensors.items():
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(piece)]}
        at += len(piece)
        pieces.append(piece)
    text = json.dumps(header).encode()
    with open(sys.argv[2], "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(pieces))


main()
