"""Segmend's own network, in the plane and in space: a heavy image encoder, a light prompt decoder.

    image ──▶ ImageEncoder (a U-Net) ──▶ features at full size, 1/2, 1/4, ...          once a window
                                              │
    mask so far, marks, boxes ──▶ PromptDecoder (a small U-Net) ──▶ logits, quality, uncertainty    every interaction

The features of a task, one kind of image with known labels, also go to a third network, which needs no prompt:

    features ──▶ SemanticHead ──▶ logits of the background and of every label          once a window

The decoder takes the encoder's features of each size at its own level of that size. Its last layers are 1 x 1
convolutions on `hidden` features, which are stored, so that they can be taught one image (`segmend.solvers.finetune`).
Uncertainty is the probability of each voxel to be wrong in the mask that the logits make. It has a head of its own,
which learns from errors alone: logits that were trained for overlap are too confident.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
POOLS = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
GROUPS = 4  # groups of channels in each group norm


class ImageEncoder(nn.Module):
    """An image's features at every size but the coarsest, computed without any prompt.

    `widths` are the channels of each level, the finest first; the input's sides must be multiples of
    2 ** (len(widths) - 1). Every size gives out `features` channels.

    >>> encoder = ImageEncoder(dimensions=2, inputs=4, widths=(4, 6, 8), features=5)
    >>> [tuple(part.shape) for part in encoder(torch.zeros(1, 4, 16, 24))]
    [(1, 5, 16, 24), (1, 5, 8, 12), (1, 5, 4, 6)]
    """

    def __init__(
        self,
        *,
        dimensions: int,
        inputs: int = 4,
        widths: Sequence[int] = (16, 32, 64, 128, 192, 256),
        features: int = 16,
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        before = inputs
        for width in widths:
            self.down.append(double(dimensions, before, width))
            before = width
        self.up = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.up.append(double(dimensions, before + width, width))
            before = width
        self.pool = POOLS[dimensions](2)
        self.out = nn.ModuleList(CONVOLUTIONS[dimensions](width, features, 1) for width in widths)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:  # [b c y x] -> [b f y/s x/s] for s = 1, 2, 4, ...
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else self.pool(x))
            skips.append(x)
        levels = [skips.pop()]
        for block in self.up:
            x = block(torch.cat([interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], dim=1))
            levels.append(x)
        return tuple(out(level) for out, level in zip(self.out, reversed(levels), strict=True))


class PromptDecoder(nn.Module):
    """From features and prompts: logits, the expected Dice, logits of errors, and the input of the last layers.

    `widths` are the channels of each level, as many as there are sizes of features at most. `prompts` channels say
    what is known of the object: the mask so far, positive marks, negative marks, boxes.

    >>> decoder = PromptDecoder(dimensions=2, prompts=4, widths=(4, 6), features=5)
    >>> features = torch.zeros(1, 5, 16, 24), torch.zeros(1, 5, 8, 12)
    >>> [tuple(part.shape) for part in decoder(torch.zeros(1, 4, 16, 24), *features)]
    [(1, 1, 16, 24), (1,), (1, 4, 16, 24), (1, 1, 16, 24)]
    """

    def __init__(
        self,
        *,
        dimensions: int,
        prompts: int = 4,
        widths: Sequence[int] = (16, 24, 32, 48, 64, 64),
        features: int = 16,
        head: int = 32,
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        before = prompts
        for width in widths:
            self.down.append(double(dimensions, before + features, width))
            before = width
        self.up = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.up.append(double(dimensions, before + width, width))
            before = width
        self.pool = POOLS[dimensions](2)
        convolution = CONVOLUTIONS[dimensions]
        self.head = nn.Sequential(convolution(before, head, 1), nn.ReLU(), convolution(head, 1, 1))
        self.error_head = convolution(before + 2, 1, 1)
        self.quality_head = nn.Sequential(nn.Linear(widths[-1] + 2 * before + 4, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, prompts: Tensor, *features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return logits [b 1 y x], the expected Dice [b], hidden features [b w y x], logits of mistakes [b 1 y x]."""
        x = prompts
        skips = []
        for i, block in enumerate(self.down):
            x = block(torch.cat([x if i == 0 else self.pool(x), features[i]], dim=1))
            skips.append(x)
        deepest = skips.pop()
        for block in self.up:
            x = block(torch.cat([interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], dim=1))
        logits = self.head(x)
        sure = logits.detach()
        uncertainty = self.error_head(torch.cat([x, sure, sure.abs()], dim=1))
        return logits, self._expected_dice(logits, deepest, x, uncertainty), x, uncertainty

    def _expected_dice(self, logits: Tensor, deepest: Tensor, hidden: Tensor, uncertainty: Tensor) -> Tensor:
        """Return the expected Dice: from features over all, in the mask and along its edge, and from uncertainty."""
        chance = torch.sigmoid(logits.detach().float())
        inside, edge = chance.flatten(1), (4 * chance * (1 - chance)).flatten(1)
        sure = (chance > 0.5).float().flatten(1)
        seen = hidden.detach().float().flatten(2)
        wrong = torch.sigmoid(uncertainty.detach().float()).flatten(1)
        surplus, missed = (wrong * sure).sum(1), (wrong * (1 - sure)).sum(1)
        right = 2 * (sure.sum(1) - surplus) / (2 * sure.sum(1) - surplus + missed + 1)
        expected = 2 * (inside * sure).sum(1) / (inside.sum(1) + sure.sum(1) + 1)
        facts = torch.cat(
            [
                deepest.detach().float().flatten(2).mean(2),
                _averaged(seen, inside),
                _averaged(seen, edge),
                torch.stack([expected, right, sure.mean(1), edge.sum(1) / (sure.sum(1) + 1)], dim=1),
            ],
            dim=1,
        )
        return torch.sigmoid(self.quality_head(facts)).squeeze(1)


class SemanticHead(nn.Module):
    """Logits of the background and of every label at each place, from the features of all sizes.

    Its norms are those of one sample (group norm), so that it may see some samples of a batch and not others.

    >>> head = SemanticHead(dimensions=2, labels=3, levels=2, features=5, width=8)
    >>> tuple(head(torch.zeros(1, 5, 16, 24), torch.zeros(1, 5, 8, 12)).shape)
    (1, 4, 16, 24)
    """

    def __init__(self, *, dimensions: int, labels: int, levels: int, features: int = 16, width: int = 24) -> None:
        super().__init__()
        self.deepest = double(dimensions, features, width)
        self.up = nn.ModuleList(double(dimensions, width + features, width) for _ in range(levels - 1))
        self.out = CONVOLUTIONS[dimensions](width, labels + 1, 1)

    def forward(self, *features: Tensor) -> Tensor:  # [b f y/s x/s] for s = 1, 2, 4, ... -> [b labels+1 y x]
        x = self.deepest(features[-1])
        for block, skip in zip(self.up, reversed(features[:-1]), strict=True):
            x = block(torch.cat([interpolate(x, scale_factor=2.0, mode="nearest"), skip], dim=1))
        logits: Tensor = self.out(x)
        return logits


def _averaged(values: Tensor, weights: Tensor) -> Tensor:  # [b c n], [b n] -> [b c]
    return (values * weights[:, None]).sum(2) / (weights.sum(1, keepdim=True) + 1)


class Norm(nn.GroupNorm):
    """The norm of a sample's own groups of channels, in the layout in which torch computes it fastest.

    With channels last its gradient takes six times as long as with channels first, both conversions included: a third
    of the time of a training step in space. Without a gradient the conversions are most of what it takes.
    """

    def forward(self, x: Tensor) -> Tensor:
        if torch.onnx.is_in_onnx_export() or not torch.is_grad_enabled():
            return super().forward(x)
        layout = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
        return super().forward(x.contiguous()).contiguous(memory_format=layout)


class Flat(nn.Module):
    """A convolution within planes and then one along the third axis: in space as in the plane, and a little more.

    It costs less than a whole kernel, and it can begin as a network for planes that looks at every plane alone
    (`inflated`).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.within = nn.Conv3d(inputs, outputs, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.along = nn.Conv3d(outputs, outputs, (3, 1, 1), padding=(1, 0, 0))

    def forward(self, x: Tensor) -> Tensor:
        along: Tensor = self.along(self.within(x))
        return along


def double(dimensions: int, inputs: int, outputs: int) -> nn.Sequential:
    """Return two 3-wide convolutions, each with a norm of its own sample and ReLU.

    The norms of a batch are not those of one window in use: batches in space are small, the coarsest level of a block
    has few cells, and the turns of many games make other batches than one person's mark (docs/mend-experiments.md).
    """
    layers: list[nn.Module] = []
    for before in (inputs, outputs):
        wide = nn.Conv2d(before, outputs, 3, padding=1) if dimensions == 2 else Flat(before, outputs)
        layers += [wide, Norm(gcd(GROUPS, outputs), outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def inflated(plane: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a network in space that does in each plane what a network for planes does there.

    `own` are its untrained weights. It may have fewer levels: what the network for planes has below them is left out,
    and so is what fits nowhere.
    """
    deeper = _levels(plane) - _levels(own)
    state = {}
    for name, there in own.items():
        part, *rest = name.split(".")
        source = ".".join([part, str(int(rest[0]) + deeper), *rest[1:]]) if part == "up" else name
        if source.endswith("along.weight"):
            state[name] = torch.zeros_like(there)
            state[name][range(len(there)), range(len(there)), 1] = 1.0
            continue
        values = plane.get(source.replace(".within.", ".").replace(".along.", "."))
        if values is not None and values.numel() == there.numel():
            state[name] = values.reshape(there.shape)
    return state


def _levels(state: dict[str, Tensor]) -> int:
    return 1 + max(int(name.split(".")[1]) for name in state if name.startswith("down."))
