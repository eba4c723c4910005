#!/usr/bin/python3
"""Weights from torchvision into ladnn and back, against torch: check_weights.py LADNN TEST_TRAIN_WEIGHTS WORK [BACKBONE ...]

For each backbone (all seven by default), with random weights and statistics; limits are eight times what torch's own float32 is off by: torch.save in both formats and safetensors -> ladnn weights import ->
the same file from all; logits in evaluation and training and every gradient's norm as torch's, also with frozen stages; ladnn weights export ->
load_state_dict(strict=True) -> the same bits; and ONNX -> onnxruntime, where that is installed -> the same logits. With timm installed, its
networks are imported, too. Status 77 when there is no torch; what else is missing is said in a line that begins with NOT COMPARED."""
import json
import os
import struct
import subprocess
import sys

try:
    import numpy as np
    import torch
    import torchvision
except ImportError as why:
    print("NOT COMPARED with torch, which is not installed:", why)
    sys.exit(77)
try:
    import onnxruntime
except ImportError:
    onnxruntime = None
    print("NOT COMPARED with onnxruntime, which is not installed")
try:
    import timm
except ImportError:
    timm = None
    print("NOT COMPARED with timm, which is not installed")

BACKBONES = ["vgg16", "resnet18", "resnet50", "densenet121", "densenet169", "efficientnet_b0", "efficientnet_b1"]
# Modules of the stages before the head (models/graph.h), in order.
STAGES = {
    "vgg16": [["features.%d." % i for i in range(a, b)] for a, b in ((0, 5), (5, 10), (10, 17), (17, 24), (24, 31))] + [["classifier.0.", "classifier.3."]],
    "resnet": [["conv1.", "bn1."]] + [["layer%d." % i] for i in range(1, 5)],
    "densenet": [["features.conv0.", "features.norm0."]] + [["features.denseblock%d." % i, "features.transition%d." % i, "features.norm5." if i == 4 else "-"] for i in range(1, 5)],
    "efficientnet": [["features.%d." % i] for i in range(9)],
}
SIZE, BATCH, OUTPUTS = 64, 4, 6


def stages_of(backbone):
    return next(v for k, v in STAGES.items() if backbone.startswith(k))


def write_safetensors(path, d):
    header, data = {}, []
    at = 0
    for key, t in d.items():
        raw = t.contiguous().numpy().tobytes()
        header[key] = {"dtype": "F32" if t.dtype == torch.float32 else "I64", "shape": list(t.shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        data.append(raw)
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def read_safetensors(path):
    with open(path, "rb") as f:
        length, = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(length))
        data = f.read()
    metadata = header.pop("__metadata__")
    kinds = {"F32": np.float32, "I64": np.int64}
    return {k: torch.from_numpy(np.frombuffer(data[slice(*e["data_offsets"])], kinds[e["dtype"]]).reshape(e["shape"]).copy()) for k, e in header.items()}, metadata


def random_network(net, seed, pixels):
    """Norms that differ from 0 and 1, statistics as these pictures have them (else activations, and errors, grow from layer to layer); logits near
    1, as trained ones are; no dropping."""
    generator = torch.Generator().manual_seed(seed)
    for name, m in net.named_modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            gain = 0.2 if name.endswith(("bn2", "bn3")) else 1  # a residual is the smaller part, as in trained networks
            for t, low, high in ((m.weight.data, 0.5 * gain, 1.5 * gain), (m.bias.data, -0.1, 0.1)):
                t.copy_(torch.rand(t.shape, generator=generator) * (high - low) + low)
        if isinstance(m, (torch.nn.Dropout, torchvision.ops.StochasticDepth)):
            m.p = 0.0
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for m in norms:
        m.momentum = 1.0
    with torch.no_grad():
        net.train()(pixels)
        scale = net.eval()(pixels).square().mean().sqrt()
        for p in [m for m in net.modules() if isinstance(m, torch.nn.Linear)][-1].parameters():
            p.div_(scale)
    for m in norms:
        m.momentum = 0.1
        m.num_batches_tracked.zero_()
    return net


def freeze(net, backbone, count):
    """As ladnn's train.freeze: no gradients, statistics as they are."""
    names = tuple(n for stage in stages_of(backbone)[:count] for n in stage)
    net.train()
    for name, m in net.named_modules():
        if isinstance(m, torch.nn.BatchNorm2d) and (name + ".").startswith(names):
            m.eval()
    for name, p in net.named_parameters():
        p.requires_grad = not name.startswith(names) if names else True


def torch_run(net, backbone, frozen, pixels):
    with torch.no_grad():
        evaluation = net.eval()(pixels)
    freeze(net, backbone, frozen)
    net.zero_grad()
    training = net(pixels)
    (0.5 * (training ** 2).sum()).backward()
    norms = torch.stack([torch.zeros((), dtype=pixels.dtype) if p.grad is None else p.grad.norm() for p in net.parameters()])
    return evaluation, training.detach(), norms


def relative(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


def command(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit("%s\n%s%s" % (" ".join(words), done.stdout[-500:], done.stderr))
    return done.stdout


def ladnn_run(tool, work, backbone, frozen, pixels, weights):
    pixels.numpy().tofile(work + "/pixels")
    command(tool, "-", weights, backbone, str(SIZE), str(BATCH), str(frozen), work + "/pixels", work + "/out")
    out = torch.from_numpy(np.fromfile(work + "/out", np.float32))
    n = BATCH * OUTPUTS
    return out[:n].reshape(BATCH, OUTPUTS), out[n:2 * n].reshape(BATCH, OUTPUTS), out[2 * n:]


def expect(what, value, limit):
    print("  %-58s %.2e (limit %.1e)" % (what, value, limit))
    if not value <= limit:
        sys.exit("FAILED: " + what)


def check_import(ladnn, work, backbone, net):
    """All three formats give one file."""
    torch.save(net.state_dict(), work + "/w.pth")
    torch.save(net.state_dict(), work + "/w-old.pth", _use_new_zipfile_serialization=False)
    write_safetensors(work + "/w.safetensors", net.state_dict())
    names = ("w.pth", "w-old.pth", "w.safetensors")
    for name in names:
        report = json.loads(command(ladnn, "weights", "import", work + "/" + name, "--backbone", backbone, "--out", work + "/" + name + ".h5", "--json"))
        assert report["missing"] == 0 and report["unused"] == 0 and report["same"] == len([k for k in net.state_dict() if "num_batches" not in k]), report
    exported = [export(ladnn, work, backbone, work + "/" + name + ".h5")[0] for name in names]
    for d in exported:
        assert list(d) == list(net.state_dict()) and all(torch.equal(d[k], t) for k, t in net.state_dict().items()), "not the same bits"


def export(ladnn, work, backbone, weights, fmt="safetensors"):
    """The weights as a run's."""
    run = work + "/run"
    os.makedirs(run, exist_ok=True)
    with open(run + "/config.cfg", "w") as f:
        f.write('model = { backbone = "%s"; };\naugment = { size = %d; };\n' % (backbone, SIZE))
    if os.path.lexists(run + "/best.h5"):
        os.remove(run + "/best.h5")
    os.symlink(weights, run + "/best.h5")
    out = work + "/exported." + fmt
    command(ladnn, "weights", "export", run, "--out", out, "--format", fmt)
    return read_safetensors(out) if fmt == "safetensors" else (out, None)


def check_onnx(ladnn, work, backbone, pixels, want):
    out, _ = export(ladnn, work, backbone, work + "/w.pth.h5", "onnx")
    if not onnxruntime:
        return
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    notice = session.get_modelmeta().custom_metadata_map["notice"]
    assert "research use only" in notice, notice
    got = torch.from_numpy(session.run(["logits"], {"pixels": pixels.numpy()})[0])
    one = torch.from_numpy(session.run(["logits"], {"pixels": pixels[:1].numpy()})[0])
    expect("ONNX, largest difference of a logit", float((got - want).abs().max()), 1e-4)
    expect("ONNX, one picture alone", float((one - want[:1]).abs().max()), 1e-4)


def check_strict(ladnn, work, backbone, net):
    d, metadata = export(ladnn, work, backbone, work + "/w.pth.h5")
    again = getattr(torchvision.models, backbone)(weights=None, num_classes=OUTPUTS)
    again.load_state_dict(d, strict=True)
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), net.state_dict().values()))
    assert "research use only" in metadata["notice"] and "COVID-19, GGO" in metadata["outputs"], metadata


def check_timm(ladnn, tool, work, backbone, pixels):
    net = timm.create_model(backbone, pretrained=False, num_classes=OUTPUTS)
    if backbone != "vgg16":
        random_network(net, 7, pixels).eval()
    torch.save(net.state_dict(), work + "/timm.pth")
    report = json.loads(command(ladnn, "weights", "import", work + "/timm.pth", "--backbone", backbone, "--out", work + "/timm.h5", "--json"))
    if backbone == "vgg16" and SIZE < 224:  # timm's convolutional hidden layers want 7 x 7
        print("  timm: %d renamed, %d same" % (report["renamed"], report["same"]))
        return
    with torch.no_grad():
        own, want = net(pixels), net.double()(pixels.double())
    got = ladnn_run(tool, work, backbone, 0, pixels, work + "/timm.h5")[0]
    expect("timm: %d renamed, %d same; logits" % (report["renamed"], report["same"]), relative(got, want), 8 * max(1e-6, relative(own, want)))


def check_thousand(ladnn, work, backbone):
    """A head of another task is left out, and the file says so."""
    net = getattr(torchvision.models, backbone)(weights=None)
    torch.save(net.state_dict(), work + "/w1000.pth")
    said = command(ladnn, "weights", "import", work + "/w1000.pth", "--backbone", backbone, "--out", work + "/w1000.h5")
    assert "head: 1000 outputs in the file, 6 wanted: left at its initial values" in said, said[-300:]


def check(ladnn, tool, work, backbone):
    print(backbone, flush=True)
    torch.manual_seed(3)
    pixels = torch.randn(BATCH, 3, SIZE, SIZE)
    net = random_network(getattr(torchvision.models, backbone)(weights=None, num_classes=OUTPUTS), 5, pixels)
    check_import(ladnn, work, backbone, net)
    check_strict(ladnn, work, backbone, net)
    exact = getattr(torchvision.models, backbone)(weights=None, num_classes=OUTPUTS)
    random_network(exact, 5, pixels).double().load_state_dict(net.state_dict())
    state = {k: t.clone() for k, t in exact.state_dict().items()}
    for frozen in sorted({0, 1, 3, len(stages_of(backbone))}):
        exact.load_state_dict(state)
        want = torch_run(exact, backbone, frozen, pixels.double())
        own = torch_run(net, backbone, frozen, pixels)  # torch's own float32: how far rounding alone goes
        net.load_state_dict(state)
        got = ladnn_run(tool, work, backbone, frozen, pixels, work + "/w.pth.h5")
        for k, (what, limit) in enumerate((("logits in evaluation", 1e-6), ("logits in training", 1e-6), ("norms of gradients", 1e-5))):
            if k or not frozen:
                expect("%d frozen: %s" % (frozen, what), relative(got[k], want[k]), 8 * max(limit, relative(own[k], want[k])))
        assert bool(((got[2] == 0) == (want[2] == 0)).all()), "other parameters are frozen"
        if not frozen:
            check_onnx(ladnn, work, backbone, pixels, got[0])
    if timm:
        check_timm(ladnn, tool, work, backbone, pixels)
    check_thousand(ladnn, work, backbone)


def main():
    ladnn, tool, work = (os.path.abspath(a) for a in sys.argv[1:4])
    os.makedirs(work, exist_ok=True)
    for backbone in sys.argv[4:] or BACKBONES:
        check(ladnn, tool, work, backbone)
    print("all compared: %s" % " ".join(sys.argv[4:] or BACKBONES))


if __name__ == "__main__":
    main()
