"""How mend answers with the networks for slabs: a plane, a volume, a correction. These engines find what is bright."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segmend import methods
from segmend.core.image import Box, Image, MaskArray, scale_affine
from segmend.core.masks import components_touching, dice
from segmend.core.prompts import Adjust, Click, Lasso, Mask, Prompt, Stroke
from segmend.core.segmenter import answer, answers
from segmend.errors import PromptError
from segmend.mend.learning import slab_recipe
from segmend.mend.slab_carry import carry
from segmend.mend.slab_method import FILES, SlabMend, SlabWorkspace
from segmend.mend.slab_networks import SlabNetworks
from segmend.mend.slab_plane import answer_plane, empty_plane
from segmend.runtime.engine import Arrays, Engine
from tests.mend.learning.test_slabs import TINY

EMPTY = np.zeros((40, 48, 44), bool)


class Bright(Engine):
    """An encoder whose features are the image, with a count of the windows that it read."""

    name = "bright"

    def __init__(self) -> None:
        self.read = 0

    def run(self, inputs: Arrays) -> dict[str, np.ndarray]:
        self.read += len(inputs["x"])
        return {"f0": np.asarray(inputs["x"][:, :1])}


class Touched(Engine):
    """A decoder that answers with the bright components that marks, boxes or masks touch, and no negative mark does."""

    name = "touched"

    def __init__(self) -> None:
        self.asked: list[np.ndarray] = []

    def run(self, inputs: Arrays) -> dict[str, np.ndarray]:
        found = []
        for image, prompts in zip(inputs["f0"], inputs["prompts"], strict=True):
            self.asked.append(prompts)
            seeds = (prompts[2] >= 1) | (prompts[6] > 0) | (prompts[0] > 0) | (prompts[1] > 0) | (prompts[4] > 0)
            mask = components_touching(image[0] > 0.5, seeds)
            mask &= ~components_touching(mask, prompts[3] > 0.2)
            found.append(np.where(mask, 5.0, -5.0).astype(np.float32))
        logits = np.stack(found)[:, None]
        size = (logits > 0).mean(axis=(1, 2, 3))
        return {"logits": logits, "error_logits": logits * 0 - 3, "quality": 0.5 + 0.4 * size, "hidden": logits}


def two_balls(spacing: tuple[float, float, float] = (1, 1, 1)) -> tuple[Image, MaskArray, MaskArray]:
    z, y, x = np.ogrid[:40, :48, :44]
    near = ((z - 15) * spacing[0]) ** 2 + (y - 16) ** 2 + (x - 18) ** 2 <= 9**2
    far = ((z - 28) * spacing[0]) ** 2 + (y - 36) ** 2 + (x - 32) ** 2 <= 6**2
    image = np.where(near | far, 200.0, 50.0).astype(np.float32)
    return Image(image[None], scale_affine(spacing)), near, far


def workspace(image: Image) -> tuple[SlabWorkspace, Bright, Touched]:
    encoder, decoder = Bright(), Touched()
    opened = SlabMend(SlabNetworks(encoder, decoder)).open(image)
    assert isinstance(opened, SlabWorkspace)
    return opened, encoder, decoder


@pytest.mark.parametrize("spacing", [(1, 1, 1), (3, 1, 1)])
def test_one_click_finds_the_object_and_not_the_one_beside_it(spacing: tuple[float, float, float]) -> None:
    image, near, far = two_balls(spacing)
    opened, _, _ = workspace(image)

    mask = answer(opened, [Click((15, 16, 18))], EMPTY).over(EMPTY)

    assert dice(near, mask) > 0.9
    assert not (mask & far).any()


def test_the_plane_of_the_mark_comes_first() -> None:
    image, near, _ = two_balls()
    opened, _, _ = workspace(image)

    parts = list(answers(opened, [Click((15, 16, 18))], EMPTY))

    assert parts[0].box.low[0] == 15 and parts[0].box.shape[0] == 1
    assert dice(near[15], parts[0].over(EMPTY)[15]) > 0.9
    assert len(parts) > 3


def test_a_correction_is_carried_and_leaves_the_rest() -> None:
    image, near, far = two_balls()
    opened, _, decoder = workspace(image)
    click = Click((15, 16, 18))
    both = near | far
    decoder.asked.clear()

    mask = answer(opened, [click, Click((28, 36, 32), positive=False)], both).over(both)

    assert np.array_equal(mask & near, near)
    assert (mask & far).sum() < 0.3 * far.sum()
    first = decoder.asked[0]
    assert first[0].any() and not first[1].any()  # the mask is the networks' own
    assert first[5].min() == -1  # the newest mark


def test_a_negative_mark_never_adds() -> None:
    image, near, far = two_balls()
    opened, _, _ = workspace(image)

    alone = answer(opened, [Click((15, 16, 18), positive=False)], EMPTY).over(EMPTY)
    beside = answer(opened, [Click((15, 16, 18)), Click((2, 40, 4), positive=False)], near).over(near)

    assert not alone.any()
    assert not (beside & ~near).any() and not (beside & far).any()


def test_a_mask_from_elsewhere_is_shown_as_such() -> None:
    image, near, _ = two_balls()
    opened, _, decoder = workspace(image)
    prompts: list[Prompt] = [Mask(near[10:20], (10, 0, 0)), Click((15, 16, 18))]

    answer(opened, prompts, near)

    assert decoder.asked[0][1].any() and not decoder.asked[0][0].any()


def test_windows_are_read_once_and_answers_do_not_depend_on_what_is_kept() -> None:
    image, _, _ = two_balls()
    opened, encoder, _ = workspace(image)
    click: list[Prompt] = [Click((15, 16, 18))]
    first = answer(opened, click, EMPTY)
    read = encoder.read

    again = answer(opened, click, EMPTY)
    fresh = answer(workspace(image)[0], click, EMPTY)

    assert encoder.read == read
    assert np.array_equal(first.probability, again.probability) and first.box == again.box == fresh.box
    assert np.array_equal(first.probability, fresh.probability)


def test_boxes_and_strokes_are_answered() -> None:
    image, near, _ = two_balls()
    opened, _, _ = workspace(image)

    boxed = answer(opened, [Box((10, 6, 8), (20, 27, 29))], EMPTY).over(EMPTY)
    drawn = answer(opened, [Stroke(((15, 12, 18), (15, 20, 18)))], EMPTY).over(EMPTY)

    assert dice(near, boxed) > 0.85
    assert dice(near, drawn) > 0.9


def test_an_object_that_begins_outside_the_plane_of_the_click_is_not_invented() -> None:
    image, _, _ = two_balls()
    opened, _, _ = workspace(image)

    mask = answer(opened, [Click((2, 2, 2))], EMPTY).over(EMPTY)

    assert mask.sum() == 1  # the mark itself: marks are law


def test_carrying_ends_where_the_object_does() -> None:
    image, near, _ = two_balls()
    opened, _, _ = workspace(image)
    start = answer_plane(opened.predictor, [Click((15, 16, 18))], 1, 0, 15, empty_plane(opened.predictor, 0), own=False)

    found = {
        index: one
        for some in carry(opened.predictor, start, [Click((15, 16, 18))], range(40))
        for index, one in some.items()
    }

    inside = np.flatnonzero(near.any(axis=(1, 2)))
    assert (min(found), max(found)) == (inside[0], inside[-1])
    assert all(dice(near[index], one.mask()) > 0.9 for index, one in found.items() if near[index].sum() > 50)


def test_a_picture_has_one_plane() -> None:
    y, x = np.ogrid[:200, :300]
    truth = (y - 80) ** 2 + (x - 190) ** 2 < 30**2
    image = Image((50 + 150 * truth).astype(np.uint8)[None, None])
    opened, encoder, _ = workspace(image)
    empty = np.zeros((1, 200, 300), bool)

    parts = list(answers(opened, [Click((0, 80, 190))], empty))

    assert len(parts) == 1 and dice(truth[None], parts[0].over(empty)) > 0.95
    assert encoder.read <= 6
    nudged = answer(opened, [Click((0, 80, 190)), Adjust(0.3)], truth[None]).over(truth[None])
    assert nudged.sum() > truth.sum()
    drawn = Lasso(((0, 60, 170), (0, 60, 210), (0, 100, 210), (0, 100, 170)))
    assert answer(opened, [drawn], empty).over(empty).any()
    with pytest.raises(PromptError, match="at least one prompt"):
        opened.predict([], empty)


def test_a_folder_of_trained_networks_is_loaded_by_the_method_mend(tmp_path: Path) -> None:
    slab_recipe.export(slab_recipe.build(TINY), TINY, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES.values())

    method = methods.load("mend", weights=tmp_path)

    assert isinstance(method, SlabMend)
    image, near, _ = two_balls()
    mask = answer(method.open(image), [Click((15, 16, 18))], EMPTY).over(EMPTY)
    assert mask[15, 16, 18] and mask.shape == near.shape
