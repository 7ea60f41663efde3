"""EfficientNet-Lite, as its weights want it: padded like TensorFlow's, its layers named like timm's.

A test holds that timm's definition gives the same logits, bit for bit. Importing that one takes longer than all else
until the first picture, since it brings every network that timm has, and torchvision.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

# Lite0's stages: blocks, kernel, stride, channels, and how much wider a block is inside
STAGES = (
    (1, 3, 1, 16, 1),
    (2, 3, 2, 24, 6),
    (2, 5, 2, 40, 6),
    (3, 3, 2, 80, 6),
    (3, 5, 1, 112, 6),
    (4, 5, 2, 192, 6),
    (1, 3, 1, 320, 6),
)


def efficientnet_lite(deeper: int = 0) -> nn.Module:
    """The network of 1000 classes, without its weights; `deeper` adds blocks to all stages but the first and last."""
    with torch.device("meta"):  # no weights are drawn at random, only to be replaced
        stages, inside = [], 32
        for blocks, kernel, stride, channels, wider in STAGES:
            count = blocks + (deeper if blocks > 1 else 0)
            steps = [(inside, stride), *[(channels, 1)] * (count - 1)]
            stages.append(nn.Sequential(*(_Block(width, channels, kernel, by, wider) for width, by in steps)))
            inside = channels
        return _sequence(
            conv_stem=_convolution(3, 32, 3, 2),
            bn1=_Norm(32),
            blocks=nn.Sequential(*stages),
            conv_head=_convolution(inside, 1280),
            bn2=_Norm(1280),
            global_pool=_sequence(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()),
            classifier=nn.Linear(1280, 1000),
        )


def _sequence(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _convolution(inside: int, outside: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride == 1:
        return nn.Conv2d(inside, outside, kernel, padding=kernel // 2, groups=groups, bias=False)
    return _PaddedConvolution(inside, outside, kernel, stride, groups=groups, bias=False)


class _PaddedConvolution(nn.Conv2d):
    def forward(self, images: Tensor) -> Tensor:
        (stride, _), (kernel, _) = self.stride, self.kernel_size
        more = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in images.shape[2:]]
        rows, columns = ((side // 2, side - side // 2) for side in more)  # TensorFlow's odd one is at the far end
        return conv2d(pad(images, (*columns, *rows)), self.weight, self.bias, self.stride, groups=self.groups)


class _Norm(nn.BatchNorm2d):
    def __init__(self, channels: int, act: bool = True):
        super().__init__(channels, eps=1e-3)
        self.act = nn.ReLU6(inplace=True) if act else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.act(super().forward(images))


class _Block(nn.Sequential):
    def __init__(self, inside: int, outside: int, kernel: int, stride: int, wider: int):
        super().__init__()
        wide = wider * inside
        layers = [("conv_dw", _convolution(wide, wide, kernel, stride, groups=wide), _Norm(wide))]
        if wider > 1:
            layers.insert(0, ("conv_pw", _convolution(inside, wide), _Norm(wide)))
        layers.append(("conv_pwl" if wider > 1 else "conv_pw", _convolution(wide, outside), _Norm(outside, act=False)))
        for number, (name, convolution, norm) in enumerate(layers, 1):
            self.add_module(name, convolution)
            self.add_module(f"bn{number}", norm)
        self.adds = stride == 1 and inside == outside

    def forward(self, images: Tensor) -> Tensor:
        changed = super().forward(images)
        return changed + images if self.adds else changed
