"""FCN-8s: Long, Shelhamer and Darrell, Fully convolutional networks for semantic segmentation (CVPR 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from segmend.nets.norms import IN_PLANES

BLOCKS = (2, 2, 3, 3, 3)  # convolutions of each of VGG-16's five blocks


class FCN8s(nn.Module):
    """VGG-16 without its classifier, and three scores of different depth added up.

    The scores of the last layer are doubled in size and added to those of the fourth pool, these doubled and added to
    those of the third, these made eight times as large. The sides of the input must be multiples of 32. The paper pads
    the image by 100 pixels and crops the scores; here every convolution keeps the size, so nothing is to be cropped.
    The widths are the paper's. `normalise` adds a norm, "batch" or "instance", without which VGG-16 hardly learns from
    a fresh start.

    >>> net = FCN8s(inputs=1, outputs=2, widths=(2, 2, 3, 3, 4), hidden=5)
    >>> net(torch.zeros(1, 1, 32, 64)).shape
    torch.Size([1, 2, 32, 64])
    """

    def __init__(
        self,
        *,
        inputs: int = 3,
        outputs: int = 21,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        hidden: int = 4096,
        kernel: int = 7,
        normalise: bool = False,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        self.body = FCNBody(
            inputs=inputs,
            outputs=outputs,
            widths=widths,
            hidden=hidden,
            kernel=kernel,
            normalise=normalise,
            norm=norm,
        )
        self.up8 = _enlarging(outputs, 8)

    def forward(self, x: Tensor) -> Tensor:  # [b c y x] -> [b o y x] logits
        return self.up8(self.body(x))  # type: ignore[no-any-return]


class FCNBody(nn.Module):
    """FCN-8s up to its scores at an eighth of the size.

    >>> FCNBody(inputs=1, outputs=2, widths=(2, 2, 3, 3, 4), hidden=5)(torch.zeros(1, 1, 32, 64)).shape
    torch.Size([1, 2, 4, 8])
    """

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int,
        widths: Sequence[int],
        hidden: int,
        kernel: int = 7,
        normalise: bool = False,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        layer = partial(_layer, norm=norm if normalise else "")
        self.blocks = nn.ModuleList()
        before = inputs
        for width, count in zip(widths, BLOCKS, strict=True):
            layers: list[nn.Module] = []
            for _ in range(count):
                layers += layer(before, width, 3)
                before = width
            self.blocks.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
        self.hidden = nn.Sequential(*layer(before, hidden, kernel), *_dropped(), *layer(hidden, hidden, 1), *_dropped())
        self.score = nn.Conv2d(hidden, outputs, 1)
        self.score_pool4 = nn.Conv2d(widths[3], outputs, 1)
        self.score_pool3 = nn.Conv2d(widths[2], outputs, 1)
        self.up_score = _enlarging(outputs, 2)
        self.up_pool4 = _enlarging(outputs, 2)

    def forward(self, x: Tensor) -> Tensor:  # [b c y x] -> [b o y/8 x/8]
        pools = []
        for block in self.blocks:
            x = block(x)
            pools.append(x)
        score = self.up_score(self.score(self.hidden(x))) + self.score_pool4(pools[3])
        return self.up_pool4(score) + self.score_pool3(pools[2])  # type: ignore[no-any-return]


def _layer(inputs: int, outputs: int, kernel: int, norm: str) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    norms: list[nn.Module] = [IN_PLANES[norm](outputs, affine=True)] if norm else []
    return [convolution, *norms, nn.ReLU(inplace=True)]


def _dropped() -> list[nn.Module]:
    return [nn.Dropout2d(0.5)]


def _enlarging(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution that enlarges each channel by linear interpolation until it learns better."""
    layer = nn.ConvTranspose2d(channels, channels, 2 * factor, stride=factor, padding=factor // 2, bias=False)
    at = torch.arange(2 * factor)
    line = 1 - (at - (factor - 0.5)).abs() / factor
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(channels):
            layer.weight[channel, channel] = line[:, None] * line[None]
    return layer
