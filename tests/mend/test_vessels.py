"""Thin things in pictures are followed along their lines, and nothing else is."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from segmend.core.image import Box, Image
from segmend.core.masks import dice
from segmend.core.prompts import Click
from segmend.mend.method import LINES
from segmend.mend.plane import PlanePredictor
from segmend.mend.plane_networks import Networks, Question
from segmend.mend.vessels import lines_of, thin
from segmend.runtime.engine import weights_of

SIDE = 320


def tree(rng, side=SIDE, width=1.5):
    """Return branches that wind through a picture from its left, as vessels do."""
    mask = np.zeros((side, side), bool)
    ends = [(side * share, 4.0, angle) for share, angle in ((0.35, 0.5), (0.4, 0.1), (0.45, -0.2), (0.5, -0.6))]
    for _ in range(3):
        twigs = []
        for y, x, angle in ends:
            for step in range(int(side * 0.3)):
                y, x = y + np.sin(angle), x + np.cos(angle)
                angle += 0.08 * rng.standard_normal()
                if not (3 < y < side - 3 and 3 < x < side - 3):
                    break
                mask[round(y) - 1 : round(y) + 1, round(x) - 1 : round(x) + 1] = True
                if step == int(side * 0.2):
                    twigs.append((y, x, angle + 0.9))
            twigs.append((y, x, angle))
        ends = twigs
    mask[int(side * 0.33) : int(side * 0.52), 4:6] = True  # they have one root
    return gaussian_filter(mask.astype(float), width / 2) > 0.3


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(3)
    truth = tree(rng)
    intensities = 150 + 20 * gaussian_filter(rng.standard_normal(truth.shape), 30) * 30
    intensities = intensities - 45 * gaussian_filter(truth.astype(float), 0.8) + 4 * rng.standard_normal(truth.shape)
    yy, xx = np.indices(truth.shape)
    blob = (yy - 280) ** 2 + (xx - 60) ** 2 < 18**2
    intensities[blob] -= 60
    return np.clip(intensities, 0, 255).astype(np.uint8)[None], truth, blob


@pytest.fixture(scope="module")
def engine():
    return weights_of("mend_lines", LINES)


@pytest.fixture(scope="module")
def lines(scene, engine):
    found = lines_of(scene[0], engine)
    assert found is not None
    return found


NONE = np.zeros((0, 2), int)


def on(truth, rng):
    """Return a place on a branch; at the root all of them lie beside each other."""
    places = np.argwhere(truth & (np.arange(SIDE) > SIDE // 4))
    return places[rng.integers(len(places), size=1)]


class TestMarks:
    def test_one_click_finds_all_that_is_joined(self, scene, lines):
        _, truth, _ = scene
        drawn = lines.along(on(truth, np.random.default_rng(0)), NONE)
        assert dice(truth, drawn > 0.5) > 0.75

    def test_a_click_on_a_blob_or_on_nothing_is_no_business_of_lines(self, scene, lines):
        assert lines.along(np.array([[280, 60]]), NONE) is None
        assert lines.along(np.array([[40, 40]]), NONE) is None
        assert lines.along(NONE, np.array([[40, 40]])) is None

    def test_a_negative_click_takes_the_line_near_it_and_hardly_more(self, scene, lines):
        _, truth, _ = scene
        first = on(truth, np.random.default_rng(0))
        before = lines.along(first, NONE) > 0.5
        far = np.argwhere(before)
        away = far[np.argmax(((far - first) ** 2).sum(axis=1))][None]
        after = lines.along(first, away) > 0.5
        assert not after[tuple(away[0])]
        assert (before & ~after).sum() > 20
        assert not (after & ~before).any()
        near = ((far - away) ** 2).sum(axis=1) < 40**2
        assert (before ^ after)[tuple(far[~near].T)].mean() < 0.05

    def test_fainter_lines_come_with_a_click_on_them(self, scene, engine):
        intensities, truth, _ = scene
        right = np.arange(SIDE) > 200
        faint = np.where(right, intensities * 0.12 + 0.88 * intensities[:, :, 200:].mean(), intensities).astype(
            np.uint8
        )
        lines = lines_of(faint, engine)
        left = on(truth & ~right, np.random.default_rng(1))
        places = np.argwhere(truth & right)
        with_one, with_more = (
            lines.along(np.concatenate([left, more]), NONE) > 0.5 for more in (places[:0], places[20::150])
        )
        assert dice(truth, with_more) > dice(truth, with_one)


class TestBoxes:
    def test_a_box_filled_by_lines_is_answered_with_them(self, scene, lines):
        _, truth, _ = scene
        rows, columns = (np.flatnonzero(truth.any(axis=axis)) for axis in (1, 0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        assert dice(truth, lines.along(NONE, NONE, box) > 0.5) > 0.75

    def test_a_box_round_a_blob_is_not(self, lines):
        assert lines.along(NONE, NONE, (slice(260, 300), slice(40, 80))) is None


class TestPictures:
    def test_the_channel_with_the_clearest_lines_is_taken(self, scene, engine):
        intensities, truth, _ = scene
        rng = np.random.default_rng(5)
        noise = rng.integers(100, 140, (1, *truth.shape)).astype(np.uint8)
        lines = lines_of(np.concatenate([noise, intensities, noise]), engine)
        assert dice(truth, lines.along(on(truth, rng), NONE) > 0.5) > 0.75

    def test_bright_lines_are_lines_too(self, scene, engine):
        intensities, truth, _ = scene
        bright = np.clip(intensities + 90.0 * gaussian_filter(truth.astype(float), 0.8), 0, 255)
        lines = lines_of(bright, engine)
        assert dice(truth, lines.along(on(truth, np.random.default_rng(0)), NONE) > 0.5) > 0.6

    def test_a_large_picture_is_looked_at_in_coarser_pixels(self, scene, engine):
        intensities, truth, _ = scene
        large = np.pad(intensities.repeat(3, 1).repeat(3, 2), ((0, 0), (0, 1), (0, 2)), mode="edge")
        lines = lines_of(large, engine)
        mark = 3 * on(truth, np.random.default_rng(0))
        drawn = lines.along(mark, NONE)
        assert drawn.shape == large.shape[1:]
        assert lines.coarse == 2
        assert dice(np.pad(truth.repeat(3, 0).repeat(3, 1), ((0, 1), (0, 2))), drawn > 0.5) > 0.65

    @pytest.mark.parametrize(
        "intensities", [np.zeros((1, 100, 90)), np.full((3, 200, 200), 7.0), np.ones((1, 20, 300))]
    )
    def test_a_constant_or_a_small_picture_has_none(self, intensities, engine):
        assert lines_of(intensities, engine) is None


def test_what_is_empty_is_not_thin():
    assert not thin(np.zeros((5, 5), bool))


class Asked(Exception):
    """The networks were asked."""


class Silent:
    """Networks that must not be asked."""

    def run(self, inputs):
        raise Asked


def predictor(voxels, engine):
    return PlanePredictor(Networks(Silent(), Silent(), lines=engine), Image(voxels))


def question(prompts, here):
    return Question(prompts, 0, 0, here)


class TestAPredictor:
    """A picture's workspace follows lines without its networks, and asks these in all other cases."""

    def test_marks_on_lines_are_answered_along_them_and_later_ones_go_on(self, scene, engine):
        intensities, truth, _ = scene
        ask, first = predictor(intensities[:, None], engine), on(truth, np.random.default_rng(0))[0].tolist()
        nothing = np.zeros_like(truth)
        clicks = [Click((0, *first))]
        answer = ask.answer(question(clicks, nothing))
        assert dice(truth, answer.mask) > 0.75
        assert answer.quality == pytest.approx(dice(truth, answer.mask), abs=0.12)
        wrong = np.argwhere(answer.mask & ~truth)[0].tolist()
        clicks.append(Click((0, *wrong), positive=False))
        again = ask.answer(question(clicks, answer.mask))
        assert not again.mask[tuple(wrong)]
        assert dice(truth, again.mask) > dice(truth, answer.mask) - 0.01

    def test_a_box_and_then_clicks(self, scene, engine):
        intensities, truth, _ = scene
        rows, columns = (np.flatnonzero(truth.any(axis=axis)) for axis in (1, 0))
        box = Box((0, int(rows[0]), int(columns[0])), (1, int(rows[-1]) + 1, int(columns[-1]) + 1))
        ask = predictor(intensities[:, None], engine)
        answer = ask.answer(question([box], np.zeros_like(truth)))
        missed = np.argwhere(truth & ~answer.mask)[0].tolist()
        again = ask.answer(question([box, Click((0, *missed))], answer.mask))
        assert dice(truth, again.mask) >= dice(truth, answer.mask)

    @pytest.mark.parametrize("case", ["a blob", "a mask from elsewhere", "a volume", "lines switched off"])
    def test_else_the_networks_are_asked(self, scene, engine, case):
        intensities, truth, blob = scene
        ask, here = predictor(intensities[:, None], engine), np.zeros_like(truth)
        place = (280, 60) if case == "a blob" else on(truth, np.random.default_rng(0))[0].tolist()
        if case == "a mask from elsewhere":
            here = blob
        if case == "a volume":
            ask = predictor(intensities[:, None].repeat(5, 1), engine)
        if case == "lines switched off":
            ask.options = replace(ask.options, lines=False)
        with pytest.raises(Asked):
            ask.answer(question([Click((0, *place))], here))
