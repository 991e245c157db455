"""RefineNet: Kitrungrotsakul et al., Interactive deep refinement network for medical image segmentation.

A backbone turns the image into initial segmentations at full, half and quarter size, by 1x1 convolutions on the
last three levels of its decoder. A light refiner takes them and the seed points, merges the scales from coarse to
fine, and returns the segmentation again. The backbone runs once an image, the refiner once an interaction.

Every segmentation here has two classes, background and foreground, in the first two of its channels. Channels
after these are `features`: what else of its decoder a backbone hands on to the refiner (0 is the paper).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from segmend.nets.cascaded import CascadedBackbone
from segmend.nets.fcn import FCNBody
from segmend.nets.pyramid import UNetBackbone, deconvolution, double

__all__ = ["CascadedBackbone", "FCNBackbone", "RefineNet", "Refiner", "UNetBackbone"]

CLASSES = 2


class FCNBackbone(nn.Module):
    """FCN-8s whose last step, eight times larger, is taken in three, so that it too has three last levels.

    >>> net = FCNBackbone(inputs=1, widths=(2, 2, 3, 3, 4), hidden=5, decoder=6)
    >>> [tuple(part.shape) for part in net(torch.zeros(1, 1, 32, 64))]
    [(1, 2, 32, 64), (1, 2, 16, 32), (1, 2, 8, 16)]
    """

    def __init__(
        self,
        *,
        inputs: int,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        hidden: int = 4096,
        kernel: int = 7,
        decoder: int = 64,
        features: int = 0,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        self.body = FCNBody(
            inputs=inputs, outputs=decoder, widths=widths, hidden=hidden, kernel=kernel, normalise=normalise
        )
        self.up = nn.ModuleList(deconvolution(decoder, decoder) for _ in range(3))
        self.heads = nn.ModuleList(nn.Conv2d(decoder, CLASSES + features, 1) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        level = self.body(x)
        found = []
        for up, head in zip(self.up, self.heads, strict=True):
            level = up(level).relu()
            found.append(head(level))
        return tuple(found[::-1])


class Refiner(nn.Module):
    """The refinement network: initial segmentations at three scales and seed maps in, two classes out.

    At each scale the initial segmentation and the seed maps, shrunk to its size, are joined to what comes from the
    coarser scale. `widths` are the channels from coarse to fine; the coarsest looks around by growing dilations. The
    initial segmentation is added at the end, so that an untrained refiner changes little.

    >>> net = Refiner(features=1, widths=(4, 4, 4))
    >>> scales = [torch.zeros(1, 3, 16 // n, 24 // n) for n in (1, 2, 4)]
    >>> net(*scales, torch.zeros(1, 2, 16, 24)).shape
    torch.Size([1, 2, 16, 24])
    """

    def __init__(self, *, features: int = 0, seeds: int = 2, widths: Sequence[int] = (64, 32, 16)) -> None:
        super().__init__()
        joined = CLASSES + features + seeds
        coarse, middle, fine = widths
        self.at_quarter = nn.Sequential(double(joined, coarse), *(_around(coarse, dilation) for dilation in (2, 4)))
        self.to_half = deconvolution(coarse, middle)
        self.at_half = double(middle + joined, middle)
        self.to_whole = deconvolution(middle, fine)
        self.at_whole = double(fine + joined, fine)
        self.head = nn.Conv2d(fine, CLASSES, 1)

    def forward(self, whole: Tensor, half: Tensor, quarter: Tensor, seeds: Tensor | None = None) -> Tensor:
        x = self.at_quarter(_with(seeds, quarter, shrink=4))
        x = self.at_half(torch.cat([self.to_half(x), _with(seeds, half, shrink=2)], dim=1))
        x = self.at_whole(torch.cat([self.to_whole(x), _with(seeds, whole)], dim=1))
        return self.head(x) + whole[:, :CLASSES]  # type: ignore[no-any-return]


class RefineNet(nn.Module):
    """Backbone and refiner, connected, to be trained together.

    >>> net = RefineNet(UNetBackbone(inputs=1, widths=(2, 4, 6)), Refiner(widths=(4, 4, 4)))
    >>> net(torch.zeros(1, 1, 8, 12), torch.zeros(1, 2, 8, 12)).shape
    torch.Size([1, 2, 8, 12])
    """

    def __init__(self, backbone: nn.Module, refiner: Refiner) -> None:
        super().__init__()
        self.backbone = backbone
        self.refiner = refiner

    def forward(self, x: Tensor, seeds: Tensor) -> Tensor:  # [b c y x], [b 2 y x] -> [b 2 y x] logits
        whole, half, quarter, *_ = self.backbone(x)
        return self.refiner(whole, half, quarter, seeds)  # type: ignore[no-any-return]


def _with(seeds: Tensor | None, initial: Tensor, *, shrink: int = 1) -> Tensor:
    if seeds is None:
        return initial
    return torch.cat([initial, seeds if shrink == 1 else avg_pool2d(seeds, shrink)], dim=1)


def _around(channels: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )
