"""The network for planes that learns on a processor: as `segmend.nets.mend`, at a quarter of the image's size.

Most of the time of a U-Net goes to its finest level, where channels are few and cells are many. Here a square of `FOLD`
cells becomes one cell with as many times the channels (space to depth), so the finest level has few cells and many
channels, which processors like: a training step in a third of the time. Details come back at the end: a few channels
are unfolded to full size (depth to space) and meet the prompts there once more.

    image ──fold──▶ FoldedEncoder (a U-Net) ──▶ features at full size (few), 1/4, 1/8, ...        once a window
                                                    │
    mask so far, marks, box, ... ──fold──▶ FoldedDecoder ──unfold──▶ logits, quality, uncertainty  every interaction

What the channels hold is said where they are made (`segmend.mend.learning.slabs`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle, pixel_unshuffle

from segmend.nets.mend import Norm, expected_dice, quality_inputs

FOLD = 4  # the side of the square of cells that becomes one


class FoldedEncoder(nn.Module):
    """An image's features: a few channels at full size, then `features` channels at 1/4, 1/8, ...

    `widths` are the channels of each level, the finest first; the input's sides must be multiples of
    FOLD * 2 ** (len(widths) - 1).

    >>> encoder = FoldedEncoder(inputs=6, widths=(8, 12), features=5, fine=2)
    >>> [tuple(part.shape) for part in encoder(torch.zeros(1, 6, 16, 24))]
    [(1, 2, 16, 24), (1, 5, 4, 6), (1, 5, 2, 3)]
    """

    def __init__(
        self,
        *,
        inputs: int = 6,
        widths: Sequence[int] = (64, 96, 160, 256),
        features: int = 32,
        fine: int = 4,
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        before = inputs * FOLD**2
        for width in widths:
            self.down.append(Residual(before, width))
            before = width
        self.up = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.up.append(Residual(before + width, width))
            before = width
        self.pool = nn.MaxPool2d(2)
        self.out = nn.ModuleList(nn.Conv2d(width, features, 1) for width in widths)
        self.fine = nn.Conv2d(widths[0], fine * FOLD**2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:  # [b c y x] -> [b fine y x], [b f y/s x/s] for s = 4, 8, ...
        x = pixel_unshuffle(x, FOLD)
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else self.pool(x))
            skips.append(x)
        levels = [skips.pop()]
        for block in self.up:
            x = block(torch.cat([interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], dim=1))
            levels.append(x)
        coarse = tuple(out(level) for out, level in zip(self.out, reversed(levels), strict=True))
        return pixel_shuffle(self.fine(x), FOLD), *coarse


class FoldedDecoder(nn.Module):
    """From features and prompts: logits, the expected Dice, logits of errors, and the input of the last layers.

    >>> decoder = FoldedDecoder(prompts=7, widths=(6, 8), features=5, fine=2, hidden=4)
    >>> features = torch.zeros(1, 2, 16, 24), torch.zeros(1, 5, 4, 6), torch.zeros(1, 5, 2, 3)
    >>> [tuple(part.shape) for part in decoder(torch.zeros(1, 7, 16, 24), *features)]
    [(1, 1, 16, 24), (1,), (1, 4, 16, 24), (1, 1, 16, 24)]
    """

    def __init__(
        self,
        *,
        prompts: int = 7,
        widths: Sequence[int] = (48, 64, 96, 128),
        features: int = 32,
        fine: int = 4,
        hidden: int = 16,
        head: int = 16,
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        before = prompts * FOLD**2
        for width in widths:
            self.down.append(Residual(before + features, width))
            before = width
        self.up = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.up.append(Residual(before + width, width))
            before = width
        self.pool = nn.MaxPool2d(2)
        self.unfolded = nn.Conv2d(before, hidden * FOLD**2, 1)
        self.detail = nn.Sequential(nn.Conv2d(hidden + fine + prompts, hidden, 3, padding=1), nn.ReLU(inplace=True))
        self.head = nn.Sequential(nn.Conv2d(hidden, head, 1), nn.ReLU(), nn.Conv2d(head, 1, 1))
        self.error_head = nn.Conv2d(hidden + 2, 1, 1)
        self.quality_head = nn.Sequential(
            nn.Linear(quality_inputs(widths[-1], hidden), 64), nn.ReLU(), nn.Linear(64, 1)
        )

    def forward(self, prompts: Tensor, fine: Tensor, *features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return logits [b 1 y x], the expected Dice [b], hidden features [b w y x], logits of mistakes [b 1 y x]."""
        x = pixel_unshuffle(prompts, FOLD)
        skips = []
        for i, block in enumerate(self.down):
            x = block(torch.cat([x if i == 0 else self.pool(x), features[i]], dim=1))
            skips.append(x)
        deepest = skips.pop()
        for block in self.up:
            x = block(torch.cat([interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], dim=1))
        x = self.detail(torch.cat([pixel_shuffle(self.unfolded(x), FOLD), fine, prompts], dim=1))
        logits = self.head(x)
        sure = logits.detach()
        uncertainty = self.error_head(torch.cat([x, sure, sure.abs()], dim=1))
        return logits, expected_dice(self.quality_head, logits, deepest, x, uncertainty), x, uncertainty


class Residual(nn.Module):
    """Two 3-wide convolutions with norms of their own sample, added to the input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        groups = 8 if outputs % 8 == 0 else 1
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(Norm(groups, outputs) for _ in range(2))
        self.past = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.norms[0](self.first(x)))
        out: Tensor = torch.relu(self.norms[1](self.second(inner)) + self.past(x))
        return out
