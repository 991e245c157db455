"""Images of other libraries as Segmend's, and Segmend's as theirs: NumPy, nibabel, SimpleITK, MONAI.

An image of nibabel or SimpleITK says where it lies and is taken as it is. An array does not: its order is said with
`axes`, one letter an axis, and an affine or a spacing that comes with it counts in the same order. Neither library is
imported unless somebody asks for one of its images.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from segmend.core.geometry import Affine, mirrored, turned
from segmend.core.image import Image, Space, check_space, scale_affine
from segmend.errors import GeometryError, SettingsError, ShapeError
from segmend.io.axes import select_channels
from segmend.io.files import read
from segmend.io.intensities import Numbers, check_finite, rescale, to_native

MILLIMETRES = {"meter": 1000.0, "micron": 0.001}  # in a unit, as nibabel's headers name it
USUAL_AXES = {2: "yx", 3: "zyx", 4: "czyx"}  # of an array that nothing else is said of, by its axes
NO_PLACE = "Nothing says how this volume lies in the patient: its axes are taken as left, back and head."


def open_image(
    thing: Any,
    *,
    affine: ArrayLike | None = None,
    spacing: Sequence[float] | None = None,
    axes: str | None = None,
    space: Space = "RAS",
    series: str | None = None,
    fourth: str = "channels",
    frame: int = 0,
) -> Image:
    """Return a path, a folder of DICOM, an array or an image of nibabel, SimpleITK or MONAI as an Image.

    `axes` names the axes of an array, such as "zyx", "xyz", "cxyz", "yx" or "yxc"; `affine` and `spacing` count in
    that order, the affine to millimetres of `space`. A tensor of MONAI brings its affine. `series` chooses among those
    of a path; `fourth` and `frame` say what a fourth axis is, as in `io.read`.

    >>> open_image(np.zeros((60, 40, 12)), spacing=(0.5, 0.5, 3), axes="xyz").spacing.tolist()
    [3.0, 0.5, 0.5]
    """
    check_space(space)
    if isinstance(thing, str | Path | Image) or _is_nibabel(thing) or _is_simpleitk(thing):
        if affine is not None or spacing is not None or axes is not None:
            raise SettingsError("Only an array takes axes, an affine or a spacing; this image says itself where it is.")
        if isinstance(thing, Image):
            return thing
        if isinstance(thing, str | Path):
            return read(thing, series=series, fourth=fourth, frame=frame)
        opened = _from_nibabel if _is_nibabel(thing) else _from_simpleitk
        return opened(thing, fourth, frame)
    if affine is None and hasattr(thing, "affine") and hasattr(thing, "meta"):  # a tensor of MONAI
        affine = np.asarray(thing.affine)
        space = "LPS" if str(getattr(thing.meta.get("space"), "value", "")) == "LPS" else "RAS"
    return _from_array(_numbers(thing), affine, spacing, axes, space)


def to_nibabel(values: Image | ArrayLike, image: Image | None = None) -> Any:
    """Return an image, or numbers [z y x] on an image's grid such as its mask, as a nibabel Nifti1Image."""
    nibabel = _library("nibabel")
    voxels, grid = _on_grid(values, image)
    data = np.moveaxis(voxels.transpose(0, 3, 2, 1), 0, -1)  # [x y z c]
    data = data[..., 0] if data.shape[-1] == 1 else data
    made = nibabel.Nifti1Image(np.ascontiguousarray(data), turned(grid.affine), dtype=data.dtype)
    made.header.set_xyzt_units("mm")
    return made


def to_simpleitk(values: Image | ArrayLike, image: Image | None = None) -> Any:
    """Return an image, or numbers [z y x] on an image's grid such as its mask, as a SimpleITK image of 3 dimensions."""
    library = _library("SimpleITK")
    voxels, grid = _on_grid(values, image)
    vector = len(voxels) > 1
    made = library.GetImageFromArray(np.moveaxis(voxels, 0, -1) if vector else voxels[0], isVector=vector)
    affine = mirrored(turned(grid.affine))
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    made.SetSpacing(steps.tolist())
    made.SetDirection((affine[:3, :3] / steps).ravel().tolist())
    made.SetOrigin(affine[:3, 3].tolist())
    return made


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != name:
            raise
        raise SettingsError(f"An image of {name} needs {name}; install it with: pip install {name.lower()}") from None


def _on_grid(values: Image | ArrayLike, image: Image | None) -> tuple[Numbers, Image]:
    if isinstance(values, Image):
        return values.voxels, values
    array = to_native(np.asarray(values))
    if image is None:
        raise SettingsError("Numbers without a place need the image that they belong to: to_nibabel(mask, image).")
    if array.shape != image.shape:
        raise ShapeError(f"A mask needs its image's shape {image.shape}; got {array.shape}.")
    return array[None], image


def _is_nibabel(thing: Any) -> bool:
    return all(hasattr(thing, name) for name in ("dataobj", "affine", "header"))


def _from_nibabel(thing: Any, fourth: str, frame: int) -> Image:
    if thing.affine is None:
        raise GeometryError("This nibabel image has no affine, so nothing says where it is; give its array and axes.")
    stored = thing.dataobj
    if hasattr(stored, "get_unscaled"):  # of a file: whole numbers stay whole
        data = rescale(to_native(np.asanyarray(stored.get_unscaled())), float(stored.slope), float(stored.inter))
    else:
        data = np.asanyarray(stored)
    if data.dtype.names:  # a colour a voxel
        data = np.stack([data[name] for name in data.dtype.names[:3]], axis=-1).reshape(*data.shape, 1, -1)
    data = to_native(data)
    full = data.reshape(data.shape + (1,) * (5 - data.ndim))  # [x y z t u]
    unit = thing.header.get_xyzt_units()[0] if hasattr(thing.header, "get_xyzt_units") else "mm"
    affine = turned(thing.affine)
    affine[:3] *= MILLIMETRES.get(unit, 1.0)
    voxels = select_channels(full.transpose(4, 3, 2, 1, 0), fourth=fourth, frame=frame, name="This nibabel image")
    return Image(check_finite(np.ascontiguousarray(voxels), "This nibabel image"), affine, axes="zyx")


def _is_simpleitk(thing: Any) -> bool:
    return all(hasattr(thing, name) for name in ("GetDirection", "GetPixelIDTypeAsString"))


def _from_simpleitk(thing: Any, fourth: str, frame: int) -> Image:
    array = to_native(_library("SimpleITK").GetArrayFromImage(thing))
    if thing.GetNumberOfComponentsPerPixel() == 1:
        array = array[..., None]
    full = np.moveaxis(array.reshape((1,) * (5 - array.ndim) + array.shape), -1, 0)  # [c t z y x]
    sides = thing.GetDimension()
    count = min(sides, 3)
    affine = np.eye(4)
    affine[:count, :count] = np.reshape(thing.GetDirection(), (sides, sides))[:count, :count]
    affine[:count, :count] *= thing.GetSpacing()[:count]
    affine[:count, 3] = thing.GetOrigin()[:count]
    voxels = select_channels(full, fourth=fourth, frame=frame, name="This SimpleITK image")
    return Image(
        check_finite(np.ascontiguousarray(voxels), "This SimpleITK image"), mirrored(turned(affine)), axes="zyx"
    )


def _numbers(thing: Any) -> Numbers:
    if hasattr(thing, "detach"):  # a tensor of torch, perhaps on a GPU
        thing = thing.detach().cpu().numpy()
    try:
        array = np.asarray(thing)
    except (TypeError, ValueError):
        array = np.empty(0, object)
    if array.dtype.kind not in "buif":
        name = type(thing).__name__
        raise ShapeError(f"An image is opened from a path, an array of real numbers, nibabel or SimpleITK; got {name}.")
    return check_finite(to_native(array), "This array") if array.size else array


def _from_array(
    array: Numbers, affine: ArrayLike | None, spacing: Sequence[float] | None, axes: str | None, space: Space
) -> Image:
    if axes is None:
        axes = _usual_axes(array, placed=affine is not None or spacing is not None)
    if not {"y", "x"} <= set(axes) <= set("czyx") or len(set(axes)) != len(axes):
        raise SettingsError(f"The axes of an array are letters among c, z, y and x, y and x always; got {axes!r}.")
    if len(axes) != array.ndim:
        raise ShapeError(f"An array with axes {axes!r} needs {len(axes)} of them; got shape {array.shape}.")
    if affine is not None and spacing is not None:
        raise SettingsError("An affine holds the spacing; give one of the two.")
    voxels = array.transpose([axes.index(name) for name in "czyx" if name in axes])
    voxels = np.expand_dims(voxels, [i for i, name in enumerate("czyx") if name not in axes])
    order = [name for name in axes if name != "c"]
    if affine is not None:
        return Image(np.ascontiguousarray(voxels), _ordered(affine, order, space), axes="zyx")
    steps = {"z": 1.0, **dict(zip(order, _steps(spacing, len(order)), strict=True))}
    notes = () if voxels.shape[1] == 1 else (NO_PLACE,)
    lying = mirrored(scale_affine([steps[name] for name in "zyx"]))
    return Image(np.ascontiguousarray(voxels), lying, notes, axes="zyx")


def _usual_axes(array: Numbers, *, placed: bool) -> str:
    if placed:
        raise SettingsError(
            "An array with an affine or a spacing needs axes, in whose order both count: for instance axes='xyz' with "
            "nibabel's arrays and affines, 'cxyz' with MONAI's, 'zyx' with SimpleITK's arrays."
        )
    if array.ndim == 3 and (array.shape[-1] in (3, 4) or array.shape[0] in (3, 4)):
        raise SettingsError(
            f"An array of shape {array.shape} may be a colour picture or a volume; say axes='yxc', 'cyx' or 'zyx'."
        )
    if array.ndim not in USUAL_AXES:
        raise ShapeError(f"An image needs an array of 2, 3 or 4 axes; got shape {array.shape}.")
    return USUAL_AXES[array.ndim]


def _ordered(affine: ArrayLike, order: Sequence[str], space: Space) -> Affine:
    """Return an affine of axes in some order as one of (z, y, x) to RAS mm."""
    given = np.asarray(affine, np.float64)
    if given.shape != (4, 4):
        raise GeometryError(f"An affine needs shape (4, 4); got {given.shape}.")
    full = list(order) if "z" in order else (["z", *order] if order[0] == "y" else [*order, "z"])
    columns = given[:, [*(full.index(name) for name in "zyx"), 3]]
    return mirrored(columns) if space == "LPS" else columns


def _steps(spacing: Sequence[float] | None, count: int) -> list[float]:
    if spacing is None:
        return [1.0] * count
    steps = [float(step) for step in spacing]
    if len(steps) != count or not all(np.isfinite(step) and step > 0 for step in steps):
        raise GeometryError(f"A spacing here needs {count} numbers of millimetres above 0; got {tuple(spacing)}.")
    return steps
