"""PC-Net: P-Net for volumes, with compressed features; Wang et al., BIFSeg (TMI 2018).

Blocks 1 and 2 have 3 x 3 x 3 kernels, blocks 3 to 5 have 3 x 3 in the plane only; dilations 1 to 5 in the plane and
none across make a field of 85 x 85 x 9 voxels, nine of them across slices, which are the first axis here. What each
block found is compressed by 1 x 1 x 1 convolutions before it is concatenated, so that it can be stored.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segmend.nets.pnet import CONVOLUTIONS, started

DILATIONS = (1, 2, 3, 4, 5)
DEEP = 2  # blocks that look across slices


class PCNet(nn.Module):
    """Features and logits at the input's size, whatever it is.

    `width` channels a layer, `kept` of each block after compression, `hidden` of block 6's first layer. The paper says
    nothing of normalisation; with `norm` each layer is normalised within its crop, which learns far quicker.

    >>> net = PCNet(inputs=1, outputs=2, width=4, kept=3, hidden=6)
    >>> features, logits = net(torch.zeros(1, 1, 5, 9, 13))
    >>> features.shape, logits.shape
    (torch.Size([1, 15, 5, 9, 13]), torch.Size([1, 2, 5, 9, 13]))
    """

    def __init__(
        self,
        *,
        inputs: int = 1,
        outputs: int = 2,
        width: int = 64,
        kept: int = 16,
        hidden: int = 128,
        dilations: Sequence[int] = DILATIONS,
        dropout: float = 0.0,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.blocks, self.compress = nn.ModuleList(), nn.ModuleList()
        before = inputs
        for number, (count, dilation) in enumerate(zip(CONVOLUTIONS, dilations, strict=True)):
            self.blocks.append(_block(before, width, count, dilation, deep=number < DEEP, norm=norm))
            self.compress.append(nn.Sequential(nn.Conv3d(width, kept, 1), nn.ReLU()))
            before = width
        self.head = nn.Sequential(
            nn.Conv3d(len(self.blocks) * kept, hidden, 1),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv3d(hidden, outputs, 1),
        )
        self.apply(started)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # [b c z y x] -> [b f z y x], [b o z y x]
        found = []
        for block, compress in zip(self.blocks, self.compress, strict=True):
            x = block(x)
            found.append(compress(x))
        features = torch.cat(found, dim=1)
        return features, self.head(features)


def _block(inputs: int, width: int, count: int, dilation: int, *, deep: bool, norm: bool) -> nn.Sequential:
    across = 1 if deep else 0
    size, padding = (2 * across + 1, 3, 3), (across, dilation, dilation)
    layers: list[nn.Module] = []
    for number in range(count):
        first = inputs if number == 0 else width
        layers.append(nn.Conv3d(first, width, size, padding=padding, dilation=(1, dilation, dilation)))
        layers += [nn.InstanceNorm3d(width, affine=True), nn.ReLU()] if norm else [nn.ReLU()]
    return nn.Sequential(*layers)
