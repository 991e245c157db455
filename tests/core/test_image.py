"""Images and boxes: what is refused, and where voxels lie in millimetres."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmend.core.image import Box, Image, bounds, scale_affine, whole
from segmend.errors import GeometryError, ShapeError

OBLIQUE = np.array([[0.1, -0.2, 0.7, -10.0], [0.2, 0.9, 0.1, 20.0], [3.0, 0.1, -0.2, 5.0], [0.0, 0.0, 0.0, 1.0]])


class TestRefusals:
    @pytest.mark.parametrize("shape", [(2, 3, 4), (1, 2, 3, 4, 5), (1, 0, 3, 4), (0, 2, 3, 4)])
    def test_an_image_has_four_axes_and_none_is_empty(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ShapeError, match=r"An image needs 4 axes \(c, z, y, x\), none empty; got shape"):
            Image(np.zeros(shape))

    @pytest.mark.parametrize("kind", ["bool", "complex64", "U3", "O", "M8[s]"])
    def test_an_image_holds_real_numbers(self, kind: str) -> None:
        with pytest.raises(ShapeError, match="An image needs real numbers; got"):
            Image(np.zeros((1, 2, 3, 4), kind))

    def test_an_affine_is_four_by_four(self) -> None:
        with pytest.raises(GeometryError, match=r"An affine needs shape \(4, 4\); got \(3, 4\)"):
            Image(np.zeros((1, 2, 3, 4)), OBLIQUE[:3])

    @pytest.mark.parametrize(
        "affine",
        [np.zeros((4, 4)), np.diag([1, 1, 0, 1]), np.diag([1, np.nan, 1, 1]), np.full((4, 4), np.inf)],
    )
    def test_an_affine_is_finite_and_has_a_volume(self, affine: Any) -> None:
        with pytest.raises(GeometryError, match="finite numbers and a volume; this one is flat or not finite"):
            Image(np.zeros((1, 2, 3, 4)), affine)


class TestImage:
    def test_the_image_cannot_be_changed_and_the_array_given_can(self) -> None:
        voxels, affine = np.zeros((2, 3, 4, 5), np.int16), OBLIQUE.copy()
        image = Image(voxels, affine)
        voxels[0, 0, 0, 0] = 7
        affine[0, 0] = 99
        assert image.affine[0, 0] == 0.1
        assert (image.shape, image.channels, image.flat) == ((3, 4, 5), 2, False)
        for array in (image.voxels, image.affine):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0

    def test_axes_are_zyx_and_world_is_ras(self) -> None:
        image = Image(np.zeros((1, 3, 4, 5)), scale_affine((4, 3, 2)))
        assert image.to_mm((1, 0, 0)).tolist() == [0, 0, 4]
        assert image.to_mm((0, 1, 0)).tolist() == [0, 3, 0]
        assert image.to_mm((0, 0, 1)).tolist() == [2, 0, 0]
        assert image.spacing.tolist() == [4, 3, 2]

    @given(st.tuples(*[st.floats(-500, 500)] * 3))
    def test_millimetres_and_indices_go_back_and_forth(self, index: tuple[float, float, float]) -> None:
        image = Image(np.zeros((1, 3, 4, 5)), OBLIQUE)
        np.testing.assert_allclose(image.to_index(image.to_mm(index)), index, atol=1e-9)


CORNERS = st.tuples(*[st.integers(-4, 8)] * 3)


def inside(box: Box) -> set[tuple[int, int, int]]:
    (a, b, c), (d, e, f) = box.low, box.high
    return {(z, y, x) for z in range(a, d) for y in range(b, e) for x in range(c, f)}


class TestBox:
    @given(st.builds(Box, CORNERS, CORNERS), st.builds(Box, CORNERS, CORNERS))
    def test_boxes_are_sets_of_voxels(self, a: Box, b: Box) -> None:
        assert len(inside(a)) == a.size
        assert inside(a.intersection(b)) == inside(a) & inside(b)
        assert inside(a.union(b)) >= inside(a) | inside(b)
        assert inside(a.clipped((3, 4, 5))) == {
            i for i in inside(a) if all(0 <= v < n for v, n in zip(i, (3, 4, 5), strict=True))
        }
        assert all(a.contains(i) == (i in inside(a)) for i in inside(b))

    def test_the_union_with_nothing_is_the_other(self) -> None:
        nothing, something = Box((5, 5, 5), (5, 9, 9)), Box((0, 1, 2), (1, 2, 3))
        assert nothing.union(something) == something.union(nothing) == something

    def test_growing_takes_one_margin_or_three(self) -> None:
        box = Box((1, 2, 3), (2, 4, 6))
        assert box.grown(1) == Box((0, 1, 2), (3, 5, 7))
        assert box.grown((0, 1, 2)) == Box((1, 1, 1), (2, 5, 8))
        assert whole((2, 3, 4)).shape == (2, 3, 4)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 4)), max_size=4),
    st.sampled_from([bool, np.uint16]),
)
def test_bounds_are_the_tightest_box(points: list[tuple[int, int, int]], kind: type) -> None:
    mask = np.zeros((3, 4, 5), kind)
    for point in points:
        mask[point] = True
    box = bounds(mask)
    if not points:
        assert box is None
    else:
        array = np.asarray(points)
        assert box is not None
        assert (box.low, box.high) == (tuple(array.min(axis=0)), tuple(array.max(axis=0) + 1))
