"""The seven torchvision networks with six outputs, and the formula of models/init.c that fills them; for the make_*.py here.
The formula is integer arithmetic with one rounding, so C and numpy agree bit for bit."""
import math

import numpy as np
import torch
import torchvision

BACKBONES = ["vgg16", "resnet18", "resnet50", "densenet121", "densenet169", "efficientnet_b0", "efficientnet_b1"]
OUTPUTS = 6


def build(backbone):
    """Without dropout and stochastic depth; a last layer of six outputs."""
    net = getattr(torchvision.models, backbone)(weights=None, num_classes=OUTPUTS)
    for module in net.modules():
        if isinstance(module, (torch.nn.Dropout, torchvision.ops.StochasticDepth)):
            module.p = 0.0
    return net


def formula(stream, count):
    """init_formula of models/init.c for elements 0 .. count-1: float32 in [-1, 1)."""
    with np.errstate(over="ignore"):
        z = np.uint64(stream + 1) * np.uint64(0x9E3779B97F4A7C15) + np.arange(count, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.int64) - (1 << 23)).astype(np.float32) / np.float32(1 << 23)


def fill_parameters(net):
    """init_param_formula of models/init.c: stream p for parameter p."""
    norms = {name for name, m in net.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    for stream, (name, p) in enumerate(net.named_parameters()):
        u = formula(stream, p.numel())
        if p.dim() > 1:
            fan_in = p[0].numel()
            u = np.float32(math.sqrt(6.0 / fan_in)) * u
        elif name.endswith(".weight") and name[: -len(".weight")] in norms:
            u = np.float32(1) + np.float32(0.5) * u
        else:
            u = np.float32(0.125) * u
        with torch.no_grad():
            p.copy_(torch.from_numpy(u).reshape(p.shape))
