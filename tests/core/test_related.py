"""An image on another one's grid: exact for every affine, and refused where nothing relates the two."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from segmend.core.geometry import mirrored, turned
from segmend.core.image import Image, scale_affine
from segmend.core.related import check_related, on_grid_of
from segmend.errors import GeometryError

SLOPE, BASE = np.array([0.7, -1.3, 0.4]), 50.0


def slanted(seed: int, spacing: tuple[float, float, float], origin: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return an affine of a grid that is turned in space, with these steps."""
    axes, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = origin
    return affine


def plane_of_values(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return numbers that rise evenly through space, which linear interpolation gives back exactly [z y x]."""
    at = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    return np.asarray((at @ affine[:3, :3].T + affine[:3, 3]) @ SLOPE + BASE)


@pytest.mark.parametrize("sheared", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_place_in_the_patient_has_one_value_on_every_grid(seed: int, sheared: bool) -> None:
    theirs = slanted(seed, (3, 1, 0.8), (-20, -18, -30))
    if sheared:
        theirs[:3, 0] += 0.4 * theirs[:3, 1]  # a tilted gantry
    other = Image(plane_of_values(theirs, (24, 50, 60))[None], theirs, axes="zyx")
    ours = slanted(seed + 7, (1.5, 0.9, 1.1), tuple(other.to_mm((12, 25, 30))))

    found = on_grid_of(other, ours, (6, 7, 8), 0, 6, outside=-1e6)

    np.testing.assert_allclose(found, plane_of_values(ours, (6, 7, 8)), atol=1e-6)
    np.testing.assert_allclose(on_grid_of(other, ours, (6, 7, 8), 2, 5, outside=-1e6), found[2:5], atol=1e-9)


def test_grids_that_run_along_each_other_are_as_exact() -> None:
    theirs, ours = slanted(4, (3, -1, 0.8), (-20, -18, -30)), slanted(4, (2, 0.7, 1.1), (0, 0, 0))
    other = Image(plane_of_values(theirs, (24, 50, 60))[None], theirs, axes="zyx")
    ours[:3, 3] = other.to_mm((12, 35, 20))

    found = on_grid_of(other, ours, (6, 7, 8), 1, 6, outside=-1e6)

    np.testing.assert_allclose(found, plane_of_values(ours, (6, 7, 8))[1:], atol=1e-6)


@pytest.mark.parametrize("turn", [None, 3])
def test_it_is_what_simpleitk_makes_of_the_same_two_grids(turn: int | None) -> None:
    noise = np.random.default_rng(5).normal(size=(9, 14, 16)).astype(np.float32)
    theirs = slanted(2, (3, 1.5, 1.2), (-10, -12, -9))
    shape = (17, 30, 25)
    ours = slanted(2 if turn is None else turn, (2, 0.7, 0.9), (0, 0, 0))
    ours[:3, 3] = (theirs @ (4.1, 6.7, 7.2, 1))[:3] - ours[:3, :3] @ (8, 15, 12)  # the middles lie together

    found = on_grid_of(Image(noise[None], theirs, axes="zyx"), ours, shape, 0, 17, outside=-99)

    wanted = sitk.GetArrayFromImage(
        sitk.Resample(
            itk(noise, theirs), itk(np.zeros(shape, np.float32), ours), sitk.Transform(), sitk.sitkLinear, -99
        )
    )
    inside = (found != -99) & (wanted != -99)
    assert inside.mean() > 0.1 and ((found == -99) == (wanted == -99)).mean() > 0.999  # but for ties on the border
    np.testing.assert_allclose(found[inside], wanted[inside], atol=2e-4)


def itk(values: NDArray[np.float32], affine: NDArray[np.float64]) -> sitk.Image:
    """Return an image of SimpleITK, which counts (x, y, z) and millimetres to the left and back."""
    image = sitk.GetImageFromArray(values)
    lps = turned(mirrored(affine))
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def test_whole_numbers_are_rounded_and_keep_their_type_and_large_ones_become_real() -> None:
    half = scale_affine((1, 1, 0.5))
    line = np.array([[[[0, 3, 5]]]])

    assert on_grid_of(Image(line.astype(np.uint8)), half, (1, 1, 5), 0, 1).tolist() == [[[0, 2, 3, 4, 5]]]
    assert on_grid_of(Image(line.astype(np.uint8)), half, (1, 1, 5), 0, 1).dtype == np.uint8
    assert on_grid_of(Image(line.astype(np.int32)), half, (1, 1, 5), 0, 1).dtype == np.float32


@pytest.mark.parametrize(
    ("main", "frames", "other", "why"),
    [
        (Image(np.zeros((1, 3, 4, 5))), ("1.2", "1.3"), Image(np.zeros((1, 3, 4, 5))), "of another frame of reference"),
        (Image(np.zeros((1, 3, 4, 5))), ("", ""), Image(np.zeros((3, 3, 4, 5))), "needs one channel .* has 3"),
        (Image(np.zeros((1, 1, 4, 5))), ("", ""), Image(np.zeros((1, 3, 4, 5))), "case's image says no place"),
        (Image(np.zeros((1, 3, 4, 5))), ("", ""), Image(np.zeros((1, 1, 4, 5))), "'PET' says no place"),
        (
            Image(np.zeros((1, 3, 4, 5))),
            ("", ""),
            Image(np.zeros((1, 3, 4, 5)), notes=("The file says no orientation: its axes are taken as right.",)),
            "'PET' says no place",
        ),
        (
            Image(np.zeros((1, 3, 4, 5))),
            ("1.2", ""),
            Image(np.zeros((1, 3, 4, 5)), slanted(0, (1, 1, 1), (90, 0, 0)), axes="zyx"),
            "'PET' lies beside the case's image",
        ),
    ],
)
def test_what_nothing_relates_is_refused(main: Image, frames: tuple[str, str], other: Image, why: str) -> None:
    with pytest.raises(GeometryError, match=why):
        check_related(main, frames[0], other, frames[1], name="PET")


def test_images_that_touch_or_whose_frame_nobody_knows_are_related() -> None:
    main = Image(np.zeros((1, 3, 4, 5)))
    check_related(
        main, "1.2", Image(np.zeros((1, 3, 4, 5)), slanted(3, (2, 1, 1), (1, 1, 1)), axes="zyx"), "", name="T2"
    )
