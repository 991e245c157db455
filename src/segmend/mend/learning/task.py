"""What mend learns of a task, one kind of image with known labels: labelled views with little augmentation.

Games are rotated and mirrored, so that the object may be anything. Labels do not allow it: left is not right, and dark
is not bright. So half of a task's samples are views of whole slices and volumes, or windows round a label, with mild
augmentation. The semantic head is trained on them, and a game is played on each of them too, which often begins from
the network's own automatic mask: that is what a person will correct.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import MaskArray, Real
from segmend.errors import SettingsError
from segmend.learning.augment import random_grid, warp
from segmend.learning.drawn.solids import smooth_solid
from segmend.learning.drawn.synthetic import smooth_field
from segmend.learning.slices import cut_axis, label_areas
from segmend.learning.subjects import Subject
from segmend.mend.learning.games import Game, new_game
from segmend.mend.learning.plane import MIN_OBJECT_PIXELS, PlaneSampler, places, window_round
from segmend.mend.learning.settings import Settings
from segmend.mend.learning.volume import VolumeSampler, box_of, frame_near, object_share
from segmend.mend.plane_networks import CELLS
from segmend.sampling.frame import whole_frame
from segmend.sampling.intensity import (
    clip_to_window_level,
    colour_or_grey,
    plane_intensity_channels,
    volume_intensity_channels,
)
from segmend.sampling.window import around, cells_on_plane, resample_to_grid
from segmend.users import LargestError

LABELLED_SHARE = 0.5  # the share of a task's samples on which the semantic head is trained
WHOLE_SHARE = 0.4  # the share of labelled samples that show a whole slice or volume
ANYWHERE_SHARE = 0.2  # the share of labelled slices that are chosen without regard to their labels
OWN_START_SHARE = 0.5  # the share of games on labelled samples that begin from the semantic head's own mask
MAX_LABELS = 64  # of one task
LABEL_STREAM = 7  # the random stream of labelled samples, apart from that of games

Names = NDArray[np.uint8]  # 0 for none, else the label's place in the settings' labels, counted from 1


def task_labels(training: Sequence[Subject], settings: Settings) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the labels of a task and their names; SettingsError when the cases do not make up one task."""
    groups = sorted({subject.group for subject in training})
    if len(groups) > 1:
        raise SettingsError(
            f"A task model learns one data set; got {len(groups)}: {', '.join(groups)}. "
            f"Choose one with --set 'sets=[\"{groups[0]}\"]'."
        )
    if any(subject.instances for subject in training):
        raise SettingsError(f"The labels of {groups[0]} number single things; a task model needs kinds of things.")
    present = [{int(value) for value in np.flatnonzero(_present(subject))} for subject in training]
    values = sorted(set().union(*present))
    labels = tuple(settings.labels) or tuple(values)
    if unknown := sorted(set(labels) - set(values)):
        raise SettingsError(f"No case of {groups[0]} to learn from has label {unknown[0]}; they have {values}.")
    if len(labels) > MAX_LABELS:
        raise SettingsError(f"A task model names {MAX_LABELS} labels at most; {groups[0]} has {len(labels)}.")
    for subject, found in zip(training, present, strict=True):
        if not settings.absent and (lost := sorted(set(labels) - found)):
            raise SettingsError(
                f"The case {subject.name} of {groups[0]} has no label {lost[0]}, which others have. If it is really "
                f"not there, say so with --set absent=true; if nobody drew it, draw it or leave the case out."
            )
    known = training[0].names
    names = tuple(settings.names) or tuple(known.get(value, f"label {value}") for value in labels)
    if len(names) != len(labels):
        raise SettingsError(f"The setting names needs a name for each of {len(labels)} labels; got {len(names)}.")
    return labels, names


def _present(subject: Subject) -> NDArray[np.bool_]:  # [values]
    found: NDArray[np.bool_] = np.array(label_areas(subject).any(axis=0))
    found[0] = False
    return found


@dataclass(frozen=True, eq=False)
class LabelledGame:
    """A game on a view with a label for every cell."""

    game: Game
    names: Names  # [y x] or [z y x]
    valid: MaskArray  # of the same shape: what lies on the image
    target: int  # the label of the game's object; 0 for none
    few: int | None  # interactions of the game if it begins from the network's own mask, None if it does not


def game_of(drawn: Game | LabelledGame) -> Game:
    """Return the game of any sample."""
    return drawn.game if isinstance(drawn, LabelledGame) else drawn


@dataclass(frozen=True, eq=False)
class TaskSampler:
    """Draws games and labelled views by number: the same number is the same sample in any process."""

    games: PlaneSampler | VolumeSampler
    settings: Settings

    def __getitem__(self, number: int) -> Game | LabelledGame:
        rng = np.random.default_rng((self.settings.seed, number, LABEL_STREAM))
        if rng.random() >= LABELLED_SHARE:
            return self.games[number]
        forgetful = bool(rng.random() < self.settings.forget)
        subject = self.games.pool.draw(rng)
        labels = self.settings.labels
        if isinstance(self.games, VolumeSampler):
            view = volume_view(rng, subject, labels, self.games.cells(number))
            image = volume_intensity_channels(view.intensities[0], view.valid)
        else:
            view = plane_view(rng, subject, labels)
            grey = len(view.intensities) == 1
            image = plane_intensity_channels(
                clip_to_window_level(view.intensities, view.valid) if grey else view.intensities, view.valid
            )
        found = labelled_game(rng, image, view)
        return replace(found, game=replace(found.game, forgetful=forgetful))


@dataclass(frozen=True, eq=False)
class LabelledView:
    """A part of a case, the label of every cell, and the cells that lie on the image."""

    intensities: Real  # [c y x] or [1 z y x]
    names: Names
    valid: MaskArray


def plane_view(rng: np.random.Generator, subject: Subject, labels: Sequence[int]) -> LabelledView:
    """Return a slice of a case: all of it, or a window round a label."""
    image, axis = subject.image, cut_axis(subject.image)
    sizes = label_areas(subject)[:, [value for value in labels if value < label_areas(subject).shape[1]]]
    value = int(rng.choice(np.flatnonzero(sizes.any(axis=0)))) if sizes.any() else 0
    some = np.flatnonzero(sizes[:, value]) if sizes.any() and rng.random() >= ANYWHERE_SHARE else np.arange(len(sizes))
    index = int(rng.choice(some))
    planes = [np.take(subject.labels, index, axis) == value for value in labels]
    aspect = float(np.divide(*np.delete(image.spacing, axis)))
    rows, columns = planes[0].shape
    here = [plane for plane in planes if plane.any()]
    window = around(0, 0, rows, columns, margin=1.0, aspect=aspect)
    if here and rng.random() >= WHOLE_SHARE:
        one = here[int(rng.integers(len(here)))]
        window = window_round(rng, one if rng.random() < 0.5 else np.logical_or.reduce(here), aspect)
    channels = np.take(image.voxels, index, axis + 1)
    intensities = np.stack([resample_to_grid(c, window, CELLS) for c in colour_or_grey(channels)])
    view = LabelledView(
        intensities,
        label_map([resample_to_grid(p, window, CELLS) for p in planes]),
        cells_on_plane(window, rows, columns, CELLS),
    )
    if rng.random() < 0.5:
        grid = random_grid(rng, CELLS, turn=0.2, stretch=0.15, ripple=2.0)
        names, valid = (_nearest(part, grid) for part in (view.names, view.valid))
        view = LabelledView(np.stack([warp(c, grid) for c in view.intensities]), names, valid > 0)
    return replace(view, intensities=augment_intensity_mildly(rng, view.intensities)) if rng.random() < 0.6 else view


def volume_view(rng: np.random.Generator, subject: Subject, labels: Sequence[int], cells: int) -> LabelledView:
    """Return a block of a case: all of it, or round a label."""
    image = subject.image
    found = {value: box for value, box in places(subject).items() if value in labels}
    frame = whole_frame(image.shape, image.spacing, (cells,) * 3)
    if found and rng.random() >= WHOLE_SHARE:
        value = 0 if rng.random() < 0.5 else int(rng.choice(list(found)))
        frame = frame_near(rng, subject, box_of(found, value), value, cells)
    intensities = frame.subsample_to_grid(image.voxels[0])[None]
    names = label_map([object_share(subject, frame, value) for value in labels])
    view = LabelledView(intensities, names, frame.cells_in_volume(image.shape))
    if rng.random() < 0.5:
        matrix = np.eye(3) + rng.normal(0, 0.06, (3, 3))
        offset = np.full(3, (cells - 1) / 2) @ (np.eye(3) - matrix).T
        intensities = ndimage.affine_transform(view.intensities[0], matrix, offset, order=1, cval=0.0)[None]
        names, inner = (
            ndimage.affine_transform(part.astype(np.uint8), matrix, offset, order=0) for part in (names, view.valid)
        )
        view = LabelledView(intensities, names, inner > 0)
    return replace(view, intensities=augment_intensity_mildly(rng, view.intensities)) if rng.random() < 0.6 else view


def label_map(shares: Sequence[Real]) -> Names:
    """Return the label of each cell: the one with the largest share.

    >>> label_map([np.array([[0.6, 0.3, 0.0]]), np.array([[0.0, 0.5, 0.4]])]).tolist()
    [[1, 2, 0]]
    """
    none = 1 - np.sum(shares, axis=0)
    return np.asarray(np.argmax(np.stack([none, *shares]), axis=0), np.uint8)


def _nearest(part: NDArray[np.generic], grid: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(ndimage.map_coordinates(part.astype(np.uint8), grid, order=0, cval=0))


def augment_intensity_mildly(rng: np.random.Generator, intensities: Real) -> Real:  # [c *cells]
    """Return intensities as from another scanner of the same kind: mild gamma, bias field, noise; never inverted."""
    low, high = np.percentile(intensities.ravel()[::7], (0.5, 99.5))
    out = np.clip((intensities - low) / max(float(high - low), 1e-6), 0, 1) ** np.exp(rng.uniform(-0.3, 0.3))
    if rng.random() < 0.4:
        smooth = smooth_field if intensities.ndim == 3 else smooth_solid
        out = out * (1 + 0.15 * rng.random() * smooth(rng, 2, intensities.shape[-1]))
    if rng.random() < 0.4:
        out = out + rng.standard_normal(intensities.shape, dtype=np.float32) * rng.uniform(0, 0.05)
    return np.asarray(out, np.float32)


def labelled_game(rng: np.random.Generator, image: Real, view: LabelledView) -> LabelledGame:
    """Return a view with a game for one of its labels; where it has none, a game to remove a mask."""
    names = view.names if view.valid.all() else np.where(view.valid, view.names, 0).astype(np.uint8)
    counts = np.bincount(names.ravel())
    some = np.flatnonzero(counts[1:] >= MIN_OBJECT_PIXELS) + 1
    target = int(rng.choice(some)) if len(some) else 0
    solid = names if names.ndim == 3 else names[None]
    truth = solid == target if target else np.zeros(solid.shape, bool)
    game = new_game(rng, image, truth, None)
    if not target:  # the other robots need an object
        game = replace(game, user=LargestError(int(rng.integers(2**31))))
    few = int(rng.choice([0, 1, 2, 3], p=[0.3, 0.35, 0.2, 0.15])) if rng.random() < OWN_START_SHARE else None
    return LabelledGame(game, names, view.valid, target, few)
