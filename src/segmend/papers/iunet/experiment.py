"""iunet's experiment: the weight map, the clicks in it and their size, each added to the last; and more clicks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from segmend.datasets.folder import sets
from segmend.errors import SettingsError
from segmend.learning.loop import run as train
from segmend.learning.slices import crop_window, cut_axis, whole_window
from segmend.learning.subjects import Subject
from segmend.papers.iunet import recipe
from segmend.papers.iunet.recipe import Sample, Settings
from segmend.papers.study.experiment import Better, Experiment, Pick, Picture, Plan, Score
from segmend.papers.study.overlay import painted, png
from segmend.runtime import cards

ATRIUM, HEART, LIVER = "left_atrium_mr", "cardiac_acdc_mr", "ircad_liver_ct2d"
HIPPOCAMPUS, SARCOMA = "hippocampus_mr", "sarcoma_ct"
CARD = cards.papers()["iunet"]
# The labels of each set; () is all. The paper learns from BCV and measures on the Decathlon's spleens and colons.
BCV, SPLEEN, COLON = "btcv", "msd_spleen", "msd_colon"
LEARNED: Mapping[str, tuple[int, ...]] = {ATRIUM: (), HEART: (1, 2), HIPPOCAMPUS: (), SARCOMA: (), BCV: ()}
MEASURED: Mapping[str, tuple[int, ...]] = {ATRIUM: (), HEART: (3,), LIVER: (), SPLEEN: (), COLON: ()}
STEPS = 700  # of every arm's training, times the effort
EXAM = 16  # samples that every training is validated on
CELLS, THEIR_CELLS = 64, 512  # a side of a slice
LIMIT = 10  # cases of each set, unless the plan says otherwise
HELD_OUT = 6  # every so-manieth case of the training split is kept to validate on
SHARES = (0.25, 0.5, 0.75)  # of an object's extent: the slices that are measured
CLICKS = (1, 2, 5, 10, 15)

UNET, PLAIN, MAP, HILLS, DISCS = "U-Net", "IU-Net", "weight map", "map + G clicks", "map + EW clicks"
SMALL, LARGE, FIVE_HUNDRED, EIGHT_HUNDRED = "EW, 2 px", "EW, 10 px", "EW, 1/500", "EW, 1/800"
LOOSE = "EW, 1/800, loose"
ARMS: Mapping[str, Mapping[str, Any]] = {
    UNET: {"clicks": False, "weights": "none"},
    PLAIN: {"weights": "none", "width": 5.0},
    MAP: {"weights": "map", "width": 5.0},
    HILLS: {"weights": "gaussian", "width": 5.0},
    DISCS: {"weights": "equal", "width": 5.0},
    SMALL: {"weights": "equal", "width": 2.0},
    LARGE: {"weights": "equal", "width": 10.0},
    FIVE_HUNDRED: {"weights": "equal", "alpha": THEIR_CELLS / CELLS / 500},
    EIGHT_HUNDRED: {"weights": "equal", "alpha": THEIR_CELLS / CELLS / 800},
    LOOSE: {"weights": "equal", "alpha": THEIR_CELLS / CELLS / 800, "loose": 0.7},
}


def run(plan: Plan) -> Iterator[Score]:
    """Train and measure every arm under every seed."""
    for seed in plan.seeds:
        for arm in ARMS:
            yield from plan.once(arm, seed, partial(_measure, plan, arm, seed))


def _measure(plan: Plan, arm: str, seed: int) -> Iterator[Score]:
    import torch

    network, settings = _train(plan, arm, seed), _settings(plan, arm, seed)
    looks = samples(plan, settings)
    names, found = list(looks), list(looks.values())
    truth = torch.from_numpy(np.stack([one.truth for one in found])[:, None].astype(np.float32))
    weights = torch.from_numpy(np.stack([recipe.weights_of(one) for one in found])[:, None])
    for count in CLICKS if settings.clicks else (0,):
        probability = recipe.predict(network, found, count)
        logits = torch.logit(torch.from_numpy(probability)[:, None], 1e-6)
        for i, dice in enumerate(recipe.overlaps(found, probability)):
            weighted = 1 - float(recipe.weighted_dice(logits[i : i + 1], truth[i : i + 1], weights[i : i + 1])) / 2
            yield Score(arm, *names[i], dice, seed, count, more={"weighted dice": weighted})


def _settings(plan: Plan, arm: str, seed: int) -> Settings:
    steps = max(2, round(STEPS * plan.effort))
    usual: dict[str, Any] = {
        "cells": CELLS,
        "whole": 1.0,
        "varied": False,
        "synthetic": 0.0,
        "most": max(CLICKS),
        "loose": 0.0,
    }
    return replace(recipe.Settings(), seed=seed, steps=steps, **{**usual, **ARMS[arm]})


def _train(plan: Plan, arm: str, seed: int) -> torch.nn.Module:
    """Train an arm with one pair of clicks an image, as the paper does; it is measured with up to fifteen."""
    settings = replace(_settings(plan, arm, seed), most=1)
    learned, kept = cases(plan)
    plan.log(f"seed {seed}: training {arm}")
    folder = plan.out / f"{''.join(c if c.isalnum() else '-' for c in arm)}-{seed}"
    every = max(1, settings.steps // 2)
    finished = train(
        recipe, learned, kept, settings, folder, threads=1, workers=0, log=plan.log, every=every, exam=EXAM
    )
    return finished.network


def cases(plan: Plan) -> tuple[list[Subject], list[Subject]]:
    """Return the cases to learn from and those to validate on, both of the training split and without unseen labels."""
    learned: list[Subject] = []
    kept: list[Subject] = []
    for one in sets(plan.data, "train"):
        if one.name in LEARNED:
            for number, case in enumerate(one.cases):
                example = case.read()
                labels = _only(example.labels, LEARNED[one.name])
                if labels.any():
                    place = kept if number % HELD_OUT == HELD_OUT - 1 else learned
                    place.append(Subject(example.first, labels, case.instances, one.name, case.name))
    if not learned:
        raise SettingsError(f"The experiment of iunet needs one of {', '.join(LEARNED)} to learn from; got none.")
    return learned, kept or learned


def _only(labels: Any, values: Sequence[int]) -> Any:
    return np.where(np.isin(labels, values), labels, 0).astype(np.uint16) if values else labels


def samples(plan: Plan, settings: Settings) -> dict[tuple[str, str], Sample]:
    """Return three whole slices of every object to measure, by set and name, with the clicks of 15 interactions."""
    found: dict[tuple[str, str], Sample] = {}
    for one in sets(plan.data, plan.split, limit=plan.limit or LIMIT):
        for case in one.cases if one.name in MEASURED else ():
            example = case.read()
            axis = cut_axis(example.first)
            aspect = float(np.divide(*np.delete(example.first.spacing, axis)))
            labels = _only(example.labels, MEASURED[one.name])
            for value in [int(v) for v in np.unique(labels) if v]:
                mask = labels == value
                there = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
                for index in sorted({int(there[int(share * len(there))]) for share in SHARES}):
                    plane = np.take(mask, index, axis)
                    drawn = crop_window(example.first, plane, axis, index, whole_window(plane, aspect), settings.cells)
                    name = f"{case.name} label {value} slice {index}"
                    if drawn.truth.any():
                        found[one.name, name] = recipe.sample(drawn, settings, count=1, seed=1000 * index + value)
    return found


def pictures(plan: Plan) -> Sequence[Picture]:
    """Return a slice of each set under several arms, after one interaction."""
    sheets = []
    shown = (UNET, PLAIN, DISCS, EIGHT_HUNDRED)
    seed = plan.seeds[0]
    networks = {arm: (_train(plan, arm, seed), samples(plan, _settings(plan, arm, seed))) for arm in shown}
    of_one = networks[UNET][1]
    for name, case in {name: (name, case) for name, case in reversed(of_one)}.values():
        tiles = []
        for network, looks in networks.values():
            one = looks[name, case]
            tiles.append(painted(one.image, one.truth, recipe.predict(network, [one], 1)[0] > 0.5))
        sheets.append(Picture(f"{name}/{case}: {', '.join(shown)}", png(np.concatenate(tiles, axis=1), scale=3)))
    return sheets


THEIRS = (
    ("U-Net", 70.23, 63.91), ("IU-Net", 70.97, 65.71), (MAP, 71.26, 67.63), (HILLS, 71.89, 69.62),
    (DISCS, 73.53, 72.35), (SMALL, 73.19, 72.58), (LARGE, 73.41, 73.02),
    (FIVE_HUNDRED, 75.05, 74.06), (EIGHT_HUNDRED, 75.83, 74.30),
)  # fmt: skip
THEIRS_BY_CLICKS = {
    EIGHT_HUNDRED: ((75.83, 74.30), (77.70, 76.96), (78.27, 77.49), (79.49, 78.25), (81.96, 80.87)),
    PLAIN: ((70.97, 65.71), (71.63, 66.18), (73.07, 69.65), (77.14, 72.22), (79.32, 74.43)),
}

NOTES = """The paper trains on the 13 abdominal organs of BCV and measures on spleen and colon of the MSD. Here every
arm learns from left atrium and hippocampus MR, sarcoma CT, and the right ventricle and the myocardium of cardiac MR
(training split, every sixth case kept to validate on), and is measured on left atria (an organ it learned, as the
spleen was), on left ventricles (a label that was taken out of its training cases) and on livers in CT (an organ and a
set that it never saw): three whole slices of each object of the validation split, at a quarter, half and three
quarters of its extent.

- Whole slices at 64 x 64 cells and a network of half a million parameters with batch norm, instead of 512 x 512 and
  31 million. Nothing is augmented, as in the paper.
- Fixed click sizes are counted in these cells. 1/500 and 1/800 of the object are scaled so that a click covers as much
  of an object as it would on 512 x 512: a width grows with the square of the side. Unscaled, both are one cell wide.
- Clicks are random, one inside and one in the surroundings of the object an interaction; all arms and seeds get the
  same ones in testing. In training an arm sees 1 to 15 interactions, more of them more rarely; the paper does not
  say.
- The paper's formula multiplies the Dice of a class by a weight, which would change nothing within a class; here
  every pixel counts by its weight, 1 more than the map (of 10 at the edge), so that false pixels far away cost
  something.
- In testing there is no truth to weight; the weighted Dice is measured beside the plain one ("weighted dice").
- A network without clicks cannot know which organ is meant, so the U-Net's Dice on organs it never learned says
  little.
- In training the paper's clicks follow the true object's size, so a click tells the network how large the object is.
  In testing it tells what the first mask made of it, and a wrong first mask stays wrong. The arm "loose" is ours: in
  training a quarter of the samples have the first look's clicks of 5 pixels, the others those of a mask that is too
  large or too small (by a factor of 2, one deviation).
- A dynamic click first has 5 pixels; the mask that this gives decides its size for the answer."""

EXPERIMENT = Experiment(
    paper=CARD.id,
    title=CARD.title,
    sets=CARD.sets,
    run=run,
    claims=(
        Better("clicks help: IU-Net is better than U-Net", Pick(PLAIN, 1), Pick(UNET, 0)),
        Better("the weight map helps", Pick(MAP, 1), Pick(PLAIN, 1)),
        *(
            Better(f"the weight map helps on {name}", Pick(MAP, 1, (name,)), Pick(PLAIN, 1, (name,)))
            for name in MEASURED
        ),
        Better("clicks of equal weight in the map help", Pick(DISCS, 1), Pick(MAP, 1)),
        Better("clicks of equal weight are better than Gaussian ones", Pick(DISCS, 1), Pick(HILLS, 1)),
        Better("clicks of 1/800 of the object are better than of 5 pixels", Pick(EIGHT_HUNDRED, 1), Pick(DISCS, 1)),
        Better("clicks of 1/800 are better than of 1/500", Pick(EIGHT_HUNDRED, 1), Pick(FIVE_HUNDRED, 1)),
        Better("all together is better than IU-Net after one interaction", Pick(EIGHT_HUNDRED, 1), Pick(PLAIN, 1)),
        Better("... and after 15", Pick(EIGHT_HUNDRED, 15), Pick(PLAIN, 15)),
        Better(
            "sizes that are sometimes wrong in training help clicks of 1/800", Pick(LOOSE, 1), Pick(EIGHT_HUNDRED, 1)
        ),
        Better("... and then they are better than of 5 pixels", Pick(LOOSE, 1), Pick(DISCS, 1)),
        Better("... and after 15 interactions better than IU-Net", Pick(LOOSE, 15), Pick(PLAIN, 15)),
        Better("five interactions are better than one", Pick(EIGHT_HUNDRED, 5), Pick(EIGHT_HUNDRED, 1)),
        Better("fifteen are better than five", Pick(EIGHT_HUNDRED, 15), Pick(EIGHT_HUNDRED, 5)),
    ),
    theirs=(
        *({"arm": arm, "at": int(arm != UNET), "spleen": a, "colon": b} for arm, a, b in THEIRS),
        *(
            {"arm": arm, "at": count, "spleen": a, "colon": b}
            for arm, rows in THEIRS_BY_CLICKS.items()
            for count, (a, b) in zip(CLICKS, rows, strict=True)
            if count > 1
        ),
    ),
    notes=NOTES,
    pictures=pictures,
)
