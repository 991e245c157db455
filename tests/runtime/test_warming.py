"""A loaded method has used once what its first interaction needs."""

import subprocess
import sys

import numpy as np
import pytest

from segmend import methods
from segmend.core.segmenter import FIRST
from segmend.runtime import warming
from segmend.runtime.warming import SHAPES, first_prompts, phantom

LOADED = """
import sys
import segmend.native
from segmend import methods
methods.cards()
segmenter = methods.load("mend", warm={dimensions})
print({{"scipy.ndimage", "scipy.spatial"}} <= set(sys.modules), end=" ")
print(segmend.native.library.cache_info().currsize, end=" ")
networks = segmenter.planes.refiner, segmenter.space.refiner, segmenter.planes.lines
print(*(len(network._compiled) for network in networks))
"""


@pytest.mark.parametrize(
    ("dimensions", "told"), [("[2, 3]", "True 1 1 1 1"), ("[2]", "True 1 1 0 1"), ("()", "True 0 0 0 0")], ids=str
)
def test_libraries_and_networks_are_ready_when_a_method_is_loaded(dimensions, told):
    """As many shapes as one click asks for, of the networks in the plane, in space and for lines."""
    code = LOADED.format(dimensions=dimensions)

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == told


def test_a_method_is_warmed_once(monkeypatch):
    done = []
    monkeypatch.setattr(warming, "warm", lambda segmenter, card, dimensions: done.append((card.id, dimensions)))
    methods._warm.cache_clear()

    for dimensions in ([3], [2, 3], (), [2, 3]):
        methods.load("graphcut", warm=dimensions)

    assert done == [("graphcut", 3), ("graphcut", 2)]
    methods._warm.cache_clear()


def test_a_method_that_cannot_be_warmed_is_loaded_nevertheless(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(warming, "warm", broken)
    methods._warm.cache_clear()

    assert methods.load("graphcut", warm=[2]) is methods.load("graphcut")
    methods._warm.cache_clear()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_phantom_is_a_ball_in_noise(dimensions):
    image, mask = phantom(SHAPES[dimensions])

    assert image.flat is (dimensions == 2) and mask.any()
    assert image.voxels[0][mask].mean() > 90 and abs(image.voxels[0][~mask].mean()) < 5


@pytest.mark.parametrize("card", methods.cards(), ids=lambda card: card.id)
def test_every_method_takes_what_it_is_warmed_with(card):
    _, mask = phantom(SHAPES[card.dimensions[0]])

    (prompt,) = first_prompts(card, mask)

    card.check([prompt])
    assert prompt is FIRST or "click" not in card.prompts or mask[prompt.index]
    assert np.count_nonzero(mask)
