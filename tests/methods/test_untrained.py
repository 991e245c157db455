"""Marks are law for networks that learned nothing, too: the methods in the plane with weights drawn at random."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segmend import methods
from segmend.core.marks import marks
from segmend.core.segmenter import answer
from segmend.learning.recipe import recipe
from tests.methods.test_marks import SHAPES, picture, prompts

NETWORKS = {"iunet": {"widths": (4, 4, 4)}, "quality": {"widths": (4, 4, 4)}, "dextr": {"widths": (4, 4, 4)}}


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def method(request, tmp_path_factory):
    """A method's card and its segmenter."""
    how, folder = recipe(request.param), tmp_path_factory.mktemp(request.param)
    chosen = replace(how.Settings(), **NETWORKS[request.param])
    how.export(how.build(chosen), chosen, folder)
    return methods.card(request.param), methods.load(request.param, folder)


@pytest.mark.parametrize("dimensions", [2, 3])
@settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_marked_voxel_has_the_label_of_its_mark(method, dimensions, data):
    card, segmenter = method
    shape = SHAPES[dimensions]
    image = picture(data.draw(st.integers(0, 999)), shape, data.draw(st.sampled_from([1, 3])))
    workspace = segmenter.open(image)
    given_prompts = data.draw(prompts(shape, card.prompts))
    previous = np.zeros(shape, bool)

    for count in range(1, len(given_prompts) + 1):
        prediction = answer(workspace, given_prompts[:count], previous)
        previous = prediction.over(previous)

        positive, negative = marks(given_prompts[:count], shape)
        assert previous[tuple(positive.T)].all() and not previous[tuple(negative.T)].any()
        assert 0 <= prediction.probability.min() <= prediction.probability.max() <= 1
        assert prediction.box.clipped(shape) == prediction.box
        assert prediction.quality is None or 0 <= prediction.quality <= 1
