"""P-Net: Wang et al., DeepIGeoS (TPAMI 2018) and BIFSeg (TMI 2018); a network in the plane that keeps resolution.

Five blocks of 2, 2, 3, 3 and 3 convolutions with dilations 1, 2, 4, 8 and 16 see 181 x 181 pixels. What all five
found is concatenated and read by block 6, 1 x 1 convolutions that classify each pixel alone. So block 6 can be
fine-tuned to one image from features that are stored (`segmend.solvers.finetune`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CONVOLUTIONS = (2, 2, 3, 3, 3)  # of the five blocks
DILATIONS = (1, 2, 4, 8, 16)


class PNet(nn.Module):
    """Features and logits at the input's size, whatever it is.

    `width` channels a layer, `hidden` of block 6's first layer; `dropout` follows that layer.

    >>> net = PNet(inputs=1, outputs=2, width=4, hidden=6)
    >>> features, logits = net(torch.zeros(3, 1, 9, 13))
    >>> features.shape, logits.shape
    (torch.Size([3, 20, 9, 13]), torch.Size([3, 2, 9, 13]))
    """

    def __init__(
        self,
        *,
        inputs: int = 1,
        outputs: int = 2,
        width: int = 64,
        hidden: int = 128,
        dilations: Sequence[int] = DILATIONS,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        before = inputs
        for count, dilation in zip(CONVOLUTIONS, dilations, strict=True):
            self.blocks.append(_block(before, width, count, dilation))
            before = width
        self.head = nn.Sequential(
            nn.Conv2d(len(self.blocks) * width, hidden, 1),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(hidden, outputs, 1),
        )
        self.apply(started)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # [b c y x] -> [b f y x], [b o y x]
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        features = torch.cat(found, dim=1)
        return features, self.head(features)


def _block(inputs: int, width: int, count: int, dilation: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number in range(count):
        first = inputs if number == 0 else width
        layers += [nn.Conv2d(first, width, 3, padding=dilation, dilation=dilation), nn.ReLU()]
    return nn.Sequential(*layers)


def started(layer: nn.Module) -> None:
    """Draw a convolution's weights so that values keep their size through layers with ReLU."""
    if isinstance(layer, nn.Conv2d | nn.Conv3d):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
