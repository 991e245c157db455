"""The fully connected random field (Kraehenbuehl and Koltun, NIPS 2011) that refines a probability, in 2D and 3D.

Every pair of voxels with different labels costs, the more the nearer they are, and the more alike. The answer is that
of the paper's mean field: messages from all other voxels, weighted by two Gaussian kernels

    smoothness exp(-|p_i - p_j|^2 / 2 reach^2)
    appearance exp(-|p_i - p_j|^2 / 2 reach^2 - |I_i - I_j|^2 / 2 intensity^2)

each divided by the square roots of how many neighbours the two voxels have, so that `weight` is how much agreement
of all neighbours counts, in logits, in any image. The messages are one blur: values are added to a coarse grid of
position and intensity, blurred there and read back (`bilateral.py`), so time hardly depends on how far the kernels
reach. Colours are turned to their principal axes first, which changes no distance but makes the grid small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmend.classical.solvers import bilateral
from segmend.core.image import Real
from segmend.core.logits import logit
from segmend.core.seeds import FOREGROUND, UNKNOWN
from segmend.errors import SettingsError, ShapeError

SURE = 1e-4  # probabilities are clipped to this and 1 minus this
LARGEST = 1 << 25  # cells of a grid
CHANNELS = 3  # principal axes of colour that are kept: all of them for a photograph
BLURRED = 0.3  # the least variance, in cells, left to the blur; the rest comes from spreading over cells
NARROW = 0.5  # up to this variance, in cells, three taps make the blur
INTENSITY_TAPS = np.asarray([1 - BLURRED, BLURRED / 2], np.float32)
FAINT = 0.01  # taps of a blur below this part of the middle one are left out
STILL = 1e-3  # a round that changes no voxel by more ends the rounds


@dataclass(frozen=True)
class Kernels:
    """The two kernels of the pairwise term.

    Reaches are standard deviations in units of `spacing`, `intensity` is one in units of the values; weights are in
    logits.
    """

    smooth_weight: float = 6.0
    smooth_reach: float = 1.5
    weight: float = 1.5
    reach: float = 4.0
    intensity: float = 1.5


def densecrf(
    probability: Real,  # [z y x]
    values: Real,  # [c z y x]
    *,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    pinned: NDArray[np.uint8] | None = None,
    kernels: Kernels | None = None,
    rounds: int = 5,
) -> Real:
    """Return the probability after the field has settled; `pinned` voxels stay FOREGROUND or BACKGROUND.

    >>> noisy = np.array([[[0.9, 0.3, 0.9, 0.1, 0.6, 0.1]]], np.float32)
    >>> values = np.array([[[[9, 9, 9, 0, 0, 0]]]], np.float32)
    >>> densecrf(noisy, values, kernels=Kernels(smooth_weight=0, weight=5, intensity=1)).round()[0, 0]
    array([1., 1., 1., 0., 0., 0.], dtype=float32)
    """
    pinned = np.zeros(probability.shape, np.uint8) if pinned is None else pinned
    kernels = Kernels() if kernels is None else kernels
    _check(probability, values, spacing, pinned, kernels)
    free = np.asarray(pinned == UNKNOWN)
    held = ~free
    unary = logit(probability, SURE)
    side = np.where(free, np.tanh(unary / 2), np.where(pinned == FOREGROUND, 1, -1)).astype(np.float32)
    fields = _fields(values, spacing, kernels)
    if not fields or not free.any():
        return np.asarray((side + 1) / 2, np.float32)
    roots = np.stack([field.roots() for field in fields])
    base = [field.blurred(side * root, held) for field, root in zip(fields, roots, strict=True)]
    weights = np.asarray([field.weight for field in fields], np.float32)
    alone = np.asarray([field.alone for field in fields], np.float32)
    seen = np.zeros_like(roots)
    for _ in range(rounds):
        for field, root, still, out in zip(fields, roots, base, seen, strict=True):
            field.read(still + field.blurred(side * root, free), free, out)
        if bilateral.agree(unary, free, weights, roots, alone, seen, side) < STILL:
            break
    return np.asarray((side + 1) / 2, np.float32)


def _check(
    probability: Real, values: Real, spacing: Sequence[float], pinned: NDArray[np.uint8], kernels: Kernels
) -> None:
    shape = probability.shape
    if probability.ndim != 3 or values.ndim != 4 or values.shape[1:] != shape or pinned.shape != shape:
        raise ShapeError(
            "A dense CRF needs a probability (z, y, x), values (c, z, y, x) and pins of one grid; "
            f"got {shape}, {values.shape} and {pinned.shape}."
        )
    reaches = (kernels.smooth_reach, kernels.reach, kernels.intensity, *spacing)
    if not min(reaches) > 0 or min(kernels.weight, kernels.smooth_weight) < 0:
        raise SettingsError(
            "A dense CRF needs reaches, intensity and spacing above 0 and no negative weight; "
            f"got {kernels} and {spacing}."
        )


def _fields(values: Real, spacing: Sequence[float], kernels: Kernels) -> list[_Field]:
    shape, fields = values.shape[1:], []
    if kernels.smooth_weight > 0:
        none = np.zeros((0, *shape), np.float32)
        fields.append(_field(none, spacing, kernels.smooth_weight, kernels.smooth_reach, kernels.intensity))
    if kernels.weight > 0:
        fields.append(_field(_reorder_axes(values), spacing, kernels.weight, kernels.reach, kernels.intensity))
    return fields


def _reorder_axes(values: Real) -> Real:
    """Return the values along their principal axes, the three longest at most."""
    if len(values) == 1:
        return np.ascontiguousarray(values, np.float32)
    points = values.reshape(len(values), -1).astype(np.float32)
    points = points - points.mean(axis=1, keepdims=True)
    _, axes = np.linalg.eigh(points @ points.T / points.shape[1])
    turned = axes[:, ::-1][:, :CHANNELS].T @ points
    return np.ascontiguousarray(turned.reshape(-1, *values.shape[1:]), np.float32)


@dataclass(frozen=True, eq=False)
class _Field:
    """One kernel: its grid, and how it blurs. Only intensities that occur near some voxel have a column."""

    weight: float
    intensities: Real  # [c z y x] in levels
    levels: NDArray[np.int64]  # [c]
    table: NDArray[np.int64]  # [levels] the column of each level
    adjacent: NDArray[np.int64]  # [c 2 t] the columns one level lower and higher; the last, always empty, for none
    strides: NDArray[np.int64]  # [3] voxels a cell
    cells: tuple[int, int, int, int]  # [z y x t]
    taps: tuple[Real, ...]  # along z, y and x, each from its middle on
    alone: float  # what a voxel counts among its own neighbours

    def blurred(self, source: Real, taken: NDArray[np.bool_]) -> Real:
        """Return the grid after those voxels were added to it and blurred."""
        grid, other = np.zeros((2, *self.cells), np.float32)
        bilateral.splat(
            np.ascontiguousarray(source), taken, self.intensities, self.levels, self.table, self.strides, grid
        )
        for axis, taps in enumerate(self.taps):
            if len(taps) > 1:
                lines = (int(np.prod(self.cells[:axis])), self.cells[axis], -1)
                bilateral.blur(grid.reshape(lines), taps, other.reshape(lines))
                grid, other = other, grid
        for before, behind in self.adjacent:
            columns = (-1, self.cells[3])
            bilateral.mix(grid.reshape(columns), INTENSITY_TAPS, before, behind, other.reshape(columns))
            grid, other = other, grid
        return grid

    def read(self, grid: Real, taken: NDArray[np.bool_], out: Real) -> None:
        """Write the grid's values at those voxels."""
        bilateral.gather(grid, taken, self.intensities, self.levels, self.table, self.strides, out)

    def roots(self) -> Real:
        """Return 1 / the square root of how many neighbours each voxel has, itself included."""
        everywhere = np.ones(self.intensities.shape[1:], bool)
        count = np.empty(everywhere.shape, np.float32)
        self.read(self.blurred(np.ones(everywhere.shape, np.float32), everywhere), everywhere, count)
        return np.asarray(1 / np.sqrt(np.maximum(count, self.alone)), np.float32)


def _field(values: Real, spacing: Sequence[float], weight: float, reach: float, intensity: float) -> _Field:
    strides: list[int] = []
    cells: list[int] = []
    taps: list[Real] = []
    alone = 1.0
    for count, side in zip(values.shape[1:], spacing, strict=True):
        if count == 1:
            strides.append(1)
            cells.append(1)
            taps.append(np.ones(1, np.float32))
            continue
        sigma = reach / side  # in voxels
        stride = max(1, min(int(np.sqrt((sigma**2 + 1 / 3) / (1 / 3 + BLURRED))), count))
        strides.append(stride)
        cells.append((count - 1) // stride + 2)
        taps.append(_taps(sigma, stride, count))
        across = np.exp(-0.5 * (np.arange(1, min(count, int(6 * sigma) + 2)) / sigma) ** 2)
        alone *= stride / (1 + 2 * across.sum())
    width = intensity / np.sqrt(1 / 3 + BLURRED)  # of a level
    intensities = (values - values.min(axis=(1, 2, 3), keepdims=True)) / np.float32(width)
    levels = intensities.max(axis=(1, 2, 3)).astype(np.float64) + 2
    _check_size(levels, 1, intensity, reach)
    levels = levels.astype(np.int64)
    table, adjacent = _columns(intensities, levels)
    _check_size(adjacent.shape[2:], int(np.prod(cells)), intensity, reach)
    return _Field(
        weight,
        intensities,
        levels,
        table,
        adjacent,
        np.asarray(strides, np.int64),
        (cells[0], cells[1], cells[2], adjacent.shape[2]),
        tuple(taps),
        float(alone * (width / (intensity * np.sqrt(2 * np.pi))) ** len(values)),
    )


def _check_size(intensities: Sequence[float] | NDArray[np.float64], cells: int, intensity: float, reach: float) -> None:
    size = float(np.prod(np.asarray(intensities, np.float64))) * cells
    if size > LARGEST:
        raise SettingsError(
            f"A dense CRF needs an intensity and a reach whose grid has at most {LARGEST} cells; "
            f"an intensity of {intensity:g} and a reach of {reach:g} make {size:.0f} in this image."
        )


def _columns(intensities: Real, levels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each level's column, and the columns next to each: only levels that a voxel touches have one."""
    number = np.zeros(intensities.shape[1:], np.int64)
    steps = np.ones(len(levels), np.int64)
    for channel, count in zip(intensities, levels, strict=True):
        number = number * count + channel.astype(np.int64)
    for axis in range(len(levels) - 1, 0, -1):
        steps[axis - 1] = steps[axis] * levels[axis]
    touched = np.zeros(int(np.prod(levels)), bool)
    touched[number.ravel()] = True
    for step in steps:
        touched[step:] |= touched[:-step].copy()
    wanted = np.flatnonzero(touched)
    table = np.full(len(touched), len(wanted), np.int64)
    table[wanted] = np.arange(len(wanted))
    adjacent = np.full((len(levels), 2, len(wanted) + 1), len(wanted), np.int64)
    for axis, (step, count) in enumerate(zip(steps, levels, strict=True)):
        level = wanted // step % count
        lower, higher = level > 0, level < count - 1
        adjacent[axis, 0, :-1][lower] = table[wanted[lower] - step]
        adjacent[axis, 1, :-1][higher] = table[wanted[higher] + step]
    return table, adjacent


def _taps(sigma: float, stride: int, count: int) -> Real:
    """Return the middle and one side of the blur's taps, whose sum over both sides is 1."""
    variance = (sigma**2 - (stride**2 - 1) / 3) / stride**2
    if stride > 1 and variance < NARROW:
        return np.asarray([1 - variance, variance / 2], np.float32)
    radius = min(count - 1, max(1, int(np.sqrt(2 * variance * np.log(1 / FAINT)))))
    taps = np.exp(-0.5 * np.arange(radius + 1) ** 2 / variance)
    return np.asarray(taps / (taps[0] + 2 * taps[1:].sum()), np.float32)
