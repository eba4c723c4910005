#!/usr/bin/python3
"""Writes shapes.txt: names and shapes of every parameter of the seven torchvision networks with six outputs, in state_dict
order. Run by hand when a backbone is added: tests/reference/make_shapes.py"""
import os

import networks

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "shapes.txt"), "w") as out:
    out.write("# made by make_shapes.py: 'total BACKBONE parameters', then 'BACKBONE name dims...' in state_dict order\n")
    for backbone in networks.BACKBONES:
        parameters = list(networks.build(backbone).named_parameters())
        out.write(f"total {backbone} {sum(p.numel() for _, p in parameters)}\n")
        for name, p in parameters:
            out.write(f"{backbone} {name} {' '.join(map(str, p.shape))}\n")
