"""Marks are law: whatever a method thinks, a marked voxel has the label that its mark says."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segmend import methods
from segmend.core.image import Box, Image, scale_affine
from segmend.core.marks import marks
from segmend.core.prompts import Adjust, Click, Extremes, Lasso, Mask, Stroke, is_positive
from segmend.core.segmenter import answer
from segmend.errors import ModelError

SHAPES = {2: (1, 17, 23), 3: (5, 14, 19)}


def segmenter_of(card):
    try:
        return methods.load(card.id)
    except ModelError as error:
        pytest.skip(f"{card.id} is not trained here: {error}")


def indices(shape):
    return st.tuples(*(st.integers(0, n - 1) for n in shape))


def boxes(shape):
    return st.tuples(*(st.tuples(st.integers(0, n - 1), st.integers(1, n)) for n in shape)).map(
        lambda ends: Box(
            tuple(min(a, b - 1) for a, b in ends), tuple(max(a + 1, b) if a < b else a + 1 for a, b in ends)
        )
    )


def prompts(shape, kinds):
    points = st.lists(indices(shape), min_size=1, max_size=4).map(tuple)
    flat = points.map(lambda line: tuple((line[0][0], y, x) for _, y, x in line))
    every = {
        "click": st.builds(Click, indices(shape), st.booleans()),
        "stroke": st.builds(Stroke, points, st.booleans(), st.floats(0, 3)),
        "box": boxes(shape),
        "lasso": st.builds(Lasso, flat, st.just(0), st.booleans()),
        "extremes": st.builds(Extremes, points),
        "adjust": st.builds(Adjust, st.floats(-3, 3)),
        "mask": st.integers(0, 99).map(lambda seed: Mask(np.random.default_rng(seed).random(shape) < 0.3)),
    }
    return st.lists(st.one_of([every[kind] for kind in kinds]), min_size=1, max_size=5)


def picture(seed, shape, channels):
    random = np.random.default_rng(seed)
    voxels = random.integers(0, 255, (channels, *shape))
    voxels[:, :, 3:9, 4:12] += 400 * (seed % 3)  # nothing, something faint, something bright
    return Image(voxels.astype(np.int16), scale_affine((3.0, 1.0, 1.5)))


@pytest.mark.parametrize("card", methods.cards(), ids=lambda card: card.id)
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("count", [2, pytest.param(40, marks=pytest.mark.long)], ids=["few", "many"])
def test_every_marked_voxel_has_the_label_of_its_mark(card, dimensions, count):
    if dimensions not in card.dimensions:
        pytest.skip(f"{card.id} does not work in {dimensions}D")

    @settings(deadline=None, max_examples=count, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def held(data):
        hold_to_marks(card, SHAPES[dimensions], data)

    held()


def hold_to_marks(card, shape, data):
    image = picture(data.draw(st.integers(0, 999)), shape, data.draw(st.sampled_from([1, 3])))
    workspace = segmenter_of(card).open(image)
    given_prompts = data.draw(prompts(shape, card.prompts))
    previous = np.zeros(shape, bool)

    for count in range(1, len(given_prompts) + 1):
        prediction = answer(workspace, given_prompts[:count], previous, new=1)
        mask = prediction.over(previous)

        positive, negative = marks(given_prompts[:count], shape)
        assert mask[tuple(positive.T)].all()
        assert not mask[tuple(negative.T)].any()
        if not is_positive(given_prompts[count - 1]) and previous.any():
            added = mask & ~previous
            added[tuple(positive.T)] = False
            assert not added.any()
        assert np.isfinite(prediction.probability).all()
        assert 0 <= prediction.probability.min() <= prediction.probability.max() <= 1
        assert prediction.box.clipped(shape) == prediction.box
        previous = mask


def test_an_answer_beside_a_small_volume_is_no_empty_box():
    """Its cells may lie between the last voxel and the end of the block."""
    shape = SHAPES[3]
    editing = next(card for card in methods.cards() if card.id == "editing")

    found = answer(segmenter_of(editing).open(picture(0, shape, 1)), [Adjust(-1.5)], np.zeros(shape, bool))

    assert found.probability.size and not found.over(np.zeros(shape, bool)).all()
