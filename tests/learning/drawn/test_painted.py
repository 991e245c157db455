"""Images drawn from label maps."""

from __future__ import annotations

import numpy as np

from segmend.learning.drawn.painted import paint


def three_planes() -> np.ndarray:
    labels = np.zeros((3, 64, 64), int)
    labels[:, 8:30, 8:30], labels[:, 34:56, 10:50] = 4, 9
    return labels


def test_a_structure_mostly_looks_alike_in_itself_and_other_than_its_surroundings() -> None:
    labels = three_planes()
    seen = 0
    for seed in range(20):
        image = paint(np.random.default_rng(seed), labels)
        assert image.shape == labels.shape and image.dtype == np.float32 and np.isfinite(image).all()
        inside, other = image[1, 12:26, 12:26], image[1, 38:52, 14:46]
        seen += abs(np.median(inside) - np.median(other)) > 0.1
    assert seen >= 12


def test_the_same_seed_is_the_same_image_and_no_two_seeds_are() -> None:
    labels = three_planes()
    one, again, other = (paint(np.random.default_rng(seed), labels) for seed in (1, 1, 2))

    assert np.array_equal(one, again)
    assert not np.allclose(one, other)


def test_planes_with_the_same_labels_differ_by_their_noise_alone() -> None:
    image = paint(np.random.default_rng(3), three_planes())

    assert np.corrcoef(image[0].ravel(), image[2].ravel())[0, 1] > 0.5
