#!/usr/bin/env python3
"""Writes resize.txt: SHA-256 of what Pillow's Image.resize(BILINEAR) makes of synthetic pictures.

    python3 make_resize.py > resize.txt

The pictures are a linear congruential sequence, so that the C test makes the same ones. Line: channels width height
new_width new_height sha256 (of the resized pixels, (H, W, C)).
"""
import hashlib

import numpy as np
from PIL import Image

SIZES = [(7, 5, 256, 256), (256, 256, 7, 5), (640, 427, 256, 256), (256, 256, 256, 256), (300, 200, 300, 77),
         (300, 200, 77, 200), (1637, 1225, 256, 256), (148, 61, 256, 256), (1, 1, 9, 9), (9, 9, 1, 1), (224, 224, 225, 223),
         (1000, 3, 3, 1000), (513, 511, 256, 255), (33, 44, 128, 96)]


def picture(channels, width, height):
    state, out = channels * 1000003 + width * 1009 + height, bytearray()
    for _ in range(channels * width * height):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out.append(state >> 24)
    return np.frombuffer(bytes(out), np.uint8).reshape(height, width, channels)


print("# channels width height new_width new_height sha256; Pillow's BILINEAR, see make_resize.py")
for width, height, new_width, new_height in SIZES:
    for channels in (1, 3):
        pixels = picture(channels, width, height)
        image = Image.fromarray(pixels[:, :, 0], "L") if channels == 1 else Image.fromarray(pixels, "RGB")
        out = np.asarray(image.resize((new_width, new_height), Image.BILINEAR))
        print(channels, width, height, new_width, new_height, hashlib.sha256(out.tobytes()).hexdigest())
