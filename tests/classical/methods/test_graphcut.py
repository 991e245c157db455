import numpy as np

from segmend import methods
from segmend.core.prompts import Click
from segmend.core.segmenter import answer
from tests.methods.scenes import ask, dice, disc

SEGMENTER = methods.load("graphcut")


def test_a_large_object_is_cut_at_full_resolution_in_a_band():
    scene = disc(shape=(700, 800), centre=(350, 400), radius=300)
    rough = np.roll(scene.truth, 9, axis=2)

    mask = ask(SEGMENTER, scene, [Click((0, 350, 103))], rough)

    assert dice(scene, mask) > 0.995 > dice(scene, rough)


def test_the_probability_is_soft_at_the_boundary_and_certain_away_from_it():
    scene = disc()
    nothing = np.zeros(scene.truth.shape, bool)

    prediction = answer(SEGMENTER.open(scene.image), [Click((0, 40, 70))], nothing)

    values = np.unique(prediction.probability)
    assert values.min() == 0
    assert values.max() == 1
    assert ((values > 0.2) & (values < 0.8)).any()
