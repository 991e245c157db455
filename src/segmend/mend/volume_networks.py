"""The networks of a volume, asked through one frame at a time.

An answer is one pass of the refiner on a block of cells, cubes in mm, so voxels of any spacing are seen alike and the
time depends on neither the volume's size nor the object's. What the reader makes of a frame is kept.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Image, MaskArray, Real
from segmend.core.logits import sigmoid
from segmend.core.marks import Points, marks
from segmend.core.prompts import Prompt
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.runtime.budget import MEMORY
from segmend.runtime.engine import Engine
from segmend.sampling.channels import volume_prompt_channels
from segmend.sampling.frame import Frame
from segmend.sampling.intensity import frame_channels
from segmend.sampling.probability import uncertainty_of

# How many frames' features are kept of one volume at most, some 10 MB each: memory, not quality.
KEPT = 12


@dataclass(frozen=True, eq=False)
class FrameAnswer:
    """The networks' answer in a frame."""

    frame: Frame
    probability: Real  # [*cells]
    uncertainty: Real  # [*cells] 0 to 1
    quality: float  # the Dice that the refiner expects; 0 for an empty mask
    hidden: Real | None = None  # [w *cells] the features that its last layers read

    @property
    def mask(self) -> MaskArray:
        return np.asarray(self.probability > 0.5)


class FrameNetworks:
    """One volume, of which the networks answer any frame; the newest frames' features are kept.

    Several workspaces of one volume may share it (`frame_networks`), in threads of their own.

    `reader` maps `x` [1 4 n n n] to f0, f1, ..., `refiner` those and `prompts` to logits, quality and error logits.
    """

    def __init__(self, reader: Engine, refiner: Engine, image: Image) -> None:
        self.reader = reader
        self.refiner = refiner
        self.image = image
        self._owner = object()  # of what is kept in `MEMORY`
        self._lock = Lock()  # so that what two threads want at once is computed once
        weakref.finalize(self, MEMORY.forget_later, self._owner)

    def predict(self, prompts: Sequence[Prompt], frame: Frame, mask: Real) -> FrameAnswer:
        """Return the networks' answer in a frame whose cells hold this much of the mask so far."""
        channels = np.concatenate([mask[None], volume_prompt_channels(prompts, frame)])
        answer = self.refiner.run({"prompts": channels[None], **self.features(frame)})
        probability = sigmoid(answer["logits"][0, 0])
        uncertainty = uncertainty_of(sigmoid(answer["error_logits"][0, 0]))
        outside = ~frame.cells_in_volume(self.image.shape)
        probability[outside] = uncertainty[outside] = 0
        quality = float(answer["quality"][0]) if (probability > 0.5).any() else 0.0
        return FrameAnswer(
            frame, probability, uncertainty, quality, answer["hidden"][0] if "hidden" in answer else None
        )

    def features(self, frame: Frame) -> dict[str, Real]:
        """Return what the reader makes of a frame, from what is kept if it is."""
        with self._lock:
            found: dict[str, Real] | None = MEMORY.get(self._owner, frame)
            if found is None:
                found = self.reader.run({"x": self.channels(frame)[None]})
                MEMORY.put(self._owner, frame, found, sum(values.nbytes for values in found.values()))
                MEMORY.keep_newest(self._owner, KEPT)
        return found

    def channels(self, frame: Frame) -> Real:  # [4 *cells]
        """Return the image's channels in a frame: grey, grey at a window level, equalised, inside the volume."""
        return frame_channels(self.image, frame)

    def marked_cells(self, prompts: Sequence[Prompt], frame: Frame) -> NDArray[np.uint8]:  # [*cells]
        """Return which cells the marks pin as seeds; where both fall into one, it is background."""
        seeds = np.zeros(frame.cells, np.uint8)
        for points, side in zip(marks(prompts, self.image.shape), (FOREGROUND, BACKGROUND), strict=True):
            seeds[cells_at(points, frame)] = side
        return seeds


# The networks at each volume that is open, so that everybody who works on it shares what they made of it.
_open: weakref.WeakValueDictionary[tuple[int, int, int], FrameNetworks] = weakref.WeakValueDictionary()
_open_lock = Lock()


def frame_networks(reader: Engine, refiner: Engine, image: Image) -> FrameNetworks:
    """Return the networks at a volume, those that are there already where somebody has it open."""
    key = id(reader), id(refiner), id(image)  # it holds them as long as it is there, so nothing else has these numbers
    with _open_lock:
        found = _open.get(key)
        if found is None:
            found = _open[key] = FrameNetworks(reader, refiner, image)
    return found


def cells_at(points: Points, frame: Frame) -> tuple[NDArray[np.intp], ...]:
    """Return the index of the cells that hold voxels' centres, without those that lie outside."""
    at = np.rint(frame.to_grid(points)).astype(np.intp)
    return tuple(at[((at >= 0) & (at < frame.cells)).all(axis=1)].T)
