"""Prompts of a slice."""

from segmend.core.prompts import Click, Stroke
from segmend.sampling.slice_prompts import marked_pixels


def test_a_stroke_marks_all_the_pixels_under_it():
    prompts = [Stroke(((0, 1, 1), (0, 1, 4))), Click((0, 3, 3), positive=False)]

    assert marked_pixels(prompts, 0, 0, positive=True).tolist() == [[1, 1], [1, 2], [1, 3], [1, 4]]
    assert marked_pixels(prompts, 0, 0, positive=False).tolist() == [[3, 3]]
    assert marked_pixels(prompts, 0, 1, positive=True).shape == (0, 2)
