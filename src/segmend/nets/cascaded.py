"""Cascaded U-Net: the first network finds the region, the second segments inside it.

Christ et al., Automatic liver and lesion segmentation in CT using cascaded fully convolutional neural networks
(MICCAI 2016). There the first network segments the liver, what is not liver is masked out, and the second network
segments what lies inside. Here both steps look for one object: the first at half size, where it is, the second in what
the first has left of the image, exactly which pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from segmend.nets.pyramid import UNetBackbone


class CascadedBackbone(nn.Module):
    """Initial segmentations at 1, 1/2 and 1/4 of the second network, then those of the first, half as large.

    `margin` is how far, in pixels of half size, the region is widened before the rest is masked out: the second
    network can take back what is too much, but not find again what is lost. The input's sides must be multiples of
    2 ** len(widths).

    >>> net = CascadedBackbone(inputs=1, widths=(2, 4, 6))
    >>> [tuple(part.shape) for part in net(torch.zeros(1, 1, 16, 24))]
    [(1, 2, 16, 24), (1, 2, 8, 12), (1, 2, 4, 6), (1, 2, 8, 12), (1, 2, 4, 6), (1, 2, 2, 3)]
    """

    def __init__(self, *, inputs: int, widths: Sequence[int], features: int = 0, margin: int = 3) -> None:
        super().__init__()
        self.find = UNetBackbone(inputs=inputs, widths=widths)
        self.inside = UNetBackbone(inputs=inputs + 1, widths=widths, features=features)
        self.margin = margin

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        found = self.find(avg_pool2d(x, 2))
        foreground = (found[0][:, 1:2] - found[0][:, :1]).sigmoid()
        wide = max_pool2d(foreground, 2 * self.margin + 1, stride=1, padding=self.margin)
        kept = interpolate(wide, scale_factor=2.0, mode="bilinear", align_corners=False)
        return (*self.inside(torch.cat([x * kept, kept], dim=1)), *found)


class CascadedUNet(nn.Module):
    """The cascade as a network of its own: image in, two classes out.

    >>> CascadedUNet(inputs=1, widths=(2, 4, 6))(torch.zeros(1, 1, 16, 24)).shape
    torch.Size([1, 2, 16, 24])
    """

    def __init__(self, *, inputs: int, widths: Sequence[int], margin: int = 3) -> None:
        super().__init__()
        self.backbone = CascadedBackbone(inputs=inputs, widths=widths, margin=margin)

    def forward(self, x: Tensor) -> Tensor:  # [b c y x] -> [b 2 y x] logits
        return self.backbone(x)[0]  # type: ignore[no-any-return]
