"""The decoder's inputs of many turns at once, put together where the network is.

`sampling.slab.slab_prompt_channels` says what they are, for one turn, on the processor. Training needs some hundred of
them a step; there only which cells a prompt sets is found out on the processor, once for every prompt, and 14 KB of
masks and cells a turn travel to a GPU instead of 460 KB.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segmend.core.image import Real
from segmend.core.prompts import Click, Prompt
from segmend.mend.learning.slab_games import SlabTurn
from segmend.sampling.channels import CLICK_RADIUS, plane_prompt_channels
from segmend.sampling.slab import PROMPT_CHANNELS
from segmend.sampling.window import Window

MARKS = 3  # channels of marks: positive, negative, boxes
REACH = int(np.ceil(CLICK_RADIUS))
ROWS, COLUMNS = (  # of the cells of a click, from its own
    part.astype(np.int64) - REACH
    for part in np.nonzero(np.hypot(*np.indices((2 * REACH + 1, 2 * REACH + 1)) - REACH) <= CLICK_RADIUS)
)
KEPT_PROMPTS = 4096  # whose cells are kept: every turn of a game shows the prompts of those before it again

Cells = NDArray[np.int64]  # [k] in channels last: (row * cells + column) * 3 + channel


def prompt_batch(
    turns: Sequence[SlabTurn], contexts: Sequence[Real | None], cells: int, device: torch.device
) -> Tensor:  # [b 7 n n], channels last
    """Return the decoder's input of every turn, each with what is known of other planes, or None.

    >>> turn = SlabTurn((Click((0, 4, 4)),), 1, np.zeros((16, 16), bool), own=True)
    >>> prompt_batch([turn], [None], 16, torch.device("cpu"))[0, :, 4, 4].tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0]
    """
    count = len(turns)
    seen = torch.zeros(count, cells, cells, PROMPT_CHANNELS, device=device)
    masks = _send(np.stack([turn.mask for turn in turns]), device).float()
    own = _send(np.asarray([turn.own for turn in turns], np.float32), device)[:, None, None]
    seen[..., 0], seen[..., 1] = masks * own, masks * (1 - own)
    seen[..., 2:5] = _drawn([turn.prompts for turn in turns], cells, device)
    newest = _drawn([turn.prompts[len(turn.prompts) - turn.newest :] for turn in turns], cells, device)
    seen[..., 5] = newest[..., 0] - newest[..., 1]
    known = [i for i, context in enumerate(contexts) if context is not None]
    if known:
        there = _send(np.stack([context for context in contexts if context is not None]), device).permute(0, 2, 3, 1)
        which = torch.tensor(known, device=device)
        seen[which, :, :, 2:4] = torch.maximum(seen[which, :, :, 2:4], there[..., :2])
        seen[which, :, :, 6] = there[..., 2]
    return seen.permute(0, 3, 1, 2)


def _send(values: NDArray[np.generic], device: torch.device) -> Tensor:
    return torch.from_numpy(values).to(device)


def _drawn(prompts: Sequence[Sequence[Prompt]], cells: int, device: torch.device) -> Tensor:  # [b n n 3]
    """Return the channels of marks of every turn: 1 in the cells that its prompts set."""
    size = cells * cells * MARKS
    parts = [_cells(prompt, cells) + i * size for i, some in enumerate(prompts) for prompt in some]
    out = torch.zeros(len(prompts) * size, device=device)
    if parts:
        out[_send(np.concatenate(parts), device)] = 1.0
    return out.view(len(prompts), cells, cells, MARKS)


@lru_cache(KEPT_PROMPTS)
def _cells(prompt: Prompt, cells: int) -> Cells:
    """Return the cells that a prompt sets on a grid whose cells are the plane's pixels."""
    if isinstance(prompt, Click):
        _, row, column = prompt.index
        rows, columns = row + ROWS, column + COLUMNS
        inside = (rows >= 0) & (rows < cells) & (columns >= 0) & (columns < cells)
        return (rows[inside] * cells + columns[inside]) * MARKS + (0 if prompt.positive else 1)
    channels = plane_prompt_channels([prompt], 0, 0, Window(0, 0, cells, cells), cells)
    return np.flatnonzero(np.moveaxis(channels, 0, -1)).astype(np.int64)
