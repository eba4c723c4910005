#!/usr/bin/python3
"""Writes net_*.txt: what torchvision computes in float64 for each backbone, filled by a formula that C repeats, and how far
torch's own float32 and a simulated bfloat16 are from that. tests/unit/test_models_parity.c compares; its limits are
multiples of these two errors.

    make_networks.py [NAME ...]     writes the files (all cases)
    make_networks.py --search NAME  counts, salt by salt, the ReLU inputs so near to 0 that rounding may flip them

One flipped ReLU (an element on the other side of 0 in another program's rounding) moves gradients by up to a percent, which
would hide real errors. So the betas are centred off 0 and each case has a salt (other pictures) without such elements.

Lines: `case backbone size batch salt gradients`, then
  `typical err32 err16`                                   median relative error of the parameters' gradients
  `loss value err32 err16`
  `eval|train|dlogits count norm err32 peak32 err16 peak16 values...`      all values
  `grad|mean|var NAME count norm err32 peak32 err16 peak16 index value...` samples
norm: L2 norm. err: L2 norm of (less exact - float64). peak: largest element of it."""
import os
import statistics
import sys

import torch

import networks

# name: backbone, size, batch, salt, gradients?
CASES = {
    "vgg16": ("vgg16", 64, 2, 14, True),
    "resnet18": ("resnet18", 64, 4, 2, True),
    "resnet50": ("resnet50", 64, 4, 1, True),
    "densenet121": ("densenet121", 64, 4, 0, True),
    "densenet169": ("densenet169", 64, 4, 0, True),
    "efficientnet_b0": ("efficientnet_b0", 64, 4, 0, True),
    "efficientnet_b1": ("efficientnet_b1", 64, 4, 0, True),
    "resnet18_224": ("resnet18", 224, 2, 0, False),
}
SAMPLES = 4


class RoundBf16(torch.autograd.Function):
    """Rounds values going forward and gradients going backward."""

    @staticmethod
    def forward(ctx, x):
        return x.bfloat16().to(x.dtype)

    @staticmethod
    def backward(ctx, g):
        return g.bfloat16().to(g.dtype)


@torch.no_grad()
def simulate_bf16(net):
    """Rounds weights of convolutions and linear layers, and what every layer but the last writes."""
    leaves = [m for m in net.modules() if not list(m.children())]
    for m in leaves:
        if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear)):
            m.weight.copy_(m.weight.bfloat16())
        if hasattr(m, "inplace"):
            m.inplace = False
        if m is not leaves[-1]:
            m.register_forward_hook(lambda module, x, y: RoundBf16.apply(y))
    return lambda x: net(x.bfloat16().to(x.dtype))


def compute(case, dtype, bf16=False):
    """Results of one case by name, as float64 tensors."""
    backbone, size, batch, salt, gradients = case
    net = networks.build(backbone)
    networks.fill_parameters(net, backbone)
    net = net.to(dtype)
    run = simulate_bf16(net) if bf16 else net
    x, y = networks.pictures(batch, size, salt).to(dtype), networks.labels(batch).to(dtype)
    net.eval()
    with torch.no_grad():
        results = {"eval": run(x)}
    net.train()
    logits = run(x)
    loss = networks.loss(logits, y)
    results.update(train=logits, loss=loss, dlogits=torch.autograd.grad(loss, logits, retain_graph=True)[0])
    if gradients:
        loss.backward()
        results.update({f"grad {name}": p.grad for name, p in net.named_parameters()})
        for name, m in networks.norms(net).items():
            results.update({f"mean {name}": m.running_mean, f"var {name}": m.running_var})
    return {key: value.detach().double() for key, value in results.items()}


def number(x):
    return f"{float(x):.9g}"


def line(key, exact, others):
    """One line of the file; see the head."""
    words = [key, str(exact.numel()), number(exact.norm())]
    for other in others:
        words += [f"{float((other - exact).norm()):.3g}", f"{float((other - exact).abs().max()):.3g}"]
    values = exact.reshape(-1)
    if key in ("eval", "train", "dlogits"):
        return words + [number(v) for v in values]
    for k in range(SAMPLES):
        index = (k * 2654435761 + 12345) % exact.numel()
        words += [str(index), number(values[index])]
    return words


def loss_error(exact, other):
    """The measured one can be small by luck: not below that of logits with the same error in a random direction."""
    likely = exact["dlogits"].norm() * (other["train"] - exact["train"]).norm() / exact["train"].numel() ** 0.5
    return max(float((other["loss"] - exact["loss"]).abs()), float(likely))


def gradient_errors(exact, other):
    """Relative errors. A gradient that is zero but for rounding (a beta before a convolution and a norm) has none."""
    gradients = {key: v for key, v in exact.items() if key.startswith("grad")}
    largest = max(v.norm() for v in gradients.values())
    return [float((other[key] - v).norm() / v.norm()) for key, v in gradients.items() if v.norm() > 1e-9 * largest]


def write(name):
    case = CASES[name]
    exact, single, half = compute(case, torch.float64), compute(case, torch.float32), compute(case, torch.float32, bf16=True)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), f"net_{name}.txt"), "w") as out:
        out.write(f"# made by make_networks.py, torch {torch.__version__}, torchvision {networks.torchvision.__version__}\n")
        out.write("case {} {} {} {} {}\n".format(*case[:4], int(case[4])))
        if case[4]:
            shares = [gradient_errors(exact, other) for other in (single, half)]
            out.write("typical " + " ".join(f"{statistics.median(s):.3g}" for s in shares) + "\n")
            print(name, "gradient errors, float32 and bfloat16, median and largest:",
                  *[f"{statistics.median(s):.2g} {max(s):.2g}" for s in shares], flush=True)
        out.write(" ".join(["loss", number(exact["loss"])] + [f"{loss_error(exact, other):.3g}" for other in (single, half)]) + "\n")
        for key, value in exact.items():
            if key != "loss":
                out.write(" ".join(line(key, value, (single[key], half[key]))) + "\n")


def relu_inputs(case, dtype):
    """What every ReLU reads in a training forward, in order."""
    backbone, size, batch, salt, _ = case
    net = networks.build(backbone)
    networks.fill_parameters(net, backbone)
    seen = []
    for m in net.modules():
        if isinstance(m, torch.nn.ReLU):
            m.register_forward_pre_hook(lambda module, x: seen.append(x[0].detach().double().clone()))
    if backbone.startswith("densenet"):  # its last ReLU is a function
        net.features.register_forward_hook(lambda module, x, y: seen.append(y.detach().double().clone()))
    with torch.no_grad():
        net.to(dtype).train()(networks.pictures(batch, size, salt).to(dtype))
    return seen


def search(name, salts=24):
    for salt in range(salts):
        case = CASES[name][:3] + (salt, False)
        both = zip(relu_inputs(case, torch.float64), relu_inputs(case, torch.float32))
        pairs = [(a, (a - b).pow(2).mean().sqrt()) for a, b in both]
        near = [sum(int((a.abs() < times * error).sum()) for a, error in pairs) for times in (2, 4, 8, 16)]
        off = sum(int((a < 0).sum()) for a, _ in pairs) / sum(a.numel() for a, _ in pairs)
        print(f"{name} salt {salt}: {near} inputs within 2, 4, 8, 16 x float32's rms error of 0; {100 * off:.1f} % negative",
              flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--search"]:
        search(sys.argv[2])
    else:
        for wanted in sys.argv[1:] or CASES:
            write(wanted)
