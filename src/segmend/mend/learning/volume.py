"""What mend learns from in space: blocks of a volume resampled to isotropic cells, round objects and parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from segmend.core.image import Box, MaskArray, Real, three
from segmend.learning.drawn.bodies import body
from segmend.learning.drawn.solids import smooth_solid, solid, thicken_slices, volume
from segmend.learning.drawn.synthetic import add_layers, blend_object, similar_region, smooth_field
from segmend.learning.perturb import add_local_error, blur_mask, perturb_mask
from segmend.learning.slices import CasePool
from segmend.learning.subjects import Subject
from segmend.mend.learning.games import Game, OpenThen, new_game, rough_box
from segmend.mend.learning.plane import MIN_OBJECT_PIXELS, Flat, places, window_round
from segmend.mend.learning.settings import Settings
from segmend.sampling.channels import volume_prompt_channels
from segmend.sampling.frame import Frame, frame_around, whole_frame
from segmend.sampling.intensity import volume_intensity_channels
from segmend.sampling.window import resample_to_grid
from segmend.users import BoxFirst
from segmend.users.play import Turn

CELLS = 48  # the side of a training block, in cells
SMALL_BLOCK = 32  # the side of a small block: three of them take the time of one of CELLS
LARGE_BLOCK = 64  # the side of a large block: the network shall answer alike at any size of block
MIN_OBJECT_CELLS = 20  # objects of fewer are drawn again, up to eight times
GUESS_SHARE = 0.7  # the share of games without a first mask that are given a rough bounding box, as in use
UPRIGHT_SHARE = 0.6  # the share of real blocks that are neither rotated nor mirrored: anatomy has a left and a right
# The shortest side of a training block, in the finest voxels. In use it is at least 16 (`segmend.mend.volume`).
MIN_BLOCK_VOXELS = 12.0


def turn_channels(turn: Turn) -> Real:  # [4 n n n]
    """Return a turn as the decoder's input: the mask so far, positive marks, negative marks, boxes."""
    z, y, x = turn.mask.shape
    block = Frame((0, 0, 0), (z, y, x), (z, y, x))
    return np.concatenate([turn.mask[None].astype(np.float32), volume_prompt_channels(turn.prompts, block)])


@dataclass(frozen=True, eq=False)
class Block:
    """The intensities of a block with its object, the cells inside the volume, and perhaps a mask to start from."""

    intensities: Real  # [n n n]
    truth: MaskArray
    valid: MaskArray
    start: MaskArray | None = None
    real: bool = False  # a real object in its own surroundings


@dataclass(frozen=True, eq=False)
class VolumeSampler:
    """Draws samples by number: the same number is the same sample in any process."""

    subjects: Sequence[Subject]
    settings: Settings
    pool: CasePool = field(init=False)
    pictures: CasePool = field(init=False)

    def __post_init__(self) -> None:
        flat = [subject for subject in self.subjects if subject.image.flat]
        object.__setattr__(self, "pool", CasePool([subject for subject in self.subjects if not subject.image.flat]))
        object.__setattr__(self, "pictures", CasePool(flat))

    def __getitem__(self, number: int) -> Game:
        s = self.settings
        rng = np.random.default_rng((s.seed, number))
        cells = self.cells(number)
        for _ in range(8):
            block = self._block(rng, cells)
            block = _cut_by_border(
                rng, _augment_geometry(rng, block, upright=block.real and rng.random() < UPRIGHT_SHARE)
            )
            if block.truth.sum() >= MIN_OBJECT_CELLS:
                break
        intensities = augment_intensity(rng, block.intensities) if rng.random() < 0.8 else block.intensities
        start = block.start
        if start is None and rng.random() < 0.2:
            start = initial_mask(rng, block.truth)
        if start is not None:
            start = start & block.valid
        sample = new_game(rng, volume_intensity_channels(intensities, block.valid), block.truth, start)
        unsized = start is None and not isinstance(sample.user, BoxFirst | OpenThen)
        guess = rough_box(rng, block.truth) if unsized and rng.random() < GUESS_SHARE else None
        return replace(sample, forgetful=bool(rng.random() < s.forget), guess=guess)

    def cells(self, number: int) -> int:
        """Return the side of a sample's block, which is the same for a whole batch."""
        s = self.settings
        kind = np.random.default_rng((s.seed, number // s.batch, 1)).random()
        return SMALL_BLOCK if kind < s.small else LARGE_BLOCK if kind < s.small + s.large else CELLS

    def _block(self, rng: np.random.Generator, cells: int) -> Block:
        if not self.pool.groups or rng.random() < self.settings.synthetic:
            intensities, truth = volume(rng, cells)
            return Block(intensities, truth, np.ones_like(truth))
        if self.pictures.groups and rng.random() < self.settings.bodies:
            intensities, truth = self._body(rng, cells)
            return Block(intensities, truth, np.ones_like(truth))
        if rng.random() < self.settings.regions:
            intensities, valid = self._anywhere(rng, cells)
            region = similar_region(rng, intensities[None])
            if region is not None:
                return Block(intensities, region & valid, valid)
        block = self._real(rng, cells)
        if rng.random() < self.settings.layered and block.truth.any():
            ripple = smooth_solid(rng, int(rng.integers(2, 6)), cells)
            intensities, truth = add_layers(rng, block.intensities, block.truth, ripple)
            return Block(intensities, truth & block.valid, block.valid)
        if rng.random() < self.settings.pasted:
            truth = solid(rng, cells)
            intensities = blend_object(rng, block.intensities, truth)
            return Block(intensities, truth & block.valid, block.valid)
        return block

    def _real(self, rng: np.random.Generator, cells: int) -> Block:
        subject = self.pool.draw(rng)
        found = places(subject)
        value = int(rng.choice(list(found)))
        if not subject.instances and len(found) > 1 and rng.random() < 0.2:
            value = 0  # all of them
        box = box_of(found, value)
        partial = rng.random() < 0.25
        frame = (_partial if partial else frame_near)(rng, subject, box, value, cells)
        channel = int(rng.integers(len(subject.image.voxels)))
        intensities = frame.subsample_to_grid(subject.image.voxels[channel])
        truth = object_share(subject, frame, value) > 0.5
        start = None
        if partial and rng.random() < 0.85:
            start = blur_mask(rng, truth) if rng.random() < 0.4 else add_local_error(rng, truth)
        return Block(intensities, truth, frame.cells_in_volume(subject.labels.shape), start, real=True)

    def _body(self, rng: np.random.Generator, cells: int) -> tuple[Real, MaskArray]:
        """Return an object of a picture, or a region of similar intensity, made into a volume (`drawn.bodies`)."""
        for _ in range(8):
            picture, truth = _picture(rng, self.pictures.draw(rng), cells)
            region = similar_region(rng, picture[None]) if rng.random() < 0.3 else None
            truth = truth if region is None else region
            if truth.sum() >= MIN_OBJECT_PIXELS and rng.random() < self.settings.layered:
                picture, truth = add_layers(rng, picture, truth, smooth_field(rng, int(rng.integers(2, 6)), cells))
            if truth.sum() >= MIN_OBJECT_PIXELS:
                break
        else:
            return volume(rng, cells)
        return body(rng, picture, truth, _picture(rng, self.pictures.draw(rng), cells)[0])

    def _anywhere(self, rng: np.random.Generator, cells: int) -> tuple[Real, MaskArray]:
        """Return some block of a real volume and which of its cells lie in the volume."""
        image = self.pool.draw(rng).image
        whole = whole_frame(image.shape, image.spacing, (cells,) * 3)
        share = float(np.exp(rng.uniform(np.log(0.15), 0.0)))
        low = np.add(whole.low, rng.random(3) * (1 - share) * whole.length)
        length = np.multiply(whole.length, share)
        frame = replace(whole, low=three(low), length=three(length))
        intensities = frame.subsample_to_grid(image.voxels[int(rng.integers(len(image.voxels)))])
        return intensities, frame.cells_in_volume(image.shape)


def _picture(rng: np.random.Generator, subject: Subject, cells: int) -> tuple[Real, Flat]:
    """Return one channel of a picture near an object, and the object."""
    plane = subject.labels[0] == int(rng.choice(list(places(subject))))
    window = window_round(rng, plane, float(np.divide(*subject.image.spacing[1:])))
    channel = subject.image.voxels[int(rng.integers(len(subject.image.voxels))), 0]
    return resample_to_grid(channel, window, cells), resample_to_grid(plane, window, cells) > 0.5


def box_of(found: dict[int, tuple[slice, ...]], value: int) -> Box:
    """Return the box of a label value, of all of them for 0."""
    some = list(found.values()) if value == 0 else [found[value]]
    low = [min(box[axis].start for box in some) for axis in range(3)]
    high = [max(box[axis].stop for box in some) for axis in range(3)]
    return Box.of(low, high)


def _object(subject: Subject, box: Box, value: int) -> MaskArray:
    labels = subject.labels[box.slices]
    return np.asarray(labels > 0 if value == 0 else labels == value)


def object_share(subject: Subject, frame: Frame, value: int) -> Real:  # [*cells]
    """Return the object's share of each cell of a frame, from the part of the volume that the frame covers."""
    shape = subject.labels.shape
    part = frame.box(Box((0, 0, 0), frame.cells), shape).grown(2).clipped(shape)
    a, b, c = (low - start for low, start in zip(frame.low, part.low, strict=True))
    return replace(frame, low=(a, b, c)).resample_to_grid(_object(subject, part, value))


def frame_near(rng: np.random.Generator, subject: Subject, box: Box, value: int, cells: int) -> Frame:
    """Return a frame round the object, mostly narrow and sometimes wide, at a random offset."""
    image, grid = subject.image, (cells,) * 3
    margin = float(np.exp(rng.uniform(np.log(1.15), np.log(2.0) if rng.random() < 0.6 else np.log(4.0))))
    whole = whole_frame(image.shape, image.spacing, grid)
    frame = frame_around(box, image.spacing, margin=margin, cells=grid, least=MIN_BLOCK_VOXELS)
    if frame.length[0] > 1.1 * whole.length[0] or rng.random() < 0.1:
        frame = whole
    slack = (0.5 - 0.5 / margin) * rng.uniform(-0.8, 0.8, 3) * frame.length
    a, b, c = (np.asarray(frame.low) + slack).tolist()
    return replace(frame, low=(a, b, c))


def _partial(rng: np.random.Generator, subject: Subject, box: Box, value: int, cells: int) -> Frame:
    """Return a frame on a part of the object's surface."""
    inside = _object(subject, box, value)
    areas = inside.sum(axis=(1, 2))
    z = int(rng.choice(np.flatnonzero(areas)))
    edge = np.argwhere(inside[z] & ~ndimage.binary_erosion(inside[z]))
    y, x = edge[rng.integers(len(edge))].tolist()
    place = Box((z, y, x), (z + 1, y + 1, x + 1))
    low, high = np.add(place.low, box.low).tolist(), np.add(place.high, box.low).tolist()
    spacing = subject.image.spacing
    longest = float((np.asarray(box.shape) * spacing).max() / spacing.min())
    side = max(MIN_BLOCK_VOXELS, longest * rng.uniform(0.25, 0.75))
    frame = frame_around(Box.of(low, high), spacing, margin=1.0,
                        cells=(cells,) * 3, least=side)  # fmt: skip
    a, b, c = (np.asarray(frame.low) + rng.uniform(-0.25, 0.25, 3) * frame.length).tolist()
    return replace(frame, low=(a, b, c))


def _augment_geometry(rng: np.random.Generator, block: Block, *, upright: bool) -> Block:
    """Return a block flipped, with its axes permuted, and under a small affine transform; cells are isotropic."""
    parts = [block.intensities, block.truth, block.valid] + ([] if block.start is None else [block.start])
    if not upright:
        order = rng.permutation(3)
        flips = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in range(3))
        parts = [part.transpose(order)[flips] for part in parts]
    if rng.random() < 0.35:
        cells = len(block.intensities)
        matrix = np.eye(3) + rng.normal(0, 0.12, (3, 3))
        middle = np.full(3, (cells - 1) / 2)
        offset = middle - matrix @ middle
        parts = [
            ndimage.affine_transform(np.asarray(part, np.float32), matrix, offset, order=1, cval=0.0) for part in parts
        ]
    intensities = np.ascontiguousarray(parts[0], np.float32)
    truth, valid, *start = (np.ascontiguousarray(np.asarray(part, np.float32) > 0.5) for part in parts[1:])
    return Block(intensities, truth, valid, start[0] if start else None)


def _cut_by_border(rng: np.random.Generator, block: Block) -> Block:
    """Return the block, in one of eight with the volume's border through or near the object."""
    if rng.random() > 0.12 or not block.truth.any():
        return block
    axis = int(rng.integers(3))
    along = np.flatnonzero(block.truth.any(axis=tuple(a for a in range(3) if a != axis)))
    low, high = int(along[0]), int(along[-1]) + 1
    at = max(int(low + rng.uniform(-0.1, 0.6) * (high - low)), 0)
    valid = block.valid.copy()
    valid[tuple(slice(None, at) if a == axis else slice(None) for a in range(3))] = False
    start = None if block.start is None else block.start & valid
    return Block(np.where(valid, block.intensities, 0).astype(np.float32), block.truth & valid, valid, start)


def augment_intensity(rng: np.random.Generator, intensities: Real) -> Real:
    """Return intensities in [0, 1] with random gamma, inversion, blur, thick slices, noise and bias field."""
    low, high = np.percentile(intensities.ravel()[::7], (0.5, 99.5))
    out = np.clip((intensities - low) / max(float(high - low), 1e-6), 0, 1)
    if rng.random() < 0.5:
        out = out ** np.exp(rng.uniform(-0.7, 0.7))
    if rng.random() < 0.2:
        out = 1 - out
    if rng.random() < 0.2:
        out = ndimage.gaussian_filter(out, rng.uniform(0.4, 1.2))
    if rng.random() < 0.1:
        out = thicken_slices(rng, out)
    if rng.random() < 0.4:
        out = out + rng.standard_normal(out.shape, dtype=np.float32) * rng.uniform(0, 0.12)
    if rng.random() < 0.25:
        out = out * (1 + 0.3 * rng.random() * smooth_solid(rng, 2, len(out)))
    return np.asarray(out, np.float32)


def initial_mask(rng: np.random.Generator, truth: MaskArray) -> MaskArray:
    """Return a mask to start a game from: perturbed, blurred, wrong in one place, of one plane, or another object's."""
    kind = rng.random()
    if kind < 0.35:
        return perturb_mask(rng, truth)
    if kind < 0.55:
        return blur_mask(rng, truth)
    if kind < 0.8:
        return add_local_error(rng, truth)
    return single_plane(rng, truth) if kind < 0.96 else solid(rng, len(truth))


def single_plane(rng: np.random.Generator, truth: MaskArray) -> MaskArray:
    """Return what a person drew in one plane only."""
    axis = int(rng.integers(3))
    areas = truth.sum(axis=tuple(a for a in range(3) if a != axis))
    out = np.zeros_like(truth)
    if areas.any():
        at = int(rng.choice(np.flatnonzero(areas >= 0.5 * areas.max())))
        plane = tuple(slice(at, at + 1) if a == axis else slice(None) for a in range(3))
        out[plane] = truth[plane]
    return out
