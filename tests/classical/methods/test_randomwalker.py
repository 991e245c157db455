import numpy as np

from segmend import methods
from segmend.core.prompts import Click
from segmend.core.segmenter import answer
from tests.methods.scenes import disc

SEGMENTER = methods.load("randomwalker")


def test_the_probability_falls_across_the_boundary():
    scene = disc()
    nothing = np.zeros(scene.truth.shape, bool)

    prediction = answer(SEGMENTER.open(scene.image), [Click((0, 40, 70))], nothing)

    values = np.unique(prediction.probability)
    assert values.min() < 0.1
    assert values.max() > 0.9
    assert ((values > 0.2) & (values < 0.8)).any()
