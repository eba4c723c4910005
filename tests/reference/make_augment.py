#!/usr/bin/env python3
"""Writes augment.txt: what torchvision and Pillow make of a synthetic picture, on a coarse grid.

    python3 make_augment.py > augment.txt

The picture is smooth, so that the one-pass sampling of io/load/augment.c and the two passes here (resize, then affine) differ
by little, but steep (about 4 levels per pixel), so that a shift of half a pixel is seen. Pillow works on float pictures
(mode F) here: no rounding to 8 bits between the passes.
Line: kind height width channels scale shear flip, then rows x columns x channels values 0..1 before normalisation.
"""
import numpy as np
import torchvision.transforms.functional as F
from PIL import Image
from torchvision.transforms import InterpolationMode

SIZE, STEP, FIRST = 224, 31, 3


def wave(v, period):
    """Integer triangle wave 0..127, as in test_io_augment.c."""
    v = v % period
    return 127 * np.minimum(v, period - v) * 2 // period


def picture(height, width):
    y, x = np.mgrid[0:height, 0:width]
    red = wave(x, 74) + wave(y + 11, 90)
    green = wave(x + y, 101) + wave(2 * x + 300 - y, 160)
    blue = 255 - wave(x + 20, 130) - wave(y, 66)
    return np.stack([red, green, blue], 2).astype(np.uint8)


def planes(pixels, scale, shear, flip, affine):
    out = []
    for c in range(pixels.shape[2]):
        image = Image.fromarray(pixels[:, :, c].astype(np.float32), "F").resize((SIZE, SIZE), Image.BILINEAR)
        if affine:
            image = F.affine(image, 0, [0, 0], scale, [shear, 0], InterpolationMode.BILINEAR, 0)
        plane = np.asarray(image)
        out.append(plane[:, ::-1] if flip else plane)
    return np.stack(out, 2) / 255


def main():
    cases = [("affine", 256, 256, 3, 1.2, 0.2, 0), ("affine", 256, 256, 3, 0.8, -0.2, 1), ("affine", 200, 313, 3, 0.93, 5, 0),
             ("affine", 256, 256, 1, 1.0, 8, 1), ("affine", 640, 700, 3, 0.85, 0.1, 1),
             ("none", 256, 256, 3, 1, 0, 0), ("none", 100, 148, 1, 1, 0, 0), ("none", 700, 901, 3, 1, 0, 0)]
    for kind, height, width, channels, scale, shear, flip in cases:
        got = planes(picture(height, width)[:, :, :channels], scale, shear, flip, kind == "affine")
        print(kind, height, width, channels, scale, shear, flip)
        for row in got[FIRST::STEP, FIRST::STEP].reshape(-1, channels * len(range(FIRST, SIZE, STEP))):
            print(" ".join("%.4f" % v for v in row))


if __name__ == "__main__":
    main()
