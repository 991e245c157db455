"""3D U-Net: Cicek et al., MICCAI 2016.

An analysis path doubles its channels before each pooling, so that no level is a bottleneck; a synthesis
path has transposed convolutions and takes the skips of the same size. Kept from the paper: widths, order
(convolution, normalisation, ReLU), 2 x 2 x 2 pooling and up-convolution. Other than there, convolutions are
padded, so the output has the input's size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool3d

from segmend.nets.norms import IN_VOLUMES


class UNet3D(nn.Module):
    """Encoder and decoder with one skip a level; logits at the input's size.

    `widths` are the first channels of each level, its second convolution makes twice as many. The input's
    sides must be multiples of 2 ** (len(widths) - 1). `norm` is "batch", as in the paper, or "instance",
    which does not depend on what else is in a batch of one or two volumes.

    >>> net = UNet3D(inputs=2, outputs=3, widths=(2, 4))
    >>> net(torch.zeros(1, 2, 4, 6, 8)).shape
    torch.Size([1, 3, 4, 6, 8])
    """

    def __init__(
        self, *, inputs: int, outputs: int = 1, widths: Sequence[int] = (32, 64, 128, 256), norm: str = "batch"
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        before = inputs
        for width in widths:
            self.down.append(_double(before, width, 2 * width, norm))
            before = 2 * width
        self.rise = nn.ModuleList()
        self.up = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.rise.append(nn.ConvTranspose3d(before, before, 2, stride=2, bias=False))
            self.up.append(_double(before + 2 * width, 2 * width, 2 * width, norm))
            before = 2 * width
        self.head = nn.Conv3d(before, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:  # [b c z y x] -> [b o z y x] logits
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else max_pool3d(x, 2))
            skips.append(x)
        skips.pop()
        for rise, block in zip(self.rise, self.up, strict=True):
            x = block(torch.cat([rise(x), skips.pop()], dim=1))
        return self.head(x)  # type: ignore[no-any-return]


def _double(inputs: int, middle: int, outputs: int, norm: str) -> nn.Sequential:
    return nn.Sequential(*_conv(inputs, middle, norm), *_conv(middle, outputs, norm))


def _conv(inputs: int, outputs: int, norm: str) -> tuple[nn.Module, ...]:
    return (
        nn.Conv3d(inputs, outputs, 3, padding=1),
        IN_VOLUMES[norm](outputs, affine=True),
        nn.ReLU(inplace=True),
    )
