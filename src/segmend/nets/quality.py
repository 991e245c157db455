"""The refinement U-Net of quality (Rebelo, Fernandes and Cardoso) and the plain one that makes the first mask.

Four levels of two 3 x 3 convolutions with ReLU, 32 filters at the first and twice as many at each next. The refiner
sees the image and a mask, and returns a better mask's logits and, from the bottleneck, the quality of the mask it was
*given*: global average pooling, two dense layers. The paper names no normalisation; `norm` adds it for small networks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segmend.nets.iunet import draw


class Base(nn.Module):
    """Image to mask; the input's sides must be multiples of 2 ** (len(widths) - 1).

    >>> Base(widths=(4, 6, 8, 10))(torch.zeros(2, 3, 16, 24)).shape
    torch.Size([2, 1, 16, 24])
    """

    def __init__(self, *, inputs: int = 3, widths: Sequence[int] = (32, 64, 128, 256), norm: bool = False) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        before = inputs
        for width in widths:
            self.down.append(_block(before, width, norm))
            before = width
        self.rise = nn.ModuleList()
        self.up = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.rise.append(nn.ConvTranspose2d(before, width, 2, stride=2))
            self.up.append(_block(2 * width, width, norm))
            before = width
        self.head = nn.Conv2d(before, 1, 1)
        draw(self)

    def encoded(self, x: Tensor) -> list[Tensor]:
        """Return the features of every level, the bottleneck last."""
        features = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else nn.functional.max_pool2d(x, 2))
            features.append(x)
        return features

    def decoded(self, features: list[Tensor]) -> Tensor:  # [b 1 y x] logits
        *skips, x = features
        for rise, block in zip(self.rise, self.up, strict=True):
            x = block(torch.cat([rise(x), skips.pop()], dim=1))
        return self.head(x)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:  # [b c y x] -> [b 1 y x] logits
        return self.decoded(self.encoded(x))


class Refiner(Base):
    """Image and mask to a better mask and the Dice of the given one.

    `inputs` counts the image's channels and the mask.

    >>> mask_logits, quality = Refiner(widths=(4, 6, 8, 10), dense=5)(torch.zeros(2, 4, 16, 24))
    >>> mask_logits.shape, quality.shape
    (torch.Size([2, 1, 16, 24]), torch.Size([2, 1]))
    """

    def __init__(
        self,
        *,
        inputs: int = 4,
        widths: Sequence[int] = (32, 64, 128, 256),
        dense: int = 64,
        norm: bool = False,
    ) -> None:
        super().__init__(inputs=inputs, widths=widths, norm=norm)
        self.quality_head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(widths[-1], dense),
            nn.ReLU(inplace=True),
            nn.Linear(dense, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        features = self.encoded(x)
        return self.decoded(features), self.quality_head(features[-1])


def _block(inputs: int, outputs: int, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (inputs, outputs):
        layers.append(nn.Conv2d(before, outputs, 3, padding=1, bias=not norm))
        if norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
