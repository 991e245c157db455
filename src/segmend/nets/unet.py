"""A small 2D U-Net: plain double convolutions, norm, ReLU; logits at the input's size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from segmend.nets.norms import IN_PLANES


class UNet(nn.Module):
    """Encoder and decoder with one skip a level.

    `widths` are the channels of each level, the finest first; the input's sides must be
    multiples of 2 ** (len(widths) - 1). `norm` is "batch" or "instance".

    >>> net = UNet(inputs=3, widths=(4, 8, 12))
    >>> net(torch.zeros(2, 3, 16, 24)).shape
    torch.Size([2, 1, 16, 24])
    """

    def __init__(
        self, *, inputs: int, outputs: int = 1, widths: Sequence[int] = (16, 32, 64, 96, 128), norm: str = "batch"
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        before = inputs
        for width in widths:
            self.down.append(_double(before, width, norm))
            before = width
        self.up = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.up.append(_double(before + width, width, norm))
            before = width
        self.head = nn.Conv2d(before, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:  # [b c y x] -> [b o y x] logits
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for block in self.up:
            x = block(torch.cat([interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], dim=1))
        return self.head(x)  # type: ignore[no-any-return]


def _double(inputs: int, outputs: int, norm: str) -> nn.Sequential:
    return nn.Sequential(*_conv(inputs, outputs, norm), *_conv(outputs, outputs, norm))


def _conv(inputs: int, outputs: int, norm: str) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        IN_PLANES[norm](outputs, affine=True),
        nn.ReLU(inplace=True),
    )
