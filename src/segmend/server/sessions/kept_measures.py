"""What was measured of labels, kept by their own voxels: after a click its label alone is measured again."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from segmend.core.image import Box, Image, Index, LabelMap, MaskArray
from segmend.core.measures import SliceAxes, area_mm2, slice_axes, statistics, volume_ml

# What was measured of a label is a few hundred bytes; so many are kept.
MEASURES_KEPT = 1000


@dataclass(frozen=True)
class LiveMeasures:
    """What is measured of a label while somebody works on it."""

    voxels: int
    volume_ml: float | None
    area_mm2: float | None
    axes: SliceAxes | None
    means: tuple[float, ...]  # of the image's values, by channel
    deviations: tuple[float, ...]


class KeptMeasures:
    """Measures by case, label and voxels; used by one thread at a time.

    >>> kept, label_map = KeptMeasures(), np.ones((1, 2, 3), np.uint16)
    >>> kept.of("case", [1], label_map, Box((5, 1, 1), (6, 3, 4)), Image(np.zeros((1, 9, 8, 7))))[1].voxels
    6
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], LiveMeasures] = OrderedDict()

    def of(
        self, case: str, labels: Sequence[int], label_map: LabelMap, box: Box, image: Image
    ) -> dict[int, LiveMeasures]:
        """Return what is measured of each label, in a box of the case's label map."""
        found = {}
        for label, (where, mask) in masks_in(label_map, box, labels, image.shape).items():
            found[label] = self._measured(case, where, mask, image)
        return found

    def _measured(self, case: str, box: Box, mask: MaskArray, image: Image) -> LiveMeasures:
        key = (case, tag_of(box, mask))
        if key not in self._kept:
            found = _live_measures(mask, cropped_image(image, box))
            if found.axes is not None:
                found = replace(found, axes=replace(found.axes, slice=found.axes.slice + box.low[0]))
            self._kept[key] = found
            if len(self._kept) > MEASURES_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def _live_measures(mask: MaskArray, image: Image) -> LiveMeasures:
    voxels = int(np.count_nonzero(mask))
    means, deviations, *_ = statistics(mask, image)
    volume, area = volume_ml(voxels, image), area_mm2(voxels, image)
    return LiveMeasures(voxels, volume, area, slice_axes(mask, image), means, deviations)


def tag_of(box: Box, mask: MaskArray) -> str:
    """Return what names a mask: where it lies and its voxels.

    >>> tag_of(Box((0, 1, 2), (1, 2, 5)), np.array([[[True, False, True]]]))
    '0.1.2-1.2.5-04d44c65'
    """
    low, high = ".".join(map(str, box.low)), ".".join(map(str, box.high))
    return f"{low}-{high}-{zlib.crc32(np.packbits(mask).data):08x}"


def cropped_image(image: Image, box: Box) -> Image:
    """Return the part of an image in a box, where it lies in the patient; no voxel is copied."""
    affine = image.affine.copy()
    affine[:3, 3] = image.to_mm(box.low)
    return Image(image.voxels[(slice(None), *box.slices)], affine, axes="zyx")


def masks_in(label_map: LabelMap, box: Box, labels: Sequence[int], shape: Index) -> dict[int, tuple[Box, MaskArray]]:
    """Return for each label a box round its mask and the mask in it, of a box of a map of this shape.

    Of a volume it has two slices at least: in one alone it would be taken for a picture.
    """
    places = ndimage.find_objects(label_map) if label_map.size else []
    found = {}
    for label in labels:
        where = places[label - 1] if label <= len(places) else None
        if where is None:
            found[label] = (nothing := Box((0, 0, 0), (min(2, shape[0]), 1, 1))), np.zeros(nothing.shape, bool)
            continue
        inner = Box.of([one.start for one in where], [one.stop for one in where]).moved(box.low)
        outer = inner.grown((1, 0, 0)).clipped(shape)
        mask = np.zeros(outer.shape, bool)
        np.equal(label_map[where], label, out=mask[inner.within(outer)])
        found[label] = outer, mask
    return found
