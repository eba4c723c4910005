#!/usr/bin/env python3
"""What people do without ladnn, measured: packing a folder of pictures with Pillow and h5py, and reading training samples back.

    peers_data.py pack IN OUT.h5 LAYOUT        LAYOUT: contiguous, chunked (an image a chunk) or gzip; prints seconds and CPU seconds
    peers_data.py read FILE.h5 [BATCH]         h5py, one image at a time in shuffled order; prints GB/s
    peers_data.py batches FILE.h5 [BATCH]      the same, batches made by torch.from_numpy(np.stack([images[i] for i in batch]))
    peers_data.py workers FILE.h5 N [BATCH]    the same, by a Dataset of images[i] and a DataLoader with N workers
    peers_data.py folder IN WORKERS [BATCH]    torchvision ImageFolder + DataLoader: decode, resize to 256, tensor; prints images/s
Each prints one JSON line. IN: a folder with pictures in class folders, as in covid-ct.
"""
import json
import os
import resource
import sys
import time


def pictures(folder):
    return sorted(os.path.join(d, f) for d, _, files in os.walk(folder) for f in files if f.lower().endswith((".png", ".jpg", ".jpeg")))


def say(**what):
    use = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({**what, "cpu_s": round(use.ru_utime + use.ru_stime, 3), "peak_mb": round(use.ru_maxrss / 1024, 1)}))


def pack(folder, out, layout):
    import h5py
    import numpy as np
    import PIL
    from PIL import Image
    files = pictures(folder)
    options = {"contiguous": {}, "chunked": {"chunks": (1, 256, 256, 3)}, "gzip": {"chunks": (1, 256, 256, 3), "compression": "gzip"}}[layout]
    start = time.time()
    with h5py.File(out, "w") as f:
        images = f.create_dataset("images", (len(files), 256, 256, 3), "u1", **options)
        for i, name in enumerate(files):
            images[i] = np.asarray(Image.open(name).convert("RGB").resize((256, 256), Image.BILINEAR))
    say(what="Pillow + h5py, " + layout, pillow=PIL.__version__, images=len(files), seconds=round(time.time() - start, 3))


def say_rate(what, images, passes, one_pass):
    """The best of several passes; the first one warms up."""
    times = []
    for _ in range(passes):
        start = time.time()
        one_pass()
        times.append(time.time() - start)
    best, count = min(times), len(images)
    say(what=what, images=count, images_per_s=round(count / best), gb_per_s=round(images.size * images.dtype.itemsize / best / 1e9, 3))


def read(path, batch):
    import h5py
    import numpy as np
    with h5py.File(path) as f:
        images = f["images"]
        order = np.random.default_rng(1).permutation(len(images))
        to = np.empty((batch, *images.shape[1:]), "u1")

        def one_pass():
            for k, i in enumerate(order): to[k % batch] = images[i]
        say_rate("h5py, image by image", images, 6, one_pass)


def batches(path, batch):
    import h5py
    import numpy as np
    import torch
    with h5py.File(path) as f:
        images = f["images"]
        order = np.random.default_rng(1).permutation(len(images))

        def one_pass():
            for first in range(0, len(order), batch): torch.from_numpy(np.stack([images[i] for i in order[first:first + batch]]))
        say_rate("h5py, torch.from_numpy(np.stack) of a batch", images, 6, one_pass)


def workers(path, count, batch):
    import h5py
    import torch

    class Images(torch.utils.data.Dataset):
        file = None  # each worker opens its own

        def __len__(self): return length

        def __getitem__(self, i):
            if self.file is None: self.file = h5py.File(path)
            return torch.from_numpy(self.file["images"][i])
    with h5py.File(path) as f: length, whole = len(f["images"]), f["images"][:]
    loader = torch.utils.data.DataLoader(Images(), batch_size=batch, shuffle=True, num_workers=count)

    def one_pass():
        for _ in loader: pass
    say_rate(f"h5py + DataLoader, {count} workers", whole, 4, one_pass)


def folder(path, workers, batch):
    import torch
    from torchvision import datasets, transforms
    todo = transforms.Compose([transforms.Resize((256, 256)), transforms.ToTensor()])
    loader = torch.utils.data.DataLoader(datasets.ImageFolder(path, todo), batch_size=batch, shuffle=True, num_workers=workers)
    times = []
    for _ in range(3):
        start, count = time.time(), 0
        for x, _ in loader: count += len(x)
        times.append(time.time() - start)
    say(what=f"ImageFolder + DataLoader, {workers} workers", images=count, images_per_s=round(count / sorted(times)[1], 1))


if __name__ == "__main__":
    {"pack": lambda a: pack(*a), "read": lambda a: read(a[0], int(a[1]) if len(a) > 1 else 16),
     "batches": lambda a: batches(a[0], int(a[1]) if len(a) > 1 else 16), "workers": lambda a: workers(a[0], int(a[1]), int(a[2]) if len(a) > 2 else 16),
     "folder": lambda a: folder(a[0], int(a[1]), int(a[2]) if len(a) > 2 else 16)}[sys.argv[1]](sys.argv[2:])
