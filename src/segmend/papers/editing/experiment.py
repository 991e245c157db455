"""Deep editing's experiment: no edit, one, several, each tool where it is meant to help, and edits that are wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from segmend.core.image import Image, MaskArray, whole
from segmend.core.masks import dice
from segmend.core.prompts import Adjust, Prompt
from segmend.core.segmenter import Segmenter, Workspace, answer
from segmend.datasets.folder import sets
from segmend.learning.loop import run as train
from segmend.learning.subjects import Subject
from segmend.papers.deepigeos import method as deepigeos
from segmend.papers.deepigeos import recipe as deepigeos_recipe
from segmend.papers.deepigeos.method import DeepIGeoSWorkspace
from segmend.papers.editing import recipe as editing_recipe
from segmend.papers.editing.method import load, see_volume
from segmend.papers.editing.recipe import FIRST as WEIGHTS
from segmend.papers.editing.recipe import Settings
from segmend.papers.study.experiment import (
    PERSON,
    Better,
    Close,
    Experiment,
    Fast,
    Less,
    Pick,
    Picture,
    Plan,
    Score,
)
from segmend.papers.study.overlay import painted, png
from segmend.runtime import cards
from segmend.runtime.engine import weights_of
from segmend.sampling.frame import whole_frame
from segmend.users import Adjustment, Brush, Editor, Edits, Selection, WrongEdit
from segmend.users.play import User, as_prompts, play
from segmend.users.seconds import GIVEN_UP, seconds_of

HIPPOCAMPUS, ATRIUM, BRAIN = "hippocampus_mr", "left_atrium_mr", "brats2015_mr"
CARD = cards.papers()["editing"]
CHANNELS = {BRAIN: 2}  # FLAIR and T1 with contrast agent; of other sets the one there is
LEFT_OUT = (BRAIN,)  # so few cases here that each is measured by networks that learned from all the others
FEW = 20  # cases, below which that is so
STEPS = {HIPPOCAMPUS: 700, ATRIUM: 700, BRAIN: 200}  # of F and G together, times the effort; a network each
STEPS_UNET, STEPS_DEEPIGEOS = 350, 1200
GRID, WIDTH, LEVELS = (48, 48, 48), 8, 4
HELD_OUT = 6  # every so-manieth patient of the training split is kept to validate on
MOST = 6  # edits of a case
CONTENT = 0.93  # the Dice that needs no edit

FIRST, EDITED, SIMULATED = "F, automatic", "G, edited", "G, simulated edits"
SELECTION, BRUSH, ADJUSTMENT = "selection tool", "brush tool", "adjustment tool"
RIGHT, HEALTHY, ERASED = "right: an error marked", "wrong: healthy tissue marked", "wrong: object erased"
SERIES = (-0.5, -0.25, 0.25, 0.5)  # of the adjustment tool, as in the paper's figure 5
SMALL = 0.5  # of what a right edit changes: what a wrong one may
DEEPIGEOS = "DeepIGeoS"
FIRST_UNET, SELECTION_UNET = "3D U-Net: F", "3D U-Net: selection tool"
ADJUSTED = {k: f"adjusted by {k:g}" for k in SERIES}  # above 0 to larger masks
ISENSEE = (FIRST, EDITED, SIMULATED, SELECTION, BRUSH, ADJUSTMENT, RIGHT, HEALTHY, ERASED, *ADJUSTED.values())
UNET = (FIRST_UNET, SELECTION_UNET)


@dataclass(frozen=True, eq=False)
class Networks:
    """F and G of one training, and the cases that they have not seen."""

    folder: Path  # of G, and of F as it was when G began
    automatic: Path  # of F after as many steps as both had in `folder`, G having begun as F
    settings: Settings
    unseen: Sequence[Subject]

    def edited(self) -> Segmenter:
        """Return the method with G."""
        return load(self.folder)

    def first(self, image: Image) -> MaskArray:
        """Return F's mask of a volume."""
        frame = whole_frame(image.shape, image.spacing, self.settings.grid)
        x = see_volume(image, frame, self.settings.channels)[None]
        logits = weights_of("editing", WEIGHTS, self.automatic).run({"x": x})["logits"][0, 0]
        return np.asarray(frame.resample_to_voxels(logits, whole(image.shape)) > 0)


def run(plan: Plan) -> Iterator[Score]:
    """Train F and G on each set under every seed, and edit the cases they have not seen."""
    names = present(plan.data, plan.split)
    for seed in plan.seeds:
        yield from plan.once(ISENSEE, seed, partial(with_isensee, plan, names, seed))
        if HIPPOCAMPUS in names:
            yield from plan.once(UNET, seed, partial(with_unet, plan, seed))
        yield from plan.once(DEEPIGEOS, seed, partial(with_deepigeos, plan, names, seed))


def present(data: Path, split: str = "val") -> tuple[str, ...]:
    """Return the sets of this experiment that are there, with cases to learn from and to measure on."""
    there = [{one.name for one in sets(data, part)} for part in ("train", split)]
    return tuple(name for name in CARD.sets if all(name in names for names in there))


def with_isensee(plan: Plan, names: Sequence[str], seed: int) -> Iterator[Score]:
    """Yield what every arm of the paper's own network scores."""
    for name in names:
        for networks in train_on_set(plan, name, "isensee", seed):
            method = networks.edited()
            for subject in networks.unseen:
                plan.log(f"seed {seed}: editing {subject.group}/{subject.name}")
                yield from score_arms(subject, method, networks.first(subject.image), seed)


def with_unet(plan: Plan, seed: int) -> Iterator[Score]:
    """Yield what the other body scores: F, and G with the selection tool."""
    for networks in train_on_set(plan, HIPPOCAMPUS, "unet3d", seed):
        method = networks.edited()
        for subject in networks.unseen:
            case = _Case(subject, seed)
            yield case.score(FIRST_UNET, networks.first(subject.image))
            yield from tool(case, method.open(subject.image), SELECTION_UNET, _tools(seed)[SELECTION])


def with_deepigeos(plan: Plan, names: Sequence[str], seed: int) -> Iterator[Score]:
    """Yield what DeepIGeoS makes of the same robot's clicks and strokes, from its own first mask; K it cannot take."""
    steps = max(2, round(STEPS_DEEPIGEOS * plan.effort))
    settings = replace(deepigeos_recipe.Settings(), steps=steps, seed=seed, whole=1.0, synthetic=0.0)
    for name in names:
        if name in LEFT_OUT:
            continue
        plan.log(f"training {DEEPIGEOS} on {name}")
        learned, unseen = cases(plan.data, name, _settings(name), plan.split)
        out = plan.out / f"{name}-deepigeos-{seed}"
        train(
            deepigeos_recipe, *held_out(learned), settings, out, threads=1, workers=0, log=plan.log, every=steps, exam=8
        )
        method = deepigeos.load(out)
        for subject in unseen[: plan.limit]:
            case, workspace = _Case(subject, seed), method.open(subject.image)
            yield from several(
                case,
                workspace,
                DEEPIGEOS,
                Editor(seed, slight=np.inf, content=CONTENT),
                MOST,
                by_slices(workspace, case.truth),
            )


def by_slices(workspace: Workspace, truth: MaskArray) -> MaskArray:
    """Return what DeepIGeoS makes of every slice without a mark."""
    assert isinstance(workspace, DeepIGeoSWorkspace)
    return np.stack([workspace.answer((), 0, z, np.zeros_like(plane)).mask for z, plane in enumerate(truth)])


def _settings(name: str) -> Settings:

    return editing_recipe.Settings(channels=CHANNELS.get(name, 1), sets=(name,), width=WIDTH, levels=LEVELS, grid=GRID)


def cases(data: Path, name: str, settings: Settings, split: str = "val") -> tuple[list[Subject], list[Subject]]:
    """Return a set's cases to learn from and those to measure on, their labels merged into one object."""

    return editing_recipe.subjects(data, "train", settings), editing_recipe.subjects(data, split, settings)


def train_on_set(plan: Plan, name: str, body: str, seed: int) -> Iterator[Networks]:
    """Train on a set, or go on where it was; a set of few cases is trained on once for each that is left out."""
    learned, unseen = cases(plan.data, name, _settings(name), plan.split)
    every = [*learned, *unseen]
    alone = name in LEFT_OUT and len(every) < FEW
    usual = STEPS[name if alone or name not in LEFT_OUT else HIPPOCAMPUS] if body == "isensee" else STEPS_UNET
    steps = max(4, round(usual * plan.effort))
    settings = replace(_settings(name), steps=steps, first=steps * 7 // 16, seed=seed, body=body)
    if name in CHANNELS:  # four in BraTS as it is downloaded
        settings = replace(settings, channels=min(subject.image.channels for subject in every))
    if not alone:
        folders = _train(plan, f"{name}-{body}-{seed}", settings, *held_out(learned))
        yield Networks(*folders, settings, unseen[: plan.limit])
        return
    for subject in every[: plan.limit]:
        rest = [other for other in every if other is not subject]
        folders = _train(plan, f"{name}-{body}-{seed}-without-{subject.name}", settings, rest, rest)
        yield Networks(*folders, settings, [subject])


def _train(
    plan: Plan, name: str, settings: Settings, learned: Sequence[Subject], kept: Sequence[Subject]
) -> tuple[Path, Path]:
    """Train F and G, and F alone for as many steps: G begins as F, so both have learned equally long."""
    folders = plan.out / name, plan.out / f"{name}-automatic"
    for out, changed in zip(folders, (settings, replace(settings, first=settings.steps)), strict=True):
        plan.log(f"training {out.name} on {len(learned)} cases")
        every = settings.steps
        train(editing_recipe, learned, kept, changed, out, threads=1, workers=0, log=plan.log, every=every, exam=8)
    return folders


def held_out(subjects: Sequence[Subject]) -> tuple[list[Subject], list[Subject]]:
    """Return the cases to learn from, and every so-manieth patient's to validate on.

    Two hippocampi with the numbers 2k - 1 and 2k are one patient's.
    """
    patients: dict[str, int] = {}
    kept = []
    for subject in subjects:
        head, _, number = subject.name.rpartition("_")
        patient = f"{head} {(int(number) + 1) // 2}" if number.isdigit() else subject.name
        kept.append(patients.setdefault(patient, len(patients)) % HELD_OUT == HELD_OUT - 1)
    rest = [subject for subject, out in zip(subjects, kept, strict=True) if not out]
    return rest, [subject for subject, out in zip(subjects, kept, strict=True) if out] or rest


@dataclass(frozen=True, eq=False)
class _Case:
    """A case under one seed; what its scores share."""

    subject: Subject
    seed: int

    @property
    def truth(self) -> MaskArray:
        return np.asarray(self.subject.labels > 0)

    def score(self, arm: str, mask: MaskArray, at: int = 0, seconds: float | None = None, **more: float) -> Score:
        overlap = dice(self.truth, mask)
        return Score(arm, self.subject.group, self.subject.name, overlap, self.seed, at, seconds, more)


def _tools(seed: int) -> dict[str, User]:
    """Return who uses one tool alone, where it is meant to help and not at all elsewhere."""
    return {SELECTION: Selection(seed), BRUSH: Brush(seed), ADJUSTMENT: Adjustment(seed, least=0.05)}


def score_arms(subject: Subject, method: Segmenter, first: MaskArray, seed: int) -> Iterator[Score]:
    """Yield the scores of one case under all arms of one body."""
    case = _Case(subject, seed)
    workspace = method.open(subject.image)
    yield case.score(FIRST, first)
    yield from several(case, workspace, EDITED, Editor(seed, content=CONTENT), MOST)
    yield from list(several(case, workspace, SIMULATED, Edits(seed), 1))[-1:]
    for arm, user in _tools(seed).items():
        yield from tool(case, workspace, arm, user)
    nothing = np.zeros_like(case.truth)
    for k, arm in ADJUSTED.items():
        mask = answer(workspace, (Adjust(k, of="truth"),), nothing).over(nothing)
        yield case.score(arm, mask, 1, volume=np.count_nonzero(mask) / np.count_nonzero(case.truth))
    for number, (mark, right) in enumerate((("click", SELECTION), ("stroke", BRUSH))):
        renamed = _Case(replace(subject, name=f"{subject.name}/{mark}"), seed)
        yield from tool(renamed, workspace, RIGHT, _tools(seed)[right])
        for arm, erase in ((HEALTHY, False), (ERASED, True)):
            user = WrongEdit(2 * seed + number, erase=erase, brush=mark == "stroke")
            yield from tool(renamed, workspace, arm, user)


def several(
    case: _Case, workspace: Workspace, arm: str, user: User, most: int, first: MaskArray | None = None
) -> Iterator[Score]:
    """Yield the score before any edit and after each, until the user is content."""
    nothing = np.zeros_like(case.truth)
    mask = before = answer(workspace, (), nothing).over(nothing) if first is None else first
    yield case.score(arm, mask)
    game = play(user, case.truth, interactions=most, start=mask)
    turn = next(game, None)
    at = answered = 0
    person = 0.0  # of the person and the machine
    while turn is not None:
        begun = time.perf_counter()
        mask = answer(workspace, turn.prompts, mask, new=len(turn.prompts) - answered).over(mask)
        seconds, at = time.perf_counter() - begun, at + 1
        person += seconds + seconds_of(turn.prompts[answered:], flat=False)
        answered = len(turn.prompts)
        changed = int(np.count_nonzero(mask ^ before)) / int(np.count_nonzero(case.truth))
        more = {"changed": changed, "edits": float(answered), PERSON: person}
        yield case.score(arm, mask, at, seconds, **more)
        try:
            turn = game.send(mask)
        except StopIteration:
            return


def tool(case: _Case, workspace: Workspace, arm: str, user: User) -> Iterator[Score]:
    """Yield the score before one interaction and after it; nothing where the user has no use for the tool."""
    scores = list(several(case, workspace, arm, user, 1))
    if len(scores) > 1:
        yield from scores


def pictures(plan: Plan) -> Sequence[Picture]:
    """Return the largest slice of a case of each set: F's mask, G's, and after one and several edits."""
    seed = plan.seeds[0]
    sheets = []
    for name in present(plan.data, plan.split):
        networks = next(train_on_set(plan, name, "isensee", seed))
        subject = networks.unseen[0]
        case, workspace = _Case(subject, seed), networks.edited().open(subject.image)
        nothing = np.zeros_like(case.truth)
        masks = [networks.first(subject.image), answer(workspace, (), nothing).over(nothing)]
        prompts: tuple[Prompt, ...] = ()
        for _ in range(MOST):
            marks = Editor(seed, content=CONTENT)(case.truth, masks[-1])
            if marks is None:
                break
            prompts = (*prompts, *as_prompts(marks))
            masks.append(answer(workspace, prompts, masks[-1], new=len(as_prompts(marks))).over(masks[-1]))
        at = int(case.truth.sum(axis=(1, 2)).argmax())
        shown = [masks[0], masks[1], masks[min(2, len(masks) - 1)], masks[-1]]
        tiles = [painted(subject.image.voxels[:1, at], case.truth[at], mask[at]) for mask in shown]
        caption = f"F, G without edits, with one, with {len(prompts)}"
        sheets.append(Picture(f"{name}/{subject.name}: {caption}", png(np.concatenate(tiles, axis=1))))
    return sheets


NOTES = """The paper has 285 tumours of BraTS 2018 in four modalities, half of them to train on, on a grid of 128^3
cells, edited by people. Here are three sets, one pair of networks each: the hippocampus (both labels as one
object), the left atrium, and the whole tumour in four cases of BraTS 2015 (FLAIR and T1 with contrast agent), each
measured by networks that learned from the three others. The grid has 48^3 cells and the networks half the
paper's width and a level less.

- A robot edits in place of people, one tool at a time: it selects large blocks, adjusts thin mistakes of one kind all
  round the object, brushes over others, and is content at a Dice of .93 or when nothing is worth an edit, after at
  most six. `at` counts its edits.
- Each tool alone is measured where the paper's simulation has a use for it, before (0) and after it (1).
- The adjustment tool is also set to -.5, -.25, .25 and .5 in turn, on G's first mask.
- A wrong edit is a click or a stroke, as the foreground in healthy tissue or as background deep inside the object. It
  is judged beside a right one of the same kind on the same mask: by the voxels that each changes, as a share of the
  object's. The paper says "very small"; less than half is our bar.
- Seconds of a person are those of a model (`segmend.users.seconds`), with the machine's.
- Left open by the text: how large a block is (2 % of the truth's volume), how long a stroke (5 pixels), whether
  training shows all edits that the simulation makes (each tool in half of the samples, so that G also learns to do
  without), where G starts (as F).
- Instance normalisation takes away what is the same everywhere, as the adjustment channel is. So K also moves the
  threshold of G, by a multiple that is learnt.
- The other body, 3D U-Net, is trained on the hippocampus alone.
- DeepIGeoS is the slice-wise pair of P-Net and R-Net, trained about as long, with soft Dice beside its cross entropy
  (without it, it found no hippocampus at all), not on the brain set. It starts from
  P-Net's mask of every slice and gets the same robot's clicks and strokes, one an interaction; K it cannot take."""

EXPERIMENT = Experiment(
    paper=CARD.id,
    title=CARD.title,
    sets=CARD.sets,
    run=run,
    claims=(
        Better("One edit beats none.", Pick(EDITED, at=1), Pick(EDITED, at=0)),
        Better("One edit beats the automatic network.", Pick(EDITED, at=1), Pick(FIRST)),
        Better("Several edits beat one.", Pick(EDITED), Pick(EDITED, at=1)),
        Better("The simulated edits beat none.", Pick(SIMULATED), Pick(EDITED, at=0)),
        Better("The selection tool helps where it is meant to.", Pick(SELECTION, at=1), Pick(SELECTION, at=0)),
        Better("The brush helps where it is meant to.", Pick(BRUSH, at=1), Pick(BRUSH, at=0)),
        Better("The adjustment tool helps where it is meant to.", Pick(ADJUSTMENT, at=1), Pick(ADJUSTMENT, at=0)),
        *(
            Less(f"Adjusted by {low:g} a mask is smaller than by {high:g}.", Pick(low_arm), Pick(high_arm), "volume")
            for (low, low_arm), (high, high_arm) in pairwise(ADJUSTED.items())
        ),
        Less(
            "Healthy tissue marked by mistake changes less than half of what a right edit does.",
            Pick(HEALTHY, at=1),
            Pick(RIGHT, at=1),
            "changed",
            SMALL,
        ),
        Less(
            "Erasing the object changes less than half of what a right edit does.",
            Pick(ERASED, at=1),
            Pick(RIGHT, at=1),
            "changed",
            SMALL,
        ),
        Fast("An object takes one to two minutes of a person's time.", Pick(EDITED), GIVEN_UP, PERSON),
        Close("G without edits is close to F.", Pick(EDITED, at=0), Pick(FIRST), within=0.03),
        Better("Several edits beat DeepIGeoS's.", Pick(EDITED), Pick(DEEPIGEOS)),
        Better("It works with 3D U-Net, too.", Pick(SELECTION_UNET, at=1), Pick(SELECTION_UNET, at=0)),
    ),
    theirs=(
        {"arm": FIRST, "Dice": 0.8622},
        {"arm": EDITED, "at": 1, "Dice": 0.8949},
        {"arm": EDITED, "Dice": 0.9129},
        {"arm": DEEPIGEOS, "Dice": 0.8993},
    ),
    notes=NOTES,
    pictures=pictures,
)
