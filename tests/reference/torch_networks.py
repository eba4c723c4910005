"""The seven networks in PyTorch alone, for machines without torchvision: its names of parameters, its order, its results (torch_parity.py
compares both where torchvision is installed). Without dropout and stochastic depth, which parity turns off anyway."""
import torch
from torch import nn


def conv(cin, cout, kernel, stride=1, groups=1):
    return nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)


class Vgg16(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        layers, cin = [], 3
        for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):  # 0: halve the picture
            layers += [nn.Conv2d(cin, width, 3, padding=1), nn.ReLU(inplace=True)] if width else [nn.MaxPool2d(2)]
            cin = width or cin
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(512 * 49, 4096), nn.ReLU(True), nn.Identity(), nn.Linear(4096, 4096), nn.ReLU(True),
                                        nn.Identity(), nn.Linear(4096, outputs))

    def forward(self, x):
        return self.classifier(nn.functional.adaptive_avg_pool2d(self.features(x), 7).flatten(1))


class Block(nn.Module):
    """Of ResNet: two 3 x 3 convolutions, or 1 x 1, 3 x 3, 1 x 1 to four times the width."""

    def __init__(self, cin, width, stride, bottleneck):
        super().__init__()
        cout = 4 * width if bottleneck else width
        if bottleneck:
            shapes = [(cin, width, 1, 1), (width, width, 3, stride), (width, cout, 1, 1)]
        else:
            shapes = [(cin, width, 3, stride), (width, width, 3, 1)]
        self.count = len(shapes)
        for i, shape in enumerate(shapes, 1):
            setattr(self, f"conv{i}", conv(*shape))
            setattr(self, f"bn{i}", nn.BatchNorm2d(shape[1]))
        self.downsample = None
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(conv(cin, cout, 1, stride), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.count:
                y = y.relu()
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(nn.Module):
    def __init__(self, depths, bottleneck, outputs):
        super().__init__()
        self.conv1, self.bn1, cin = conv(3, 64, 7, 2), nn.BatchNorm2d(64), 64
        for stage, depth in enumerate(depths):
            blocks = []
            for i in range(depth):
                blocks.append(Block(cin, 64 << stage, 2 if stage and not i else 1, bottleneck))
                cin = (4 if bottleneck else 1) * (64 << stage)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(cin, outputs)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


class DenseLayer(nn.Module):
    def __init__(self, cin):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(cin), conv(cin, 128, 1)
        self.norm2, self.conv2 = nn.BatchNorm2d(128), conv(128, 32, 3)

    def forward(self, x):
        return torch.cat([x, self.conv2(self.norm2(self.conv1(self.norm1(x).relu())).relu())], 1)


class DenseNet(nn.Module):
    def __init__(self, depths, outputs):
        super().__init__()
        f = self.features = nn.Sequential()
        f.add_module("conv0", conv(3, 64, 7, 2))
        f.add_module("norm0", nn.BatchNorm2d(64))
        f.add_module("relu0", nn.ReLU(inplace=True))
        f.add_module("pool0", nn.MaxPool2d(3, 2, 1))
        width = 64
        for i, depth in enumerate(depths, 1):
            block = nn.Sequential()
            for layer in range(depth):
                block.add_module(f"denselayer{layer + 1}", DenseLayer(width + 32 * layer))
            f.add_module(f"denseblock{i}", block)
            width += 32 * depth
            if i < len(depths):
                transition = nn.Sequential()
                transition.add_module("norm", nn.BatchNorm2d(width))
                transition.add_module("relu", nn.ReLU(inplace=True))
                transition.add_module("conv", conv(width, width // 2, 1))
                transition.add_module("pool", nn.AvgPool2d(2))
                f.add_module(f"transition{i}", transition)
                width //= 2
        f.add_module("norm5", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, outputs)

    def forward(self, x):
        return self.classifier(self.features(x).relu().mean((2, 3)))


def unit(cin, cout, kernel, stride=1, groups=1, act=True):
    return nn.Sequential(conv(cin, cout, kernel, stride, groups), nn.BatchNorm2d(cout), *([nn.SiLU()] if act else []))


class Squeeze(nn.Module):
    def __init__(self, channels, squeeze):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeeze, 1), nn.Conv2d(squeeze, channels, 1)

    def forward(self, x):
        return x * self.fc2(nn.functional.silu(self.fc1(x.mean((2, 3), keepdim=True)))).sigmoid()


class MBConv(nn.Module):
    def __init__(self, cin, cout, kernel, stride, expand):
        super().__init__()
        wide = cin * expand
        self.block = nn.Sequential(*([unit(cin, wide, 1)] if expand > 1 else []), unit(wide, wide, kernel, stride, wide),
                                   Squeeze(wide, max(1, cin // 4)), unit(wide, cout, 1, act=False))
        self.add = stride == 1 and cin == cout

    def forward(self, x):
        return self.block(x) + x if self.add else self.block(x)


class EfficientNet(nn.Module):
    def __init__(self, depths, outputs):
        super().__init__()
        stages, cin = [unit(3, 32, 3, 2)], 32
        rows = zip((1, 6, 6, 6, 6, 6, 6), (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1), (16, 24, 40, 80, 112, 192, 320), depths)
        for expand, kernel, stride, cout, depth in rows:
            blocks = []
            for i in range(depth):
                blocks.append(MBConv(cin, cout, kernel, 1 if i else stride, expand))
                cin = cout
            stages.append(nn.Sequential(*blocks))
        self.features = nn.Sequential(*stages, unit(320, 1280, 1))
        self.classifier = nn.Sequential(nn.Identity(), nn.Linear(1280, outputs))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def build(backbone, outputs):
    return {
        "vgg16": lambda: Vgg16(outputs),
        "resnet18": lambda: ResNet((2, 2, 2, 2), False, outputs),
        "resnet50": lambda: ResNet((3, 4, 6, 3), True, outputs),
        "densenet121": lambda: DenseNet((6, 12, 24, 16), outputs),
        "densenet169": lambda: DenseNet((6, 12, 32, 32), outputs),
        "efficientnet_b0": lambda: EfficientNet((1, 2, 2, 3, 3, 4, 1), outputs),
        "efficientnet_b1": lambda: EfficientNet((2, 3, 3, 4, 4, 5, 2), outputs),
    }[backbone]()
