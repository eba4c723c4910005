#!/usr/bin/env python3
"""Writes PNG and JPEG files of many kinds into a folder, and kinds.txt: name, channels, SHA-256 of the pixels that
image_decode must give (or "refused"). Status 77 without Pillow.

    python3 make_kinds.py FOLDER
"""
import hashlib
import sys

try:
    import numpy as np
    from PIL import Image, PngImagePlugin
except ImportError as why:
    print("skipped:", why)
    sys.exit(77)

folder = sys.argv[1]
y, x = np.mgrid[0:37, 0:53]
grey = ((x * 5 + y * 3) % 256).astype(np.uint8)
rgb = np.stack([grey, (x * y % 256).astype(np.uint8), 255 - grey], 2)
alpha = ((x + y) * 2 % 256).astype(np.uint8)
lines = []


def keep(name, image, want, **options):
    image.save(f"{folder}/{name}", **options)
    if want is None:
        lines.append(f"{name} 0 refused")
        return
    pixels = np.ascontiguousarray(np.asarray(want))
    lines.append(f"{name} {1 if pixels.ndim == 2 else pixels.shape[2]} {hashlib.sha256(pixels.tobytes()).hexdigest()}")


def reread(name):
    image = Image.open(f"{folder}/{name}")
    return image if image.mode == "L" else image.convert("RGB")


L, RGB = Image.fromarray(grey, "L"), Image.fromarray(rgb, "RGB")
LA = Image.merge("LA", (L, Image.fromarray(alpha, "L")))
RGBA = Image.merge("RGBA", (*RGB.split(), Image.fromarray(alpha, "L")))
P = RGB.quantize(17)
info = PngImagePlugin.PngInfo()
info.add_text("note", "a text chunk")
keep("l.png", L, L)
keep("rgb.png", RGB, RGB)
keep("la.png", LA, L)
keep("rgba.png", RGBA, RGBA.convert("RGB"))
keep("p.png", P, P.convert("RGB"))
keep("p2.png", RGB.quantize(3), RGB.quantize(3).convert("RGB"))
keep("ptrans.png", P, P.convert("RGB"), transparency=2)
keep("ltrans.png", L, L, transparency=7)
keep("bits1.png", L.convert("1"), L.convert("1").convert("L"))
keep("text.png", RGB, RGB, pnginfo=info)
keep("profile.png", RGB, RGB, icc_profile=b"this is no colour profile" * 10)
keep("dpi.png", L, L, dpi=(72, 72))
wide = grey.astype(np.uint16) * 257 - (np.arange(53, dtype=np.uint16) % 200)[None, :] * (grey > 0)
keep("i16.png", Image.fromarray(wide), Image.fromarray((wide >> 8).astype(np.uint8), "L"))
for name, image, options in (("l.jpg", L, {}), ("rgb.jpg", RGB, {}), ("s444.jpg", RGB, {"subsampling": 0}),
                             ("progressive.jpg", RGB, {"progressive": True}), ("misnamed.png", RGB, {"format": "JPEG"})):
    image.save(f"{folder}/{name}", **options)
    keep(name, image, reread(name), **options)
keep("cmyk.jpg", RGB.convert("CMYK"), None)
open(f"{folder}/kinds.txt", "w").write("\n".join(lines) + "\n")
