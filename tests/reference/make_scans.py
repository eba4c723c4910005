#!/usr/bin/env python3
"""Writes TIFF, DICOM and 16-bit PNG files of many kinds into a folder, and scans.txt with a line for each: name, window
("-" = none), then "refused" and a word of the reason, or channels, height, width and tolerance of the pixels in N.raw, N the line's number from 0.
The pixels are Pillow's own reading, or DICOM's linear window (PS3.3 C.11.2.1.2.1) computed with numpy from pydicom's values.
Status 77 without Pillow, numpy and pydicom.

    python3 make_scans.py FOLDER
"""
import struct
import sys

try:
    import numpy as np
    import pydicom
    from PIL import Image
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, generate_uid
except ImportError as why:
    print("skipped:", why)
    sys.exit(77)

folder = sys.argv[1]
H, W = 41, 57
y, x = np.mgrid[0:H, 0:W]
grey = ((x * 5 + y * 3) % 256).astype(np.uint8)
rgb = np.stack([grey, (x * y % 256).astype(np.uint8), 255 - grey], 2)
alpha = ((x + y) * 2 % 256).astype(np.uint8)
deep = ((x * 1151 + y * 373) % 65536).astype(np.uint16)
hounsfield = ((x * 61 + y * 37) % 3000 - 1024).astype(np.int16)
lines = []


def expect(name, window, pixels, tolerance=0):
    pixels = np.ascontiguousarray(pixels.astype(np.uint8))
    channels = 1 if pixels.ndim == 2 else 3
    if channels == 3 and (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all():
        pixels, channels = np.ascontiguousarray(pixels[..., 0]), 1
    pixels.tofile(f"{folder}/{len(lines)}.raw")
    lines.append(f"{name} {window} {channels} {pixels.shape[0]} {pixels.shape[1]} {tolerance}")


def refused(name, word, window="-"):
    lines.append(f"{name} {window} refused {word}")


def linear(values, centre, width):
    v = values.astype(np.float64)
    out = ((v - (centre - 0.5)) / max(width - 1, 1e-9) + 0.5) * 255
    out = np.where(v <= centre - 0.5 - (width - 1) / 2, 0, np.where(v > centre - 0.5 + (width - 1) / 2, 255, out))
    return np.floor(out + 0.5)


# ---- TIFF as Pillow writes it ----
L, RGB = Image.fromarray(grey), Image.fromarray(rgb)
for mode, image, want in [("L", L, grey), ("RGB", RGB, rgb),
                          ("LA", Image.merge("LA", (L, Image.fromarray(alpha))), grey),
                          ("RGBA", Image.merge("RGBA", (*RGB.split(), Image.fromarray(alpha))), rgb),
                          ("P", RGB.quantize(64), np.asarray(RGB.quantize(64).convert("RGB"))),
                          ("1", L.convert("1"), np.asarray(L.convert("1").convert("L"))),
                          ("I16", Image.fromarray(deep), deep >> 8)]:
    for pack in ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"]:
        name = f"{mode}-{pack}.tif"
        image.save(f"{folder}/{name}", compression=pack)
        expect(name, "-", want)
RGB.save(f"{folder}/jpeg.tif", compression="jpeg", quality=90)
expect("jpeg.tif", "-", np.asarray(Image.open(f"{folder}/jpeg.tif").convert("RGB")), 3)
for window, centre, width in [("20000/30000", 20000, 30000), ("40/400", 40, 400), ("100.5/1.5", 100.5, 1.5), ("-5/1", -5, 1)]:
    name = f"window{len(lines)}.tif"
    Image.fromarray(deep).save(f"{folder}/{name}")
    expect(name, window, linear(deep, centre, width))
    name = f"window{len(lines)}.png"
    Image.fromarray(deep).save(f"{folder}/{name}")
    expect(name, window, linear(deep, centre, width))
L.save(f"{folder}/eight.tif")
expect("eight.tif", "40/400", grey)  # a window changes no 8-bit picture
RGB.convert("CMYK").save(f"{folder}/cmyk.tif")
refused("cmyk.tif", "CMYK")
Image.fromarray(grey.astype(np.float32)).save(f"{folder}/float.tif")
refused("float.tif", "floating")
L.save(f"{folder}/pages.tif", save_all=True, append_images=[L])
refused("pages.tif", "pages")


# ---- TIFF by hand: byte orders, sign, inverse ----
def plain_tiff(name, order, values, photometric, sample_format):
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    tags = [(256, 4, W), (257, 4, H), (258, 3, 16), (259, 3, 1), (262, 3, photometric), (273, 4, 8), (277, 3, 1), (278, 4, H),
            (279, 4, len(data)), (339, 3, sample_format)]
    def entry(tag, kind, value):
        return struct.pack(order + "HHI", tag, kind, 1) + (struct.pack(order + "HH", value, 0) if kind == 3 else struct.pack(order + "I", value))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data))
    open(f"{folder}/{name}", "wb").write(head + data + struct.pack(order + "H", len(tags)) + b"".join(entry(*t) for t in tags) + struct.pack(order + "I", 0))


for order in "<>":
    end = "little" if order == "<" else "big"
    plain_tiff(f"signed-{end}.tif", order, hounsfield, 1, 2)
    expect(f"signed-{end}.tif", "lung", linear(hounsfield, -600, 1500))
    plain_tiff(f"inverse-{end}.tif", order, deep, 0, 1)
    expect(f"inverse-{end}.tif", "-", 255 - (deep >> 8))


# ---- DICOM ----
def dicom(name, stored, syntax=ExplicitVRLittleEndian, slope=None, intercept=None, window=None, photometric="MONOCHROME2", bits=16, frames=None,
          samples=1):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    d = FileDataset(name, {}, file_meta=meta, preamble=b"\0" * 128)
    d.SOPClassUID, d.SOPInstanceUID, d.PatientID, d.Modality = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, "synthetic", "CT"
    d.Rows, d.Columns, d.SamplesPerPixel, d.PhotometricInterpretation = H, W, samples, photometric
    d.BitsAllocated, d.BitsStored, d.HighBit = (8 if bits == 8 else 16), bits, bits - 1
    d.PixelRepresentation = int(stored.dtype.kind == "i")
    if samples == 3: d.PlanarConfiguration = 0
    if frames: d.NumberOfFrames = frames
    if slope is not None: d.RescaleSlope, d.RescaleIntercept = str(slope), str(intercept)
    if window: d.WindowCenter, d.WindowWidth = str(window[0]), str(window[1])
    d.is_little_endian, d.is_implicit_VR = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    d.PixelData = stored.astype(stored.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")).tobytes() + (b"\0" if stored.nbytes % 2 else b"")
    d["PixelData"].VR = "OB" if bits == 8 else "OW"
    if syntax == RLELossless: d.compress(RLELossless)
    d.save_as(f"{folder}/{name}", write_like_original=False)


stored = (hounsfield + 1024).astype(np.uint16)
for kind, syntax in [("explicit", ExplicitVRLittleEndian), ("implicit", ImplicitVRLittleEndian), ("big", ExplicitVRBigEndian), ("rle", RLELossless)]:
    dicom(f"{kind}.dcm", stored, syntax, 1, -1024, (40, 400), bits=12)
    expect(f"{kind}.dcm", "-", linear(hounsfield, 40, 400), 1)
    expect(f"{kind}.dcm", "lung", linear(hounsfield, -600, 1500), 1)
dicom("signed.dcm", hounsfield, window=(0, 1000))
expect("signed.dcm", "-", linear(hounsfield, 0, 1000), 1)
dicom("slope.dcm", stored, slope=0.5, intercept=-200)
expect("slope.dcm", "100/900", linear(stored * 0.5 - 200, 100, 900), 1)
dicom("inverse.dcm", stored, slope=1, intercept=-1024, window=(40, 400), photometric="MONOCHROME1", bits=12)
expect("inverse.dcm", "-", 255 - linear(hounsfield, 40, 400), 1)
dicom("eight.dcm", grey, window=(128, 256), bits=8)
expect("eight.dcm", "-", linear(grey, 128, 256), 1)
dicom("nowindow.dcm", stored)
refused("nowindow.dcm", "window")
dicom("colour.dcm", rgb, photometric="RGB", bits=8, samples=3)
refused("colour.dcm", "colour")
dicom("frames.dcm", np.concatenate([stored, stored]), frames=2, window=(40, 400))
refused("frames.dcm", "frames")
short = pydicom.dcmread(f"{folder}/explicit.dcm")
short.PixelData = short.PixelData[:-200]
short.save_as(f"{folder}/short.dcm", write_like_original=False)
refused("short.dcm", "fewer")
whole = open(f"{folder}/explicit.dcm", "rb").read()
open(f"{folder}/cut.dcm", "wb").write(whole[:len(whole) // 2])
refused("cut.dcm", "damaged")
open(f"{folder}/head.dcm", "wb").write(whole[:140])
refused("head.dcm", "DICOM")
open(f"{folder}/scans.txt", "w").write("\n".join(lines) + "\n")
