"""Lassos that come as voxels: the line round them has them inside."""

import numpy as np
import pytest
from scipy import ndimage

from segmend.core.marks import fill_lasso
from segmend.errors import PromptError
from segmend.server.protocols import lassos
from segmend.server.protocols.lassos import lasso_of


def filled(lasso, shape):
    """Return the voxels inside a lasso."""
    axis, found = lasso.axis, np.zeros(shape, bool)
    sides = [n for i, n in enumerate(shape) if i != axis]
    corners = np.array([[n for i, n in enumerate(point) if i != axis] for point in lasso.points])
    plane = [slice(None)] * 3
    plane[axis] = lasso.points[0][axis]
    found[tuple(plane)] = fill_lasso(corners, *sides)
    return found


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("seed", range(8))
def test_the_line_round_a_blob_has_exactly_the_blob_inside(axis, seed):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((13, 17)), 1.5)
    pieces, _ = ndimage.label(noise > np.quantile(noise, 0.6), np.ones((3, 3), bool))
    plane = ndimage.binary_fill_holes(pieces == np.bincount(pieces[pieces > 0]).argmax())
    inside = np.expand_dims(plane, axis)
    low = (2, 3, 4)

    lasso = lasso_of(inside, low, positive=seed % 2 == 0)

    shape = tuple(np.add(inside.shape, 6))
    wanted = np.zeros(shape, bool)
    wanted[tuple(slice(l, l + n) for l, n in zip(low, inside.shape, strict=True))] = inside
    np.testing.assert_array_equal(filled(lasso, shape), wanted)
    assert lasso.positive == (seed % 2 == 0) and lasso.axis == axis


@pytest.mark.parametrize(
    "drawn", ["x", "xx", "x.\n.x", "xxx\nx.x\nxxx", "x\nx\nx", ".x.\nxxx\n.x.", "xx.xx\n..x..\nxx.xx"]
)
def test_small_and_thin_shapes_keep_their_voxels_and_get_their_holes_filled(drawn):
    plane = np.array([[mark == "x" for mark in row] for row in drawn.split("\n")])

    lasso = lasso_of(plane[None], (0, 0, 0), positive=True)

    np.testing.assert_array_equal(filled(lasso, (1, *plane.shape))[0], ndimage.binary_fill_holes(plane))


def test_pieces_are_joined_by_lines():
    plane = np.zeros((5, 20), bool)
    plane[1:4, 1:5] = plane[1:4, 10:13] = plane[1:4, 16:19] = True

    found = filled(lasso_of(plane[None], (0, 0, 0), positive=True), (1, 5, 20))[0]

    assert found[plane].all() and ndimage.label(found)[1] == 1
    assert (found & ~plane).sum() == 5 + 3  # a row between each two


def test_voxels_of_several_planes_are_no_lasso():
    with pytest.raises(
        PromptError, match="A lasso needs all its voxels in one plane; these fill a box of \\(2, 2, 2\\)"
    ):
        lasso_of(np.ones((2, 2, 2), bool), (0, 0, 0), positive=True)


def test_nothing_and_noise_are_no_lasso():
    with pytest.raises(PromptError, match="A lasso needs at least one voxel"):
        lasso_of(np.zeros((1, 2, 2), bool), (0, 0, 0), positive=True)
    noise = np.zeros((1, 40, 40), bool)
    noise[0, ::2, ::2] = True
    with pytest.raises(PromptError, match="A lasso needs at most 64 pieces; got 400"):
        lasso_of(noise, (0, 0, 0), positive=True)


def test_a_line_has_an_end(monkeypatch):
    monkeypatch.setattr(lassos, "MAX_POINTS", 50)

    with pytest.raises(PromptError, match="A lasso needs a line of at most 50 pixels"):
        lasso_of(np.ones((1, 40, 40), bool), (0, 0, 0), positive=True)
