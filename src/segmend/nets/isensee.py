"""Isensee et al., "Brain Tumor Segmentation and Radiomics Survival Prediction" (BrainLes 2017).

A context path goes down by convolutions of stride 2; each of its levels is a pre-activation residual block of
two convolutions with dropout between them. A localisation path goes up: nearest upscaling and a convolution
that halves the channels, the skip beside it, then a 3 x 3 x 3 and a 1 x 1 x 1 convolution that take both together
down to half. Segmentations of the last three levels are added, coarse to fine (deep supervision). Instance
normalisation and leaky ReLU throughout.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

SLOPE = 1e-2  # of the leaky ReLU below zero


class Isensee(nn.Module):
    """The network; logits at the input's size.

    `width` are the channels of the finest of `levels` levels, doubled at each one below. The input's sides must
    be multiples of 2 ** (levels - 1). `supervised` levels, the finest included, have a segmentation of their own.

    >>> net = Isensee(inputs=2, width=4, levels=3)
    >>> net(torch.zeros(1, 2, 8, 4, 12)).shape
    torch.Size([1, 1, 8, 4, 12])
    """

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int = 1,
        width: int = 16,
        levels: int = 5,
        dropout: float = 0.3,
        supervised: int = 3,
    ) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels)]
        self.enter = nn.ModuleList()
        self.context = nn.ModuleList()
        before = inputs
        for level, wide in enumerate(widths):
            self.enter.append(nn.Conv3d(before, wide, 3, stride=1 if level == 0 else 2, padding=1))
            self.context.append(Context(wide, dropout))
            before = wide
        self.rise = nn.ModuleList()
        self.locate = nn.ModuleList()
        self.segment = nn.ModuleDict()
        for level in range(levels - 2, -1, -1):
            wide = widths[level]
            self.rise.append(_convolved(2 * wide, wide, 3))
            after = 2 * wide if level == 0 else wide  # the finest level keeps both halves
            kernels = (3,) if level == 0 else (3, 1)
            self.locate.append(_localised(2 * wide, after, kernels))
            if level < supervised:
                self.segment[str(level)] = nn.Conv3d(after, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:  # [b c z y x] -> [b o z y x] logits
        skips = []
        for enter, context in zip(self.enter, self.context, strict=True):
            x = context(enter(x))
            skips.append(x)
        skips.pop()
        logits: Tensor | None = None
        for rise, locate in zip(self.rise, self.locate, strict=True):
            level = str(len(skips) - 1)
            x = locate(torch.cat([rise(_doubled(x)), skips.pop()], dim=1))
            if level in self.segment:
                here: Tensor = self.segment[level](x)
                logits = here if logits is None else _doubled(logits) + here
        assert logits is not None
        return logits


class Context(nn.Module):
    """A pre-activation residual block; its input is normalised by the first layer of its branch."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *_active(width),
            nn.Conv3d(width, width, 3, padding=1),
            nn.Dropout3d(dropout),
            *_active(width),
            nn.Conv3d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)  # type: ignore[no-any-return]


def _active(width: int) -> tuple[nn.Module, ...]:
    return nn.InstanceNorm3d(width, affine=True), nn.LeakyReLU(SLOPE)


def _convolved(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(inputs, outputs, kernel, padding=kernel // 2), *_active(outputs))


def _localised(inputs: int, outputs: int, kernels: tuple[int, ...]) -> nn.Sequential:
    """Return the convolutions over skip and rise together; only the last of them changes the width."""
    widths = [inputs] * len(kernels) + [outputs]
    return nn.Sequential(
        *(_convolved(a, b, kernel) for a, b, kernel in zip(widths[:-1], widths[1:], kernels, strict=True))
    )


def _doubled(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2.0, mode="nearest")
