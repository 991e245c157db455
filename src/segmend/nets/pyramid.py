"""A U-Net that hands out what it thinks at several sizes: the backbone of RefineNet.

As in U-Net (Ronneberger et al., MICCAI 2015), two convolutions a level, max pooling down and transposed convolutions
up; with padding, so that sizes stay, and batch norm.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

PAPER = (64, 128, 256, 512, 1024)  # U-Net's own widths


class UNetBackbone(nn.Module):
    """A U-Net with 1x1 convolutions on its last three levels: initial segmentations at 1, 1/2 and 1/4.

    `widths` are the channels of each level, the finest first, three levels at least; the input's sides must be
    multiples of 2 ** (len(widths) - 1). Each segmentation has two classes and `features` more channels.

    >>> net = UNetBackbone(inputs=3, widths=(2, 4, 6), features=1)
    >>> [tuple(part.shape) for part in net(torch.zeros(1, 3, 16, 24))]
    [(1, 3, 16, 24), (1, 3, 8, 12), (1, 3, 4, 6)]
    """

    def __init__(self, *, inputs: int, widths: Sequence[int] = PAPER, features: int = 0) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        before = inputs
        for width in widths:
            self.down.append(double(before, width))
            before = width
        self.up = nn.ModuleList(
            deconvolution(below, width) for below, width in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.merge = nn.ModuleList(double(2 * width, width) for width in widths[-2::-1])
        self.heads = nn.ModuleList(nn.Conv2d(width, 2 + features, 1) for width in widths[:3])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:  # [b c y x] -> three of [b 2+f y/s x/s] logits
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else max_pool2d(x, 2))
            skips.append(x)
        levels = [skips.pop()]
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), skips.pop()], dim=1))
            levels.append(x)
        return tuple(head(level) for head, level in zip(self.heads, levels[:-4:-1], strict=True))


def double(inputs: int, outputs: int) -> nn.Sequential:
    """Return two 3x3 convolutions, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for before in (inputs, outputs):
        layers += [
            nn.Conv2d(before, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def deconvolution(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution that doubles the size."""
    return nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
