"""RefineNet's experiment: refining against CRF, GAN, graph cut and DEXTR, in slices and from slice to slice."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from segmend import methods
from segmend.classical.methods.graphcut import BOUNDARY, SCALE, SHARPNESS
from segmend.classical.solvers.densecrf import Kernels, densecrf
from segmend.classical.solvers.unary import APPEARANCE_LIMIT
from segmend.core.image import Box, Image, MaskArray, Real
from segmend.core.logits import logit
from segmend.core.marks import marks
from segmend.core.masks import dice
from segmend.core.prompts import Prompt
from segmend.core.seeds import BACKGROUND, FOREGROUND, seeds_of_mask
from segmend.core.segmenter import Segmenter, Workspace, answer
from segmend.datasets.folder import sets
from segmend.evaluation.metrics import ppv, sensitivity
from segmend.learning.loop import run as train
from segmend.learning.subjects import Subject
from segmend.papers.dextr import method as dextr
from segmend.papers.dextr import recipe as dextr_recipe
from segmend.papers.refinenet import gan_method as gan_refine
from segmend.papers.refinenet import gan_recipe
from segmend.papers.refinenet import method as refinenet
from segmend.papers.refinenet import recipe as refinenet_recipe
from segmend.papers.refinenet.gan_method import GanRefineWorkspace
from segmend.papers.refinenet.method import RefineNetWorkspace, in_noise
from segmend.papers.study.experiment import Better, Close, Experiment, Pick, Picture, Plan, Score
from segmend.runtime import cards
from segmend.sampling.slices import continues
from segmend.solvers.edges import likeness
from segmend.solvers.maxflow import cut, offsets, whole_numbers
from segmend.users import ExtremePoints, GivenSlice
from segmend.users.seeds import on_plane, strokes

LIVER, ATRIUM, HEART, SARCOMA = "ircad_liver_ct2d", "left_atrium_mr", "cardiac_acdc_mr", "sarcoma_ct"
CARD = cards.papers()["refinenet"]
VOLUMES = (ATRIUM, HEART, SARCOMA)
LEFT_VENTRICLE = 3
OBJECTS: Mapping[str, tuple[int, ...]] = {HEART: (LEFT_VENTRICLE,)}  # of other sets every label is the object
STEPS = 700  # of every arm's training, times the effort
EXAM = 16  # samples that every training is validated on
FCN_WIDTHS = (16, 24, 48, 64, 64)  # channels of the FCN's levels
LIMIT = 12  # cases of each set, unless the plan says otherwise
HELD_OUT = 6  # every so-manieth patient of the training split is kept to validate on
SEARCHED = 6  # of these cases, those by which the settings of CRF and graph cut are chosen
# How much the dense CRF's kernels count, and their width in noise; what a graph cut's boundary costs. The usual first.
KERNELS = tuple(
    Kernels(smooth_weight=6 * much, weight=1.5 * much, intensity=intensity)
    for much in (1.0, 0.3, 0.1)
    for intensity in (1.5, 5.0, 15.0)
)
STIFFNESS = (1.0, 0.3, 3.0)

UNET, FCN, CASCADED = "RefineNet (U-Net)", "RefineNet (FCN)", "RefineNet (cascaded U-Net)"
BACKBONES = {UNET: "U-Net", FCN: "FCN", CASCADED: "cascaded U-Net"}
CRF, CRF_3D, GAN = "U-Net + CRF", "cascaded U-Net + CRF", "GAN"
CUT, CUT_ERRORS = "U-Net + graph cut", "U-Net + graph cut by RefineNet's seeds"
GRAPH_CUT, DEXTR = "graph cut", "DEXTR"
CARRIED = {name: f"{name} slice by slice" for name in (UNET, GRAPH_CUT, "graph cut with shape", DEXTR)}
SHAPE = "graph cut with shape"
LEVEL_SET = "level set (Li et al.)"
ENDS = f"{CARRIED[UNET]}, ends given"

Masks = Mapping[str, MaskArray]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Study:
    """A case to measure: an image, the object, and where it comes from."""

    set: str
    name: str
    image: Image
    truth: MaskArray  # [z y x]

    @cached_property
    def slices(self) -> tuple[tuple[Image, MaskArray], ...]:
        """Every axial slice as a picture of its own."""
        image, truth = self.image, self.truth
        return tuple((Image(image.voxels[:, z : z + 1], image.affine), truth[z : z + 1]) for z in range(image.shape[0]))


def run(plan: Plan) -> Iterator[Score]:
    """Train and measure every arm under every seed."""
    names = present(plan.data, plan.split)
    classical: list[Score] = []  # they learn nothing: what one seed gave holds for all
    for seed in plan.seeds:
        measured = partial(_measure, plan, names, seed)
        for arm, first in BACKBONES.items():
            arms = [first, arm]
            if arm == UNET:
                arms += [CRF, CUT, CUT_ERRORS, CARRIED[UNET], ENDS]
            if arm == CASCADED:
                arms += [CRF_3D]
            yield from plan.once(arms, seed, partial(measured, arms, partial(refined_arms, plan, names, seed, arm)))
        yield from plan.once(GAN, seed, partial(measured, [GAN], partial(gan_arm, plan, names, seed)))
        arms = [DEXTR, CARRIED[DEXTR]]
        yield from plan.once(arms, seed, partial(measured, arms, partial(dextr_arms, plan, names, seed)))
        arms = [GRAPH_CUT, LEVEL_SET, CARRIED[GRAPH_CUT], CARRIED[SHAPE]]
        if not classical:
            classical = list(plan.once(arms, seed, partial(measured, arms, classical_arms)))
            yield from classical
        else:
            yield from plan.once(arms, seed, partial(_again, classical, seed))


Arms = Mapping[str, Callable[[Study], MaskArray | None]]  # None: the arm has nothing to say to a case of this kind


def _measure(
    plan: Plan, names: Sequence[str], seed: int, wanted: Sequence[str], arms: Callable[[], Arms]
) -> Iterator[Score]:
    found = arms()
    assert sorted(found) == sorted(wanted)
    for study in studies(plan.data, plan.split, names, plan.limit or LIMIT):
        plan.log(f"seed {seed}: {', '.join(found)} on {study.set}/{study.name}")
        for arm, segment in found.items():
            begun = time.perf_counter()
            mask = segment(study)
            seconds = (time.perf_counter() - begun) / study.image.shape[0]
            if mask is not None:
                more = {"sensitivity": sensitivity(study.truth, mask), "ppv": ppv(study.truth, mask)}
                yield Score(arm, study.set, study.name, dice(study.truth, mask), seed, 1, seconds, more)


def _again(scores: Sequence[Score], seed: int) -> Iterator[Score]:
    return (replace(score, seed=seed) for score in scores)


def present(data: Path, split: str = "val") -> tuple[str, ...]:
    """Return the sets of this experiment that are there, with cases to learn from and to measure on."""
    there = [{one.name for one in sets(data, part)} for part in ("train", split)]
    return tuple(name for name in CARD.sets if all(name in names for names in there))


def studies(data: Path, split: str, names: Sequence[str], limit: int | None) -> Iterator[Study]:
    """Yield the cases that hold the object."""
    for one in sets(data, split, limit=limit):
        if one.name in names:
            for case in one.cases:
                example = case.read()
                truth = _object(one.name, example.labels)
                if truth.any():
                    yield Study(one.name, case.name, example.first, truth)


def _object(name: str, labels: Any) -> MaskArray:
    wanted = OBJECTS.get(name)
    return np.asarray(np.isin(labels, wanted) if wanted else labels > 0)


def held_out(data: Path, names: Sequence[str]) -> tuple[list[Subject], list[Subject]]:
    """Return the cases to learn from and those of other patients to validate on, both of the training split."""
    learned: list[Subject] = []
    kept: list[Subject] = []
    patients: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = {}
    for study in studies(data, "train", names, None):
        subject = Subject(study.image, study.truth.astype(np.uint16), False, study.set, study.name)
        patient = study.set, study.name.split("_frame")[0] if study.set != LIVER else study.name.split("_")[0]
        if patient not in patients:
            patients[patient] = counts.get(study.set, 0)
            counts[study.set] = patients[patient] + 1
        (kept if patients[patient] % HELD_OUT == HELD_OUT - 1 else learned).append(subject)
    return learned, kept or learned


def train_arm(plan: Plan, names: Sequence[str], seed: int, arm: str, how: ModuleType, **options: Any) -> Path:
    """Train an arm, or go on with it, and return the folder of its weights."""
    steps = max(2, round(STEPS * plan.effort))
    settings = replace(how.Settings(), seed=seed, steps=steps, **options)
    out = plan.out / f"{_plain(arm)}-{seed}"
    learned, kept = held_out(plan.data, names)
    plan.log(f"seed {seed}: training {arm}")
    train(
        how,
        learned,
        kept,
        settings,
        out,
        threads=1,
        workers=0,
        log=plan.log,
        every=max(2, steps // 3),
        exam=EXAM,
    )
    return out


def _plain(arm: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in arm.lower()).strip("-").replace("--", "-")


def refined_arms(plan: Plan, names: Sequence[str], seed: int, arm: str, *, compared: bool = True) -> Arms:
    """Return a backbone's first guess, the refined one, and what else starts from it, where these are compared."""
    backbones: Mapping[str, Mapping[str, Any]] = {
        UNET: {"backbone": "unet"},
        FCN: {"backbone": "fcn", "widths": FCN_WIDTHS},
        CASCADED: {"backbone": "cascaded"},
    }
    method = refinenet.load(train_arm(plan, names, seed, arm, refinenet_recipe, **backbones[arm]))
    arms: dict[str, Callable[[Study], MaskArray | None]] = {
        BACKBONES[arm]: lambda study: first_guess(method, study) > 0.5,
        arm: partial(by_slices, partial(refined_slice, method)),
    }
    if arm == UNET:
        arms |= {
            CARRIED[UNET]: partial(from_given_slice, method),
            ENDS: partial(from_given_slice, method, ends=True),
        }
    if not compared:
        return arms
    kept = held_out(plan.data, names)[1]
    some = [Study(one.group, one.name, one.image, one.labels > 0) for one in kept[:: max(1, len(kept) // SEARCHED)]]
    if arm == UNET:
        arms |= {
            CRF: best_on(some, KERNELS, partial(refine_by_crf, method)),
            CUT: best_on(some, STIFFNESS, partial(cut_guess, method, seeds_of_truth)),
            CUT_ERRORS: best_on(some, STIFFNESS, partial(cut_guess, method, seeds_of_errors)),
        }
    if arm == CASCADED:
        arms |= {CRF_3D: best_on(some, KERNELS, partial(refine_by_crf, method))}
    return arms


def best_on(
    kept: Sequence[Study], settings: Sequence[T], segment: Callable[[T, Study], MaskArray]
) -> Callable[[Study], MaskArray]:
    """Return a way to segment under that setting with which cases kept from training are best, the first of equals."""

    def mean(setting: T) -> float:
        return float(np.mean([dice(study.truth, segment(setting, study)) for study in kept]))

    return partial(segment, max(settings, key=mean))


def gan_arm(plan: Plan, names: Sequence[str], seed: int) -> Arms:
    """Return the network refined by its discriminator."""

    method = gan_refine.load(train_arm(plan, names, seed, GAN, gan_recipe))

    def found(study: Study) -> MaskArray:
        workspace = cast("GanRefineWorkspace", method.open(study.image))
        return np.stack([workspace.found(0, z) for z in range(study.image.shape[0])]) > 0.5

    return {GAN: found}


def dextr_arms(plan: Plan, names: Sequence[str], seed: int) -> Arms:
    """Return DEXTR with four extreme points in each slice, and with those that the slice beside it gives."""

    method = dextr.load(train_arm(plan, names, seed, DEXTR, dextr_recipe))

    def marks(here: MaskArray) -> tuple[Prompt, ...]:
        found = ExtremePoints().opening(here, np.zeros_like(here))
        return () if found is None else (cast(Prompt, found),)

    return {
        DEXTR: partial(by_slices, partial(marked_slice, method, marks)),
        CARRIED[DEXTR]: partial(carried, partial(marked_slice, method, marks)),
    }


def classical_arms() -> Arms:
    """Return graph cut with seeds of the truth in each slice, and both graph cuts from slice to slice."""
    cut, shaped = methods.load("graphcut"), methods.load("graphcut_shape")
    return {
        GRAPH_CUT: partial(by_slices, partial(marked_slice, cut, seeds_of_slice)),
        LEVEL_SET: partial(by_slices, partial(marked_slice, methods.load("levelset"), seeds_of_slice)),
        CARRIED[GRAPH_CUT]: partial(carried, partial(marked_slice, cut, seeds_of_slice)),
        CARRIED[SHAPE]: partial(from_given_slice, shaped),
    }


# How one slice, or a volume from one slice, is segmented.


def by_slices(segment: Callable[[Image, MaskArray], MaskArray], study: Study) -> MaskArray:
    """Return a volume whose slices are segmented one by one, each with marks made from its own truth."""
    return np.concatenate([segment(image, truth) for image, truth in study.slices])


def refined_slice(method: Segmenter, image: Image, truth: MaskArray) -> MaskArray:
    """Return the first guess, mended once by the skeletons of its errors."""
    workspace = method.open(image)
    first = workspace.predict((), np.zeros_like(truth)).mask
    return _answer(workspace, on_plane(truth, first, 0), first)


def marked_slice(
    method: Segmenter, marks: Callable[[MaskArray], tuple[Prompt, ...]], image: Image, near: MaskArray
) -> MaskArray:
    """Return what a method makes of a slice from marks that follow from a mask: the truth, or the slice beside."""
    return _answer(method.open(image), marks(near), np.zeros_like(near))


def _answer(workspace: Workspace, marks: Sequence[Prompt], before: MaskArray) -> MaskArray:
    return answer(workspace, marks, before, new=len(marks)).over(before) if marks else before


def seeds_of_slice(here: MaskArray) -> tuple[Prompt, ...]:
    """Return strokes along the skeleton of a mask, and round it along the rim of the dilated mask."""
    seeds = seeds_of_mask(here[0])
    return (*strokes(seeds.foreground, 0, positive=True), *strokes(seeds.background, 0, positive=False))


def carried(segment: Callable[[Image, MaskArray], MaskArray], study: Study) -> MaskArray | None:
    """Return a volume from its largest slice, each slice marked by the mask of the one before, to the object's ends."""
    if study.image.flat:
        return None
    given = int(study.truth.sum(axis=(1, 2)).argmax())
    mask = np.zeros_like(study.truth)
    mask[given] = study.truth[given]
    for step in (-1, 1):
        at = given + step
        while 0 <= at < len(mask):
            fresh = segment(study.slices[at][0], mask[at - step : at - step + 1])
            if not continues(mask[at - step], fresh[0]):
                break
            mask[at] = fresh[0]
            at += step
    return mask


def from_given_slice(method: Segmenter, study: Study, *, ends: bool = False) -> MaskArray | None:
    """Return a volume from its largest slice by a method that knows itself how to go on.

    With `ends` a person has also said in which slice the object begins and in which it ends.
    """
    if study.image.flat:
        return None
    nothing = np.zeros_like(study.truth)
    marks = [cast(Prompt, GivenSlice().opening(study.truth, nothing))]
    if ends:
        there = np.flatnonzero(study.truth.any(axis=(1, 2)))
        _, rows, columns = study.truth.shape
        marks.insert(0, Box((int(there[0]), 0, 0), (int(there[-1]) + 1, rows, columns)))
    return _answer(method.open(study.image), marks, nothing)


def first_guess(method: Segmenter, study: Study) -> Real:
    """Return the backbone's probabilities."""
    workspace = cast("RefineNetWorkspace", method.open(study.image))
    return np.stack([workspace.backbone_answer(0, z).probability for z in range(study.image.shape[0])])


def refine_by_crf(method: Segmenter, kernels: Kernels, study: Study) -> MaskArray:
    """Return the first guess after a dense CRF: in 3D for a volume."""
    values, spacing = in_noise(study.image), study.image.spacing
    steps = (spacing / spacing.min()).tolist()
    probability = densecrf(first_guess(method, study), values, spacing=steps, kernels=kernels)
    return np.asarray(probability > 0.5)


def seeds_of_truth(truth: MaskArray, guess: MaskArray) -> tuple[Prompt, ...]:
    """Return the seeds that the paper gives graph cut: they follow from the truth alone."""
    return seeds_of_slice(truth)


def seeds_of_errors(truth: MaskArray, guess: MaskArray) -> tuple[Prompt, ...]:
    """Return the seeds that RefineNet gets: the skeletons of the guess's errors."""
    return on_plane(truth, guess, 0)


def cut_guess(
    method: Segmenter, seeds: Callable[[MaskArray, MaskArray], tuple[Prompt, ...]], stiffness: float, study: Study
) -> MaskArray:
    """Return the first guess after a graph cut in which seeds are fixed and the guess is each pixel's unary.

    `stiffness` is what a boundary costs, beside what it does in the method `graphcut`.
    """
    guess, values = first_guess(method, study), in_noise(study.image)
    masks = []
    for z, (_, truth) in enumerate(study.slices):
        here, shape = guess[z : z + 1], truth.shape
        steps = offsets(shape)
        prices = likeness(values[:, z : z + 1], steps, sharpness=SHARPNESS)
        fixed = np.zeros(shape, np.uint8)
        for points, value in zip(marks(seeds(truth, here > 0.5), shape), (FOREGROUND, BACKGROUND), strict=True):
            fixed[tuple(points.T)] = value
        logits = np.clip(logit(here, 1e-6), -APPEARANCE_LIMIT, APPEARANCE_LIMIT)
        arcs = whole_numbers(prices, scale=stiffness * SCALE * BOUNDARY[len(steps)])
        masks.append(cut(whole_numbers(logits, scale=SCALE), arcs, fixed=fixed).inside)
    return np.concatenate(masks)


def pictures(plan: Plan) -> Sequence[Picture]:
    """Return a slice of a case of each set under several arms: right in red, too much in blue, missed in green."""
    names, seed = present(plan.data, plan.split), plan.seeds[0]
    found = {**refined_arms(plan, names, seed, UNET, compared=False), **classical_arms()}
    shown = (BACKBONES[UNET], UNET, CARRIED[GRAPH_CUT], CARRIED[SHAPE], CARRIED[UNET])
    sheets = []
    for name in names:
        study = next(studies(plan.data, plan.split, (name,), None))
        masks = {arm: mask for arm in shown if (mask := found[arm](study)) is not None}
        areas = study.truth.sum(axis=(1, 2))
        at = int(np.flatnonzero(areas)[np.count_nonzero(areas) // 4])  # some way from the given slice
        tiles = [painted(study, mask, at) for mask in masks.values()]
        sheets.append(Picture(f"{name}/{study.name}: {', '.join(masks)}", _png(np.concatenate(tiles, axis=1))))
    return sheets


def painted(study: Study, mask: MaskArray, at: int) -> NDArray[np.uint8]:  # [y x 3]
    """Return a slice in grey, with what a mask has right in red, too much in blue and missed in green."""
    plane = study.image.voxels[0, at].astype(np.float32)
    low, high = np.percentile(plane, (1, 99))
    grey = np.clip((plane - low) / max(float(high - low), 1e-6), 0, 1) * 255
    out = np.repeat(grey[..., None], 3, axis=-1)
    truth, here = study.truth[at], mask[at]
    for channel, where in enumerate((truth & here, truth & ~here, here & ~truth)):
        out[where] *= 0.6
        out[where, channel] += 100
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def _png(rows: NDArray[np.uint8]) -> bytes:
    from PIL import Image as Sheet

    buffer = io.BytesIO()
    Sheet.fromarray(rows).save(buffer, format="PNG")
    return buffer.getvalue()


NOTES = """The paper trains on 3D-IRCADb and leaves one patient out. Here one network of each kind is trained on all
sets at once (axial liver CT slices, left atrium MR, the left ventricle in cardiac MR, sarcoma CT; patients of the
training split only, a sixth of them kept to validate on), at 128 x 128 cells and reduced widths, and measured on the
validation split. The liver set has single slices, so slice by slice is measured on the other three.

- A slice's marks in one interaction: RefineNet gets the skeletons of its own first guess's errors, graph cut the
  skeleton and the rim of the dilated truth, DEXTR four extreme points, all from the truth as in the paper. Graph cut
  on the same backbone is also given RefineNet's own seeds.
- The dense CRF settles the first guess without marks, in 3D where the case is a volume. Its kernels, and what a graph
  cut's boundary costs on the same backbone, are those that serve best on cases kept from training, for each seed.
- All slices count, also those without the object, except that a method whose marks follow from the truth alone is not
  asked where there is none.
- The paper's text leaves open: the seeds' width (a standard deviation of 2 cells), the dilation (3 pixels), losses
  (soft Dice and cross entropy of the refined and the three initial segmentations). Beyond the paper, some training
  samples get only part of their seeds and some those of the neighbouring slice.
- Where an object ends in a volume neither a slice nor the paper says. The arm "ends given" shows what of the loss from
  slice to slice comes from going past the ends.
- The level set gets the same seeds as graph cut; the paper's own preprocessing is not part of this comparison."""

IRCAD = (
    (LEVEL_SET, 0.945, None, None),
    (BACKBONES[FCN], 0.709, 0.665, 0.743),
    (BACKBONES[UNET], 0.729, 0.709, 0.742),
    (BACKBONES[CASCADED], 0.931, None, None),
    (CRF_3D, 0.943, None, None),
    (GRAPH_CUT, 0.936, 0.885, 0.911),
    (DEXTR, 0.907, 0.917, 0.853),
    (FCN, 0.941, 0.927, 0.949),
    (UNET, 0.960, 0.955, 0.964),
    (CARRIED[GRAPH_CUT], 0.890, 0.932, 0.855),
    (CARRIED[SHAPE], 0.926, 0.908, 0.937),
    (CARRIED[DEXTR], 0.582, 0.825, 0.450),
    (CARRIED[UNET], 0.937, 0.941, 0.918),
)

EXPERIMENT = Experiment(
    paper=CARD.id,
    title=CARD.title,
    sets=CARD.sets,
    run=run,
    claims=(
        Better("Refining beats the U-Net's own first guess.", Pick(UNET), Pick(BACKBONES[UNET])),
        Better("Refining beats the FCN's own first guess.", Pick(FCN), Pick(BACKBONES[FCN])),
        Better("Refining beats a CRF on the same backbone.", Pick(UNET), Pick(CRF)),
        Better("Refining beats adversarial training of the same networks.", Pick(UNET), Pick(GAN)),
        Better("Refining beats graph cut on the same backbone.", Pick(UNET), Pick(CUT)),
        Better("It does so with the same seeds, too.", Pick(UNET), Pick(CUT_ERRORS)),
        Better("Refining beats graph cut on the image.", Pick(UNET), Pick(GRAPH_CUT)),
        Better("Refining beats the level set.", Pick(UNET), Pick(LEVEL_SET)),
        Better("Refining beats DEXTR.", Pick(UNET), Pick(DEXTR)),
        Better("A U-Net is the better backbone to refine.", Pick(UNET), Pick(FCN)),
        Better("Slice by slice it beats graph cut.", Pick(CARRIED[UNET]), Pick(CARRIED[GRAPH_CUT])),
        Better("Slice by slice it beats graph cut with shape.", Pick(CARRIED[UNET]), Pick(CARRIED[SHAPE])),
        Better("Slice by slice it beats DEXTR.", Pick(CARRIED[UNET]), Pick(CARRIED[DEXTR])),
        Close(
            "Slice by slice it loses little against seeds in every slice.",
            Pick(CARRIED[UNET], sets=VOLUMES),
            Pick(UNET, sets=VOLUMES),
            within=0.05,
        ),
        Close(
            "It loses little where the object's first and last slice are given, too.",
            Pick(ENDS, sets=VOLUMES),
            Pick(UNET, sets=VOLUMES),
            within=0.05,
        ),
    ),
    theirs=tuple({"arm": arm, "Dice": d, "SEN": s, "PPV": p} for arm, d, s, p in IRCAD),
    notes=NOTES,
    pictures=pictures,
)
