"""The seven torchvision networks with six outputs (without torchvision, those of torch_networks.py), and the formula of models/init.c that fills
them; for the make_*.py here and tests/gpu/parity.py.
The formula is integer arithmetic with one rounding per step, so C and numpy agree bit for bit."""
import math

import numpy as np
import torch

try:
    import torchvision
except ImportError:
    torchvision = None  # then torch_networks.py has the networks
import torch_networks

BACKBONES = ["vgg16", "resnet18", "resnet50", "densenet121", "densenet169", "efficientnet_b0", "efficientnet_b1"]
OUTPUTS = 6
# Streams of the formula: p itself for parameter p, the others as tests/tools/formula_network.h has them.
MEAN_STREAM, VAR_STREAM, PIXEL_STREAM = 10000, 20000, 30000
PATCH = 16  # pixels that share one of a picture's coarse numbers


def build(backbone):
    """Without dropout and stochastic depth; a last layer of six outputs."""
    if not torchvision:
        return torch_networks.build(backbone, OUTPUTS)
    net = getattr(torchvision.models, backbone)(weights=None, num_classes=OUTPUTS)
    for module in net.modules():
        if isinstance(module, (torch.nn.Dropout, torchvision.ops.StochasticDepth)):
            module.p = 0.0
    return net


def formula(stream, count):
    """init_formula of models/init.c for elements 0 .. count-1: float32 in [-1, 1)."""
    with np.errstate(over="ignore"):
        z = np.uint64(stream + 1) * np.uint64(0x9E3779B97F4A7C15)
        z = z + np.arange(count, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.int64) - (1 << 23)).astype(np.float32) / np.float32(1 << 23)


def beta_centre(backbone):
    """See formula_beta in models/init.c."""
    if backbone.startswith("efficientnet"):
        return 0
    return 1 if backbone == "resnet18" else 3


def norms(net):
    return {name: m for name, m in net.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}


@torch.no_grad()
def fill_parameters(net, backbone):
    """init_param_formula of models/init.c: stream p for parameter p; and running statistics that are not 0 and 1."""
    gamma = {name + ".weight": m for name, m in norms(net).items()}
    beta = {name + ".bias" for name in norms(net)}
    for stream, (name, p) in enumerate(net.named_parameters()):
        count = p.numel()
        u = formula(stream, count)
        if p.dim() > 1:
            values = np.float32(math.sqrt(6.0 / p[0].numel())) * u
        elif name in gamma:
            values = np.float32(1) + np.float32(0.5) * u
            mean = np.float32(0.25) * formula(MEAN_STREAM + stream, count)
            var = np.float32(1) + np.float32(0.5) * formula(VAR_STREAM + stream, count)
            gamma[name].running_mean.copy_(torch.from_numpy(mean))
            gamma[name].running_var.copy_(torch.from_numpy(var))
        else:
            values = np.float32(beta_centre(backbone) if name in beta else 0) + np.float32(0.125) * u
        p.copy_(torch.from_numpy(values).reshape(p.shape))


def pictures(batch, size, salt):
    """Pixel noise + patches + a level per picture and channel: pictures must differ after global pooling as well."""
    coarse = (size + PATCH - 1) // PATCH
    stream = PIXEL_STREAM + 3 * salt
    fine = formula(stream, batch * 3 * size * size).reshape(batch, 3, size, size)
    patch = formula(stream + 1, batch * 3 * coarse * coarse).reshape(batch, 3, coarse, coarse)
    patch = patch.repeat(PATCH, 2).repeat(PATCH, 3)[:, :, :size, :size]
    level = formula(stream + 2, batch * 3).reshape(batch, 3, 1, 1)
    return torch.from_numpy((fine + patch) + level)


def labels(batch):
    """(batch, 6) zeros and ones: COVID, five lesions. Every second picture has no lesion."""
    y = torch.zeros(batch, OUTPUTS)
    for i in range(batch):
        y[i, 0] = (i + i // 2) % 2
        for k in range(OUTPUTS - 1):
            y[i, 1 + k] = i % 2 == 1 and (i + k) % 3 == 0
    return y


def loss(logits, y):
    """The paper's: lesion terms only where a lesion is positive, COVID five times, mean over batch x 6."""
    terms = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="none")
    weight = torch.ones_like(terms)
    weight[:, 0] = 5
    weight[:, 1:] *= y[:, 1:].sum(1, keepdim=True) > 0
    return (terms * weight).mean()
