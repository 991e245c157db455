"""The U-Net of iunet (Pirabakaran and Khan): four blocks down, a bottleneck, four blocks up.

A block down is two 3 x 3 convolutions with ReLU, then dropout, then max-pooling; a block up is a transposed 3 x 3
convolution that doubles the sides, the skip beside it, and two 3 x 3 convolutions with ReLU. The last is a 1 x 1.
The plain U-Net of the comparison is the same network without the two click channels. The paper names no
normalisation, so there is none unless `norm` asks for it: small networks learn faster with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class IUNet(nn.Module):
    """`widths` are the channels of the blocks down, the finest first, and of the bottleneck.

    The input's sides must be multiples of 2 ** (len(widths) - 1), which is 16 in the paper.

    >>> net = IUNet(inputs=3, widths=(4, 6, 8, 10, 12))
    >>> net(torch.zeros(2, 3, 32, 48)).shape
    torch.Size([2, 1, 32, 48])
    """

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        dropout: float = 0.1,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        before = inputs
        for width in widths:
            self.down.append(_block(before, width, norm, dropout))
            before = width
        self.rise = nn.ModuleList()
        self.up = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.rise.append(nn.ConvTranspose2d(before, width, 3, stride=2, padding=1, output_padding=1))
            self.up.append(_block(2 * width, width, norm))
            before = width
        self.head = nn.Conv2d(before, outputs, 1)
        draw(self)

    def forward(self, x: Tensor) -> Tensor:  # [b c y x] -> [b o y x] logits
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for rise, block in zip(self.rise, self.up, strict=True):
            x = block(torch.cat([rise(x), skips.pop()], dim=1))
        return self.head(x)  # type: ignore[no-any-return]


def draw(network: nn.Module) -> None:
    """Draw the 3 x 3 convolutions' weights as He et al. do for ReLU, so that depth neither damps nor swells."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


def _block(inputs: int, outputs: int, norm: bool, dropout: float = 0.0) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (inputs, outputs):
        layers.append(nn.Conv2d(before, outputs, 3, padding=1, bias=not norm))
        if norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU(inplace=True))
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)
