"""Images of NumPy, nibabel, SimpleITK and MONAI come in where they lie, and go back there."""

import sys

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from monai.data import MetaTensor

import segmend
from segmend.core.geometry import from_columns
from segmend.core.image import Image, scale_affine
from segmend.errors import FileError, GeometryError, PromptError, SettingsError, ShapeError
from tests.io.dicoms import save_all, slices

SHAPE = (4, 5, 6)  # z, y, x
NUMBERS = np.arange(120, dtype=np.int16).reshape(SHAPE)
CORNERS = [(0, 0, 0), (3, 4, 5), (1, 4, 2)]  # z, y, x

# (x, y, z) to RAS mm, unequal spacing: axial as most scanners write it, a sagittal one, and an oblique one.
turn = np.array([[0.8, 0.6, 0, 0], [-0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
tilt = np.array([[1, 0, 0, 0], [0, 0.96, -0.28, 0], [0, 0.28, 0.96, 0], [0, 0, 0, 1]])
AXIAL = np.array([[-0.5, 0, 0, 90], [0, -0.75, 0, 80], [0, 0, 3, -20], [0, 0, 0, 1.0]])
SAGITTAL = np.array([[0, 0, 3, -7], [-0.5, 0, 0, 80], [0, -0.75, 0, 40], [0, 0, 0, 1.0]])
TURNED = np.array(
    [[0, 0, 3, 1], [0, 0.75, 0, 2], [0.5, 0, 0, 3], [0, 0, 0, 1.0]]
)  # x up, y to the front, z to the right
AFFINES = {"axial": AXIAL, "sagittal": SAGITTAL, "oblique": turn @ tilt @ AXIAL, "turned": TURNED}


def places(affine, order="xyz"):
    """Return where the corners lie, by an affine of axes in this order."""
    points = [[corner["zyx".index(axis)] for axis in order] for corner in CORNERS]
    return [(affine @ (*point, 1))[:3].round(4).tolist() for point in points]


def holds(image, affine, values=NUMBERS):
    """Tell whether an image has these numbers, each where an affine of (x, y, z) says."""
    return np.array_equal(image.voxels[0], values) and [
        image.to_mm(corner).round(4).tolist() for corner in CORNERS
    ] == places(affine)


@pytest.fixture(params=AFFINES, ids=list(AFFINES))
def affine(request):
    return AFFINES[request.param]


def of_simpleitk(affine, array=NUMBERS):
    """Return a SimpleITK image whose voxels lie where an affine of (x, y, z) to RAS says."""
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(steps.tolist())
    image.SetDirection((lps[:3, :3] / steps).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def test_a_nibabel_image_comes_in_where_it_lies(affine):
    image = segmend.open_image(nibabel.Nifti1Image(NUMBERS.transpose(), affine))

    assert holds(image, affine)
    assert image.voxels.dtype == np.int16


def test_a_nibabel_image_and_its_file_are_the_same_image(affine, tmp_path):
    path = tmp_path / "scan.nii.gz"
    made = nibabel.Nifti1Image(NUMBERS.transpose(), affine)
    made.header.set_slope_inter(2, -1024)
    nibabel.save(made, path)

    from_file, from_nibabel = segmend.open_image(path), segmend.open_image(nibabel.load(path))

    assert np.array_equal(from_file.voxels, from_nibabel.voxels)
    assert from_file.voxels.dtype == from_nibabel.voxels.dtype
    np.testing.assert_allclose(from_file.affine, from_nibabel.affine, atol=1e-5)


def test_channels_colours_moments_and_units_of_nibabel():
    four = nibabel.Nifti1Image(np.stack([NUMBERS.transpose(), NUMBERS.transpose() + 7], axis=-1), AXIAL)
    colour = np.zeros((6, 5, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colour["G"] = NUMBERS.transpose()
    microns = nibabel.Nifti1Image(NUMBERS.transpose(), np.diag([1000, 1000, 1000, 1]) @ AXIAL)
    microns.header.set_xyzt_units("micron")

    assert segmend.open_image(four).channels == 2
    assert holds(segmend.open_image(four, fourth="time", frame=1), AXIAL, NUMBERS + 7)
    assert segmend.open_image(nibabel.Nifti1Image(colour, AXIAL)).voxels[:, 3, 4, 5].tolist() == [0, 119, 0]
    assert holds(segmend.open_image(microns), AXIAL)


def test_a_simpleitk_image_comes_in_where_it_lies(affine):
    given = of_simpleitk(affine)
    image = segmend.open_image(given)

    assert holds(image, affine)
    for z, y, x in CORNERS:
        point = given.TransformIndexToPhysicalPoint((x, y, z))
        np.testing.assert_allclose(image.to_mm((z, y, x), space="LPS"), point, atol=1e-4)


def test_flat_coloured_and_moving_images_of_simpleitk():
    flat = SimpleITK.GetImageFromArray(NUMBERS[0])
    flat.SetSpacing((0.5, 0.75))
    colour = SimpleITK.GetImageFromArray(np.stack([NUMBERS, NUMBERS + 1], axis=-1), isVector=True)
    moving = SimpleITK.JoinSeries([of_simpleitk(AXIAL), of_simpleitk(AXIAL, NUMBERS + 7)])

    photo = segmend.open_image(flat)
    assert photo.shape == (1, 5, 6)
    assert photo.spacing.tolist() == [1, 0.75, 0.5]
    assert segmend.open_image(colour).voxels[:, 3, 4, 5].tolist() == [119, 120]
    assert holds(segmend.open_image(moving, fourth="time", frame=1), AXIAL, NUMBERS + 7)


def test_an_array_comes_in_by_its_axes(affine):
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    xyz = NUMBERS.transpose()

    assert holds(segmend.open_image(xyz, affine=affine, axes="xyz"), affine)
    assert holds(segmend.open_image(xyz, affine=lps, axes="xyz", space="LPS"), affine)
    assert holds(segmend.open_image(NUMBERS, affine=affine[:, [2, 1, 0, 3]], axes="zyx"), affine)
    assert holds(segmend.open_image(xyz[..., None], affine=affine, axes="xyzc"), affine)
    assert holds(segmend.open_image(NUMBERS.transpose(1, 2, 0), affine=affine[:, [1, 0, 2, 3]], axes="yxz"), affine)
    assert holds(segmend.open_image(torch.tensor(xyz), affine=torch.tensor(affine), axes="xyz"), affine)


def test_a_tensor_of_monai_brings_its_affine(affine):
    tensor = MetaTensor(torch.tensor(NUMBERS.transpose()[None].copy()), affine=torch.tensor(affine))

    assert holds(segmend.open_image(tensor, axes="cxyz"), affine)
    with pytest.raises(SettingsError, match="needs axes"):
        segmend.open_image(tensor)


def test_arrays_that_nothing_is_said_of():
    assert segmend.open_image(NUMBERS[0]).shape == (1, 5, 6)
    assert segmend.open_image(np.zeros((9, 5, 6))).shape == (9, 5, 6)
    assert "Nothing says" in segmend.open_image(np.zeros((9, 5, 6))).notes[0]
    assert segmend.open_image(np.zeros((7, 8, 3), np.uint8), axes="yxc").voxels.shape == (3, 1, 7, 8)
    assert segmend.open_image(NUMBERS > 3, axes="zyx").voxels.dtype == np.uint8
    assert segmend.open_image(NUMBERS[0], spacing=(0.75, 0.5), axes="yx").spacing.tolist() == [1, 0.75, 0.5]
    one = segmend.open_image(NUMBERS[0])
    assert segmend.open_image(one) is one


@pytest.mark.parametrize(
    ("given", "how", "error", "said"),
    [
        (NUMBERS, {"affine": np.eye(4)}, SettingsError, "needs axes, in whose order both count"),
        (NUMBERS, {"spacing": (1, 1, 3)}, SettingsError, "needs axes, in whose order both count"),
        (np.zeros((7, 8, 3)), {}, SettingsError, "may be a colour picture or a volume"),
        (NUMBERS, {"axes": "yx"}, ShapeError, r"axes 'yx' needs 2 of them; got shape \(4, 5, 6\)"),
        (NUMBERS, {"axes": "zzx"}, SettingsError, "letters among c, z, y and x"),
        (NUMBERS, {"axes": "zyx", "spacing": (1, 0, 1)}, GeometryError, "needs 3 numbers of millimetres above 0"),
        (NUMBERS, {"axes": "zyx", "spacing": (1, 1, 1), "affine": np.eye(4)}, SettingsError, "one of the two"),
        (NUMBERS, {"axes": "zyx", "affine": np.eye(3)}, GeometryError, r"needs shape \(4, 4\)"),
        (NUMBERS, {"space": "RAI"}, GeometryError, "RAS or LPS; got 'RAI'"),
        ("scan.nii.gz", {"spacing": (1, 1, 1)}, SettingsError, "Only an array takes axes"),
        (np.zeros((1, 1, 1, 1, 1)), {}, ShapeError, "2, 3 or 4 axes"),
        (np.array([[np.nan, 1]]), {}, FileError, "not finite"),
        ({"scan": 1}, {}, ShapeError, "got dict"),
        (None, {}, ShapeError, "got NoneType"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_one_sentence(given, how, error, said):
    with pytest.raises(error, match=said):
        segmend.open_image(given, **how)


def test_images_and_masks_go_back_to_nibabel(affine):
    given = nibabel.Nifti1Image(NUMBERS.transpose(), affine)
    image = segmend.open_image(given)

    back, mask = segmend.to_nibabel(image), segmend.to_nibabel(NUMBERS > 60, image)

    assert np.array_equal(back.get_fdata(), given.get_fdata())
    np.testing.assert_allclose(back.affine, given.affine, atol=1e-5)
    assert mask.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(mask.dataobj), NUMBERS.transpose() > 60)
    np.testing.assert_allclose(mask.affine, given.affine, atol=1e-5)
    assert segmend.to_nibabel(Image(np.zeros((2, *SHAPE), np.uint8))).shape == (6, 5, 4, 2)


def test_images_and_masks_go_back_to_simpleitk(affine):
    given = of_simpleitk(affine)
    image = segmend.open_image(given)

    for back, values in (
        (segmend.to_simpleitk(image), NUMBERS),
        (segmend.to_simpleitk(NUMBERS > 60, image), NUMBERS > 60),
    ):
        assert np.array_equal(SimpleITK.GetArrayFromImage(back), values)
        for name in ("GetSpacing", "GetDirection", "GetOrigin"):
            np.testing.assert_allclose(getattr(back, name)(), getattr(given, name)(), atol=1e-6)
    assert segmend.to_simpleitk(Image(np.zeros((2, *SHAPE), np.uint8))).GetNumberOfComponentsPerPixel() == 2


def test_a_sheared_grid_goes_to_both_and_back():
    image = Image(NUMBERS[None], from_columns((0, 1, 3), (0, 2, 0), (1, 0, 0), (5, 6, 7)))

    for there in (segmend.to_nibabel, segmend.to_simpleitk):
        back = segmend.open_image(there(image))

        assert np.array_equal(back.voxels, image.voxels)
        np.testing.assert_allclose(back.affine, image.affine, atol=1e-5)


def test_a_mask_without_its_image_or_of_another_shape_is_refused():
    image = Image(NUMBERS[None])

    with pytest.raises(SettingsError, match="need the image"):
        segmend.to_nibabel(NUMBERS > 3)
    with pytest.raises(ShapeError, match=r"needs its image's shape \(4, 5, 6\)"):
        segmend.to_simpleitk(NUMBERS[:2] > 3, image)


@pytest.mark.parametrize(("there", "name"), [(segmend.to_nibabel, "nibabel"), (segmend.to_simpleitk, "SimpleITK")])
def test_a_library_that_is_not_installed_is_named(there, name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(SettingsError, match=f"needs {name}; install it with: pip install {name.lower()}"):
        there(Image(NUMBERS[None]))


def test_an_affine_of_x_y_z_is_refused_or_turned_never_taken_for_another():
    given = nibabel.Nifti1Image(NUMBERS.transpose(), AXIAL)
    data = np.asarray(given.dataobj)[None]

    with pytest.raises(GeometryError, match="looks like one of .x, y, z., as nibabel has them"):
        Image(data, given.affine)
    with pytest.raises(ShapeError, match="needs 4 axes .*segmend.open_image takes arrays of 2 and 3 axes"):
        Image(data[0], given.affine)
    with pytest.raises(ShapeError, match="got Nifti1Image: use segmend.open_image"):
        Image(given, given.affine)
    with pytest.raises(ShapeError, match="got Image: use segmend.open_image"):
        Image(of_simpleitk(AXIAL))
    with pytest.raises(GeometryError, match="'zyx' or 'xyz'; got 'xy'"):
        Image(data, given.affine, axes="xy")
    assert holds(Image(data, given.affine, axes="xyz"), AXIAL)


def test_an_image_that_really_lies_so_is_taken_when_it_says_so_and_copied_without_a_word(tmp_path):
    path = tmp_path / "turned.nii.gz"
    nibabel.save(nibabel.Nifti1Image(NUMBERS.transpose(), TURNED), path)

    image = segmend.io.read(path)

    assert holds(image, TURNED)
    assert holds(Image(image.voxels, image.affine), TURNED)
    with segmend.store.Store.open(f"sqlite:///{tmp_path}/s.db", str(tmp_path / "blobs")) as store:
        assert holds(store.image(store.add_case("turned", image).id), TURNED)


@pytest.mark.parametrize("space", ["RAS", "LPS"])
def test_prompts_in_millimetres_reach_the_voxels_that_lie_there(affine, space):
    image = segmend.open_image(nibabel.Nifti1Image(NUMBERS.transpose(), affine))
    signs = (-1, -1, 1) if space == "LPS" else (1, 1, 1)
    points = [(np.array(place) * signs).tolist() for place in places(affine)]
    one_slice = [(image.to_mm((2, y, x)) * signs).tolist() for y, x in ((0, 0), (0, 4), (3, 2))]

    click = segmend.Click.at_mm(points[1], image, positive=False, space=space)
    assert click == segmend.Click(CORNERS[1], positive=False)
    assert segmend.Stroke.at_mm(points, image, space=space, radius=2) == segmend.Stroke(tuple(CORNERS), True, 2)
    assert segmend.Extremes.at_mm(points, image, space=space).points == tuple(CORNERS)
    lasso = segmend.Lasso.at_mm(one_slice, image, space=space)
    assert lasso.points == ((2, 0, 0), (2, 0, 4), (2, 3, 2))


def test_a_box_in_millimetres_holds_all_that_it_reaches():
    image = segmend.open_image(of_simpleitk(AXIAL))
    low, high = image.to_mm((1, 1, 2), space="LPS"), image.to_mm((2, 3, 4), space="LPS")
    tilted = segmend.open_image(of_simpleitk(AFFINES["oblique"]))

    assert segmend.Box.at_mm(low, high, image, space="LPS") == segmend.Box((1, 1, 2), (3, 4, 5))
    assert segmend.Box.at_mm(high, low, image, space="LPS") == segmend.Box((1, 1, 2), (3, 4, 5))
    assert segmend.Box.at_mm(low, [1000, 1000, 1000], image, space="LPS") == segmend.Box((1, 1, 2), (4, 5, 6))
    a, b = tilted.to_mm((1, 1, 1)), tilted.to_mm((2, 3, 4))
    around = segmend.Box.at_mm(a, b, tilted)
    assert around.contains((1, 1, 1))
    assert around.contains((2, 3, 4))


def test_prompts_outside_the_image_are_refused():
    image = Image(NUMBERS[None], scale_affine((3, 1, 1)))

    with pytest.raises(PromptError, match=r"The point \(0, 0, 11\) mm \(RAS\) is outside the image"):
        segmend.Click.at_mm((0, 0, 11), image)
    with pytest.raises(PromptError, match="The box .* is outside the image"):
        segmend.Box.at_mm((10, 0, 0), (20, 3, 3), image)
    with pytest.raises(PromptError, match="all its points in one plane"):
        segmend.Lasso.at_mm([(0, 0, 0), (1, 0, 0), (0, 1, 3)], image)
    with pytest.raises(GeometryError, match="RAS or LPS; got 'XYZ'"):
        segmend.Click.at_mm((0, 0, 0), image, space="XYZ")


def test_a_folder_of_dicom_is_opened(tmp_path):
    save_all(slices(NUMBERS), tmp_path)

    image = segmend.open_image(tmp_path)

    assert np.array_equal(image.voxels[0], NUMBERS)
