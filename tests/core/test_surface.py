"""The surface of a mask: closed, outside out, where the mask is in millimetres, and about as large."""

from __future__ import annotations

import numpy as np
import pytest

from segmend.core.image import Image, scale_affine
from segmend.core.surface import Surface, surface
from segmend.errors import ShapeError

AFFINE = scale_affine((3.0, 1.0, 1.5))
AFFINE[:3, 3] = (10.0, -20.0, 30.0)


def ball(radius_mm: float = 15.0) -> np.ndarray:
    z, y, x = np.mgrid[:14, :40, :30]
    return (3 * (z - 7)) ** 2 + (y - 20) ** 2 + (1.5 * (x - 14)) ** 2 <= radius_mm**2


def edge_counts(found: Surface) -> dict[tuple[int, int], int]:
    """Return how often each edge is gone through in each direction."""
    counts: dict[tuple[int, int], int] = {}
    for a, b, c in found.triangles.tolist():
        for pair in ((a, b), (b, c), (c, a)):
            counts[pair] = counts.get(pair, 0) + 1
    return counts


@pytest.mark.parametrize("flipped", [False, True])
def test_a_ball_is_closed_the_right_way_out_and_as_large_as_its_mask(flipped: bool) -> None:
    affine = AFFINE @ np.diag([1, -1, 1, 1]) if flipped else AFFINE
    mask = ball()

    found = surface(mask, Image(np.zeros((1, *mask.shape)), affine))

    counts = edge_counts(found)
    assert all(counts.get((b, a)) == count for (a, b), count in counts.items())
    assert found.volume_ml == pytest.approx(mask.sum() * 4.5 / 1000, rel=0.03)
    middle = affine[:3, :3] @ (7, 20, 14) + affine[:3, 3]
    apart = np.linalg.norm(found.vertices - middle, axis=1)
    assert 12 < apart.min() and apart.max() < 17


def test_every_vertex_is_within_a_voxel_of_the_masks_rim() -> None:
    mask = np.random.default_rng(3).random((4, 5, 6)) > 0.6
    image = Image(np.zeros((1, 4, 5, 6)), AFFINE)

    found = surface(mask, image)

    padded = np.pad(mask, 2)
    for vertex in found.vertices:
        low = np.floor(image.to_index(vertex) + 2 - 1e-9).astype(int)
        around = padded[tuple(slice(max(0, at), at + 3) for at in low)]
        assert around.any() and not around.all()


def test_any_mask_has_each_edge_as_often_one_way_as_the_other() -> None:
    generator = np.random.default_rng(4)
    for _ in range(5):
        mask = generator.random((3, 4, 5)) > 0.5

        counts = edge_counts(surface(mask, Image(np.zeros((1, 3, 4, 5)))))

        assert counts and all(counts.get((b, a), 0) == count for (a, b), count in counts.items())


def test_an_empty_mask_has_none_and_a_picture_cannot_have_one() -> None:
    assert len(surface(np.zeros((3, 4, 5), bool), Image(np.zeros((1, 3, 4, 5)))).triangles) == 0
    with pytest.raises(ShapeError, match="A surface needs a volume; this image is a single slice"):
        surface(np.ones((1, 4, 5), bool), Image(np.zeros((1, 1, 4, 5))))
    with pytest.raises(ShapeError, match=r"A mask needs its image's shape \(3, 4, 5\); got \(3, 5, 4\)"):
        surface(np.ones((3, 5, 4), bool), Image(np.zeros((1, 3, 4, 5))))
