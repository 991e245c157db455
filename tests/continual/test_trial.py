"""Old weights against new ones: what is played, how it is counted, and what speaks against new weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from segmend.continual.trial import CLICKS, MOMENTS, PairedScores, Rule, Trial, Trials, drawn_scenes, to_json, trial
from segmend.core.image import Box, Image, MaskArray
from segmend.core.prompts import Prompt
from segmend.core.segmenter import Prediction, Segmenter, Workspace
from segmend.datasets.case import Case, Example
from segmend.errors import UserError


@dataclass(frozen=True)
class Drawn(Case):
    """Two squares of tones 100 and 200, and a speck that is too small to measure."""

    def read(self) -> Example:
        labels = np.zeros((1, 20, 30), np.uint16)
        labels[0, 2:8, 3:9] = 1
        labels[0, 10:18, 15:25] = 2
        labels[0, 0, 0] = 3
        image = Image(np.array([0, 100, 200, 250], np.float32)[labels][None])
        return Example(image, image, labels)


@dataclass(frozen=True, eq=False)
class Sure(Segmenter, Workspace):
    """Says the same of every voxel, whatever it is asked."""

    tone: float
    shape: tuple[int, int, int] = (1, 1, 1)

    def open(self, image: Image) -> Workspace:
        return Sure(self.tone, image.shape)

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        return Prediction(np.full(self.shape, self.tone, np.float32), Box((0, 0, 0), self.shape))


class Boxless(Sure):
    """Takes no boxes."""

    def open(self, image: Image) -> Workspace:
        return Boxless(self.tone, image.shape)

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        if any(isinstance(prompt, Box) for prompt in prompts):
            raise UserError("no boxes here")
        return super().predict(prompts, previous)


def pairs(*gains: float, moment: str = "", by: float = 0.0) -> tuple[PairedScores, ...]:
    """Return cases that gained so much at every moment, and at one moment something else besides."""
    return tuple(
        PairedScores(f"case {i}", dict.fromkeys(MOMENTS, 0.5), {m: 0.5 + gain + by * (m == moment) for m in MOMENTS})
        for i, gain in enumerate(gains)
    )


SAME = Trial(pairs(0.0, 0.0, 0.0))
BETTER = Trial(pairs(0.02, 0.03, 0.01, 0.04))


def test_both_weights_play_every_case_with_clicks_and_with_a_box() -> None:
    said: list[str] = []

    found = trial([Drawn(Path(), "squares")], Sure(0.0), Sure(1.0), tell=said.append)

    (pair,) = found.pairs
    assert list(pair.new) == list(MOMENTS) == [*(f"{n} click{'s' * (n > 1)}" for n in CLICKS), "a box"]
    assert pair.new["a box"] == pytest.approx(np.mean([2 * n / (600 + n) for n in (36, 80)]))
    assert pair.old["1 click"] < pair.old["3 clicks"] < 0.2  # marks are law, and nothing else
    assert (found.better, found.worse) == (1, 0)
    assert said == [f"  squares: {pair.gain:+.3f}"]


def test_a_case_that_cannot_be_played_is_a_problem_and_not_a_score() -> None:
    said: list[str] = []

    found = trial([Drawn(Path(), "squares")], Sure(0.0), Boxless(1.0), tell=said.append)

    assert said == ["  squares could not be played: no boxes here"]
    assert (found.pairs, found.gain, found.moments) == ((), 0.0, ())
    assert [problem.reason for problem in found.problems] == ["no boxes here"]
    assert to_json(found)["problems"] == [{"case": "squares", "reason": "no boxes here"}]


def test_a_case_without_a_measurable_object_is_a_problem() -> None:
    @dataclass(frozen=True)
    class Empty(Case):
        def read(self) -> Example:
            image = Image(np.zeros((1, 1, 5, 6)))
            return Example(image, image, np.zeros((1, 5, 6), np.uint16))

    found = trial([Empty(Path(), "empty")], Sure(0.0), Sure(1.0))

    assert found.problems[0].reason == "no object is large enough to measure"


def test_better_weights_that_forgot_nothing_are_taken() -> None:
    assert Rule().against(Trials(BETTER, SAME)) == ()
    assert BETTER.gain == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("site", "general", "words"),
    [
        (Trial(pairs(0.1, 0.1)), SAME, "Only 2 cases could be played, 3 are needed"),
        (SAME, SAME, "The mean Dice changed by [+]0.0000; it needs to rise by 0.005 or more"),
        (Trial(pairs(0.4, -0.01, -0.01)), SAME, "1 cases became better and 2 worse"),
        (BETTER, Trial(pairs(-0.03, -0.02)), "On drawn scenes the mean Dice fell by 0.0250; at most 0.02"),
        (
            Trial(pairs(0.02, 0.03, 0.01, 0.04, moment="a box", by=-0.06)),
            SAME,
            "After a box the Dice is worse by more than chance .-0.0350, 95 % -0.0555 to -0.0145",
        ),
    ],
)
def test_what_speaks_against_new_weights_is_said(site: Trial, general: Trial, words: str) -> None:
    reasons = Rule().against(Trials(site, general))

    assert any(re.search(words, reason) for reason in reasons), reasons


def test_what_was_learned_before_must_not_be_forgotten_either() -> None:
    (reason,) = Rule().against(Trials(BETTER, SAME, Trial(pairs(-0.05, -0.01))))

    assert reason == "On what was learned before the mean Dice fell by 0.0300; at most 0.02 may be forgotten."
    assert list(Trials(BETTER, SAME).to_json()) == ["site", "drawn"]


def test_the_reason_why_nothing_could_be_played_is_said() -> None:
    none = trial([Drawn(Path(), "squares")], Sure(0.0), Boxless(1.0))

    assert Rule().against(Trials(none, SAME)) == ("Only 0 cases could be played, 3 are needed. squares: no boxes here",)


def test_a_few_scenes_alone_are_nothing_forgotten() -> None:
    few, many = Trial(pairs(*[0.01] * 9, -0.4)), Trial(pairs(*[-0.01] * 9, -0.4))
    surely = Trial(pairs(*[0.001] * 6, *[-0.2] * 5))

    assert few.gain < -0.02 and not Rule().against(Trials(BETTER, few))
    assert Rule().against(Trials(BETTER, many))
    assert surely.better > surely.worse and Rule().against(Trials(BETTER, surely))


def test_drawn_scenes_are_always_the_same_and_hold_an_object() -> None:
    for dimensions in (2, 3):
        first, second = drawn_scenes(dimensions)[0].read(), drawn_scenes(dimensions)[0].read()
        other = drawn_scenes(dimensions)[1].read()
        assert (first.image.voxels == second.image.voxels).all() and first.labels.any()
        assert first.image.voxels.shape != other.image.voxels.shape or (first.image.voxels != other.image.voxels).any()
        assert first.image.flat == (dimensions == 2)
