#!/usr/bin/env python3
"""A folder of coloured JPEGs of about 500 x 375 in two class folders, for timing: gradients, waves and noise, quality 90, 4:2:0.

    make_jpegs.py OUT [COUNT]          the same COUNT (2000) always gives the same pictures; needs numpy and Pillow
"""
import os
import sys

import numpy as np
from PIL import Image


def picture(random):
    height, width = int(random.integers(333, 420)), int(random.integers(450, 550))
    y, x = np.mgrid[0:height, 0:width] / 400.0
    coarse = Image.fromarray(random.integers(0, 255, (height // 3, width // 3), np.uint8)).resize((width, height), Image.BICUBIC)
    texture, pixels = np.asarray(coarse, np.float32) - 128, np.empty((height, width, 3))
    for c in range(3):
        a = random.uniform(-1, 1, 4)
        pixels[..., c] = 128 + 80 * (a[0] * x + a[1] * y) + 40 * np.sin(8 * (a[2] * x + a[3] * y)) + texture * random.uniform(0.1, 0.5)
    return Image.fromarray(np.clip(pixels + random.normal(0, 4, (height, width, 1)), 0, 255).astype(np.uint8))


def main(out, count=2000):
    random = np.random.default_rng(1)
    for i in range(int(count)):
        folder = os.path.join(out, ("covid", "other")[i % 2])
        os.makedirs(folder, exist_ok=True)
        picture(random).save(os.path.join(folder, f"p{i:05d}.jpg"), quality=90)


if __name__ == "__main__":
    main(*sys.argv[1:])
