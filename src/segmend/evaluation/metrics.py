"""How good a mask is, and how quickly interactions make it good.

A mask is compared to a truth of the same shape [z y x]; a flat image is one slice. What each number
is when masks are empty:

                        both empty    truth empty only    mask empty only
    dice, iou                  1                   0                  0
    sensitivity                1                 nan                  0
    ppv                        1                   0                nan
    volume error               0                 inf                 -1
    HD, HD95, ASSD             0                 inf                inf
    NSD                        1                   0                  0

Distances are in mm with the image's spacing (z, y, x); `surfaces.py` says what a surface is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from segmend.core.image import MaskArray
from segmend.core.masks import dice
from segmend.errors import SettingsError, ShapeError
from segmend.evaluation.surface_distance import Reals, surfaces

Spacing = Sequence[float] | Reals
CUBES = (1.0, 1.0, 1.0)  # the spacing where none is given: distances in voxels
TOLERANCE_MM = 2.0  # the tolerance of the CVPR 2025 challenge's NSD


@dataclass(frozen=True)
class Counts:
    """Voxels by what truth and mask say of them."""

    both: int
    truth_only: int
    mask_only: int

    @property
    def dice(self) -> float:
        return _share(2 * self.both, 2 * self.both + self.truth_only + self.mask_only)

    @property
    def iou(self) -> float:
        return _share(self.both, self.both + self.truth_only + self.mask_only)

    @property
    def sensitivity(self) -> float:
        return self._part(self.truth_only)

    @property
    def ppv(self) -> float:
        return self._part(self.mask_only)

    @property
    def volume_error(self) -> float:
        truth = self.both + self.truth_only
        excess = self.mask_only - self.truth_only
        if truth == 0:
            return 0.0 if excess == 0 else float("inf")
        return excess / truth

    def _part(self, rest: int) -> float:
        """Return the share in both of both and rest; not a number where only the other mask has voxels."""
        if self.both + rest == 0 and self.truth_only + self.mask_only > 0:
            return float("nan")
        return _share(self.both, self.both + rest)


def _share(part: int, total: int) -> float:
    return 1.0 if total == 0 else part / total


def counts(truth: MaskArray, mask: MaskArray) -> Counts:
    """Return how many voxels both masks hold, and each alone.

    >>> counts(np.array([[[True, True, False]]]), np.array([[[True, False, True]]]))
    Counts(both=1, truth_only=1, mask_only=1)
    """
    if truth.shape != mask.shape:
        raise ShapeError(f"A comparison needs two masks of one shape; got {truth.shape} and {mask.shape}.")
    both = int(np.count_nonzero(truth & mask))
    return Counts(both, int(np.count_nonzero(truth)) - both, int(np.count_nonzero(mask)) - both)


def iou(truth: MaskArray, mask: MaskArray) -> float:
    """Return the voxels in both over the voxels in any.

    >>> iou(np.array([[[True, True]]]), np.array([[[True, False]]]))
    0.5
    """
    return counts(truth, mask).iou


def sensitivity(truth: MaskArray, mask: MaskArray) -> float:
    """Return the share of the truth that the mask found.

    >>> sensitivity(np.array([[[True, True, True, True]]]), np.array([[[True, False, False, False]]]))
    0.25
    """
    return counts(truth, mask).sensitivity


def ppv(truth: MaskArray, mask: MaskArray) -> float:
    """Return the share of the mask that is true (positive predictive value, precision).

    >>> ppv(np.array([[[True, False, False]]]), np.array([[[True, True, False]]]))
    0.5
    """
    return counts(truth, mask).ppv


def volume_error(truth: MaskArray, mask: MaskArray) -> float:
    """Return how much larger the mask is than the truth, as a share of the truth; below 0 when smaller.

    >>> volume_error(np.array([[[True, True, False]]]), np.array([[[True, True, True]]]))
    0.5
    """
    return counts(truth, mask).volume_error


def hausdorff(truth: MaskArray, mask: MaskArray, spacing: Spacing = CUBES, *, percent: float = 100.0) -> float:
    """Return the distance in mm within which `percent` of each surface's area lies of the other surface.

    >>> truth = np.zeros((1, 9, 9), bool); truth[0, 2:6, 2:6] = True
    >>> hausdorff(truth, np.roll(truth, 3, axis=1), (1, 0.5, 0.5))
    1.5
    """
    return surfaces(truth, mask, spacing).hausdorff(percent)


def hd95(truth: MaskArray, mask: MaskArray, spacing: Spacing = CUBES) -> float:
    """Return the Hausdorff distance in mm that leaves out the farthest 5 % of each surface."""
    return hausdorff(truth, mask, spacing, percent=95.0)


def assd(truth: MaskArray, mask: MaskArray, spacing: Spacing = CUBES) -> float:
    """Return the average symmetric surface distance in mm, over the area of both surfaces together."""
    return surfaces(truth, mask, spacing).assd()


def nsd(truth: MaskArray, mask: MaskArray, spacing: Spacing = CUBES, *, tolerance_mm: float = TOLERANCE_MM) -> float:
    """Return the normalised surface distance: the share of both surfaces within the tolerance of the other."""
    return surfaces(truth, mask, spacing).nsd(tolerance_mm)


@dataclass(frozen=True)
class Scores:
    """Every measure of one mask."""

    dice: float
    iou: float
    sensitivity: float
    ppv: float
    volume_error: float
    hd_mm: float
    hd95_mm: float
    assd_mm: float
    nsd: float


def scores(
    truth: MaskArray, mask: MaskArray, spacing: Spacing = CUBES, *, tolerance_mm: float = TOLERANCE_MM
) -> Scores:
    """Return every measure at once; the surfaces are found only once.

    >>> truth = np.zeros((1, 9, 9), bool); truth[0, 2:6, 2:6] = True
    >>> scores(truth, truth).dice, scores(truth, truth).hd_mm
    (1.0, 0.0)
    """
    voxels, apart = counts(truth, mask), surfaces(truth, mask, spacing)
    return Scores(
        dice=voxels.dice,
        iou=voxels.iou,
        sensitivity=voxels.sensitivity,
        ppv=voxels.ppv,
        volume_error=voxels.volume_error,
        hd_mm=apart.hausdorff(),
        hd95_mm=apart.hausdorff(95.0),
        assd_mm=apart.assd(),
        nsd=apart.nsd(tolerance_mm),
    )


def challenge_nsd(truth: MaskArray, mask: MaskArray, spacing: Spacing = CUBES) -> float:
    """Return the CVPR 2025 challenge's NSD: at 2 mm, and 0 unless the Dice is above 0.2."""
    return nsd(truth, mask, spacing) if dice(truth, mask) > 0.2 else 0.0


def pad_to(values: Sequence[float], interactions: int) -> list[float]:
    """Return one value for every interaction; a robot that was content early leaves its last one.

    >>> pad_to([0.5, 1.0], 4)
    [0.5, 1.0, 1.0, 1.0]
    """
    if not 0 < len(values) <= interactions:
        raise SettingsError(f"A curve needs 1 to {interactions} values; got {len(values)}.")
    return [*values, *[values[-1]] * (interactions - len(values))]


def auc(values: Sequence[float], *, clicks: int = 5) -> float:
    """Return the area under the last `clicks` values by the trapezoid rule, one apart; 4 at most for five.

    This is the CVPR 2025 challenge's AUC of Dice or NSD: five clicks after a box, whose own value
    stays out. Values that the robot no longer played are filled in by `pad_to` before.

    >>> auc([0.1, 0.5, 1.0, 1.0, 1.0, 1.0])
    3.75
    """
    if clicks < 2 or len(values) < clicks:
        raise SettingsError(f"An area needs two clicks or more and a value for each; got {len(values)} for {clicks}.")
    last = np.asarray(values[-clicks:], np.float64)
    return float(((last[1:] + last[:-1]) / 2).sum())


def clicks_to(values: Sequence[float], target: float) -> int | None:
    """Return the first interaction, counted from 1, that reached the target, None when none did.

    >>> clicks_to([0.5, 0.86, 0.84], 0.85), clicks_to([0.5], 0.85)
    (2, None)
    """
    return next((turn for turn, value in enumerate(values, start=1) if value >= target), None)


@dataclass(frozen=True)
class Effort:
    """Interactions needed for a target, over many objects."""

    noc: float  # mean number of clicks; a failure counts as the limit
    failures: int  # objects that never reached the target


def effort(curves: Sequence[Sequence[float]], target: float, *, limit: int) -> Effort:
    """Return the mean number of clicks (NoC) to the target and how many objects failed, within a limit.

    >>> effort([[0.5, 0.9], [0.3, 0.4]], 0.85, limit=20)
    Effort(noc=11.0, failures=1)
    """
    if not curves:
        raise SettingsError("A number of clicks needs at least one object; got none.")
    needed = [clicks_to(curve[:limit], target) for curve in curves]
    return Effort(float(np.mean([limit if n is None else n for n in needed])), needed.count(None))


def share_lowered(curves: Sequence[Sequence[float]], by: float = 0.01) -> float | None:
    """Return the share of interactions that lowered a value by more than this; None where none could.

    A curve holds the values after each interaction that was played; the first follows on nothing and is not counted.

    >>> share_lowered([[0.5, 0.48, 0.6], [0.9, 0.895]])  # one of three
    0.3333333333333333
    """
    changes = [after - before for curve in curves for before, after in pairwise(curve)]
    return sum(change < -by for change in changes) / len(changes) if changes else None


@dataclass(frozen=True)
class QualityAgreement:
    """How far an expected Dice lies from the true one."""

    error: float  # mean absolute
    r: float | None  # Pearson's; None where either does not vary
    answers: int


def quality_agreement(expected: Sequence[float], true: Sequence[float]) -> QualityAgreement | None:
    """Return how well a method predicted the Dice of its masks; None where it predicted none.

    >>> quality_agreement([0.5, 0.75, 1.0], [0.5, 0.5, 0.75])
    QualityAgreement(error=0.16666666666666666, r=0.8660254037844387, answers=3)
    """
    if len(expected) != len(true):
        raise SettingsError(f"An agreement needs as many expected as true values; got {len(expected)} and {len(true)}.")
    if not expected:
        return None
    predicted, found = np.asarray(expected, np.float64), np.asarray(true, np.float64)
    varies = len(predicted) > 1 and np.ptp(predicted) > 0 and np.ptp(found) > 0
    r = float(np.corrcoef(predicted, found)[0, 1]) if varies else None
    return QualityAgreement(float(np.abs(predicted - found).mean()), r, len(predicted))
