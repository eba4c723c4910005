#!/usr/bin/python3
"""Writes explain_*.txt: maps of pytorch-grad-cam (pip install grad-cam; written with 1.5.7) for networks that are filled by the formula C
repeats (networks.py), in float64. tests/unit/test_models_explain.c compares.

    make_explain.py [NAME ...]      writes the files (all cases)

Lines: `case backbone size batch salt`, then for each method, logit and image
  `map METHOD logit image values...`           relu(sum of weights * activations), before any scaling
  `heat METHOD logit image index value...`     samples of what the library gives in the end: scaled to 0..1 and resized to the picture

In torchvision's DenseNet the ReLU behind features.norm5 is a function that works in place: a hook on norm5 sees the map after it, or before it,
as the version of torch likes. Here it is a module, which is named as the layer to look at; how far features[-1] is from that is printed."""
import os
import sys

import pytorch_grad_cam
import torch
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

import networks

CASES = {  # backbone, size, batch, salt
    "resnet18": ("resnet18", 96, 2, 2),
    "vgg16": ("vgg16", 64, 2, 14),
    "densenet121": ("densenet121", 96, 2, 0),
    "efficientnet_b0": ("efficientnet_b0", 96, 2, 0),
}
METHODS = {"gradcam": pytorch_grad_cam.GradCAM, "gradcam++": pytorch_grad_cam.GradCAMPlusPlus}
LOGITS = [0, 3]
SAMPLES = 6


class DenseNet(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.features, self.relu, self.classifier = net.features, torch.nn.ReLU(), net.classifier

    def forward(self, x):
        return self.classifier(self.relu(self.features(x)).mean((2, 3)))


def layer(net, backbone):
    if backbone == "vgg16":
        return net.features[29]
    if backbone.startswith("densenet"):
        return net.relu
    return net.layer4[-1] if backbone.startswith("resnet") else net.features[-1]


def maps(cam_class, net, target, x, logit):
    """Raw maps and the library's final ones."""
    seen = {}

    class Kept(cam_class):
        def get_cam_image(self, *arguments, **named):
            seen["raw"] = super().get_cam_image(*arguments, **named)
            return seen["raw"]

    with Kept(model=net, target_layers=[target]) as cam:
        heat = cam(input_tensor=x, targets=[ClassifierOutputTarget(logit)] * len(x))
    return seen["raw"].clip(min=0), heat


def number(x):
    return f"{float(x):.9g}"


def write(name):
    backbone, size, batch, salt = CASES[name]
    net = networks.build(backbone)
    networks.fill_parameters(net, backbone)
    net = net.double().eval()
    for m in net.modules():
        if hasattr(m, "inplace"):
            m.inplace = False
    other = net.features[-1] if backbone.startswith("densenet") else None
    whole, net = net, DenseNet(net) if other is not None else net
    x = networks.pictures(batch, size, salt).double()
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), f"explain_{name}.txt"), "w") as out:
        out.write(f"# made by make_explain.py, torch {torch.__version__}, torchvision {networks.torchvision.__version__}, grad-cam 1.5.7\n")
        out.write(f"case {backbone} {size} {batch} {salt}\n")
        for method, cam_class in METHODS.items():
            for logit in LOGITS:
                raw, heat = maps(cam_class, net, layer(net, backbone), x, logit)
                if other is not None:
                    far = abs(maps(cam_class, whole, other, x, logit)[0] - raw).max() / raw.max()
                    print(f"{name} {method} logit {logit}: features[-1] is off by {far:.2g} of the greatest value")
                for i in range(batch):
                    out.write(" ".join(["map", method, str(logit), str(i)] + [number(v) for v in raw[i].reshape(-1)]) + "\n")
                    words, flat = ["heat", method, str(logit), str(i)], heat[i].reshape(-1)
                    for k in range(SAMPLES):
                        index = (k * 2654435761 + 12345) % flat.size
                        words += [str(index), number(flat[index])]
                    out.write(" ".join(words) + "\n")


for wanted in sys.argv[1:] or CASES:
    write(wanted)
