"""HighRes3DNet: Li et al., "On the Compactness, Efficiency, and Representation of 3D CNNs" (IPMI 2017).

Twenty layers at the input's resolution: a convolution, three groups of three residual blocks with dilations 1, 2
and 4, and a classifier behind 80 channels. A block is twice batch norm, ReLU, convolution; where it widens, the
identity is padded with zero channels. (MONAI's network of the name ends in batch norm and ReLU, so its logits are
never negative; this one ends in the convolution, as the paper does.)
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import pad

from segmend.nets.norms import IN_VOLUMES


class HighRes3DNet(nn.Module):
    """The network; logits at the input's size, whatever it is.

    `widths` are the channels of the groups, the first convolution has those of the first; `last` is the layer
    before the classifier, with `dropout` (the paper's variant with samples of the posterior has 0.5). `norm` is
    "batch", as in the paper, or "instance".

    >>> import torch
    >>> net = HighRes3DNet(inputs=1, outputs=3, widths=(2, 4, 4), last=5)
    >>> net(torch.zeros(1, 1, 5, 6, 7)).shape
    torch.Size([1, 3, 5, 6, 7])
    """

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int = 1,
        widths: Sequence[int] = (16, 32, 64),
        blocks: int = 3,
        last: int = 80,
        dropout: float = 0.0,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(inputs, widths[0]), *_active(widths[0], norm)]
        before = widths[0]
        for group, width in enumerate(widths):
            for _ in range(blocks):
                layers.append(Residual(before, width, dilation=2**group, norm=norm))
                before = width
        layers += [nn.Conv3d(before, last, 1, bias=False), *_active(last, norm), nn.Dropout3d(dropout)]
        self.layers = nn.Sequential(*layers, nn.Conv3d(last, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:  # [b c z y x] -> [b o z y x] logits
        return self.layers(x)  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Two dilated convolutions, each behind a norm and ReLU, and the identity."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int, norm: str) -> None:
        super().__init__()
        self.more = outputs - inputs
        self.branch = nn.Sequential(
            *_active(inputs, norm),
            _convolution(inputs, outputs, dilation),
            *_active(outputs, norm),
            _convolution(outputs, outputs, dilation),
        )

    def forward(self, x: Tensor) -> Tensor:
        return pad(x, (0, 0, 0, 0, 0, 0, 0, self.more)) + self.branch(x)  # type: ignore[no-any-return]


def _active(width: int, norm: str) -> tuple[nn.Module, ...]:
    return IN_VOLUMES[norm](width, affine=True), nn.ReLU()


def _convolution(inputs: int, outputs: int, dilation: int = 1) -> nn.Conv3d:
    return nn.Conv3d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
