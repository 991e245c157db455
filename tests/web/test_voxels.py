"""The voxel under the pointer is the voxel that the server gets, and its mask lands where it belongs."""

import numpy as np
import pytest

from segmend.core.image import Image
from segmend.core.session import PALETTE
from tests.web.plugin.ball import REACH

SHAPE = (11, 12, 13)
SPACING = (3.0, 1.5, 1.0)  # (z, y, x)


def affine(order, signs, *, turn=0.0, shear=0.0):
    """Axis n of the file runs along world axis order[n] (0 R, 1 A, 2 S), then turned and sheared a little."""
    result = np.zeros((4, 4))
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        result[world, axis] = sign * SPACING[axis]
    c, s = np.cos(turn), np.sin(turn)
    result = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, s / 2, 1, 0], [0, 0, 0, 1]]) @ result
    result[1, 0] += shear
    result[:, 3] = [10, -20, 30, 1]
    return result


ORIENTATIONS = {
    "RAS": affine((2, 1, 0), (1, 1, 1)),
    "LPS": affine((2, 1, 0), (1, -1, -1)),
    "PSR": affine((0, 2, 1), (1, 1, -1)),  # x to the back, y up, z to the right
    "SAL": affine((0, 1, 2), (-1, 1, 1)),
    "oblique": affine((2, 1, 0), (1, -1, -1), turn=0.35),
    "tilted gantry": affine((2, 1, 0), (1, -1, -1), shear=1.1),
}
PLANES = {"axial": 2, "coronal": 1, "sagittal": 0}  # the world axis that is looked along
# the world directions that run to the right and down on the screen
SCREEN = {"axial": ((-1, 0, 0), (0, -1, 0)), "coronal": ((-1, 0, 0), (0, 0, -1)), "sagittal": ((0, -1, 0), (0, 0, -1))}


def noise():
    return np.random.default_rng(7).integers(0, 256, (1, *SHAPE), dtype=np.uint8)


# Each takes half a minute with the page: in `make test` one that turns the axes, and one that no axis is along.
@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=() if one in ("PSR", "oblique") else pytest.mark.long) for one in ORIENTATIONS]
)
def test_a_click_in_each_plane_reaches_its_voxel_and_changes_its_pixels(annotator, add, name):
    image = Image(noise(), ORIENTATIONS[name], axes="zyx")
    case = add(image, name)
    annotator.open(case).plain()
    direction = image.affine[:3, :3] / image.spacing
    nearest = np.abs(direction).argmax(axis=1)  # world axis -> the file's axis along it
    voxels = {"axial": (6, 4, 8), "coronal": (4, 7, 5), "sagittal": (5, 6, 4)}

    for plane, voxel in voxels.items():
        annotator.show(plane)
        normal = nearest[PLANES[plane]]
        inside, outside = neighbours(voxel, normal, REACH), neighbours(voxel, normal, REACH + 1)
        away = list(voxel)
        away[nearest[PLANES[plane] - 1]] += REACH + 2  # keep the crosshair's lines off the voxels looked at
        away[nearest[PLANES[plane] - 2]] += REACH + 2
        annotator.go_to(away)
        grey = np.array(annotator.colours([*inside, *outside], plane))
        expected = [stretched(image.voxels[0], index) for index in [*inside, *outside]]
        assert np.abs(grey - np.array(expected)[:, None]).max() <= 2, plane
        check_directions(annotator, image, plane, voxel, nearest)

        annotator.click(voxel, plane)
        annotator.settle()

        sent = annotator.prompts[-1]
        assert sent == {"kind": "click", "index": list(voxel), "positive": True}
        annotator.go_to(away)
        after = np.array(annotator.colours([*inside, *outside], plane))
        blend = 0.6 * grey + 0.4 * np.array(PALETTE[0])
        assert np.abs(after - blend)[: len(inside)].max() <= 4, plane
        assert np.abs(after - grey)[len(inside) :].max() <= 2, plane
        assert annotator.label_at(voxel) == 1
        annotator.page.get_by_role("button", name="Undo").click()
        annotator.settle()
        assert annotator.label_at(voxel) == 0


def neighbours(voxel, normal, distance):
    """The four voxels so far from this one to the corners of its slice."""
    a, b = (axis for axis in range(3) if axis != normal)
    found = []
    for i in (-1, 1):
        for j in (-1, 1):
            index = list(voxel)
            index[a] += i * distance
            index[b] += j * distance
            if 0 <= index[a] < SHAPE[a] and 0 <= index[b] < SHAPE[b]:
                found.append(index)
    assert found
    return found


def stretched(values, index):
    low, high = int(values.min()), int(values.max())
    return 255 * (int(values[tuple(index)]) - low) / (high - low)


def check_directions(annotator, image, plane, voxel, nearest):
    """One voxel towards a side of the patient is one step towards the right side of the screen."""
    x, y = annotator.place_of(voxel, plane)
    for direction, step in zip(SCREEN[plane], ("right", "down"), strict=True):
        world = int(np.abs(direction).argmax())
        axis = nearest[world]
        beside = list(voxel)
        beside[axis] += 1 if image.affine[world, axis] * direction[world] > 0 else -1
        x1, y1 = annotator.place_of(beside, plane)
        moved = (x1 - x, y1 - y) if step == "right" else (y1 - y, x1 - x)
        assert moved[0] > 1 and abs(moved[1]) < 0.01, (plane, step)


def test_the_corners_of_the_image_can_be_clicked_zoomed_in_and_out(annotator, add, volume):
    annotator.open(add(volume)).plain()
    corners = [(0, 0, 0), (10, 11, 12), (0, 11, 0), (10, 0, 12)]

    annotator.show("sagittal")
    for corner in corners:
        annotator.page.keyboard.press("r")
        annotator.go_to(corner)
        annotator.page.mouse.move(*annotator.place_of(corner, "sagittal"))
        annotator.page.keyboard.down("Control")
        annotator.page.mouse.wheel(0, -300)
        annotator.page.keyboard.up("Control")
        annotator.drawn()
        annotator.click(corner, "sagittal")
        annotator.settle()

    assert [tuple(prompt["index"]) for prompt in annotator.prompts] == corners


def test_a_photograph_looks_as_it_is_and_takes_clicks(annotator, add, photo):
    annotator.open(add(photo))
    annotator.page.get_by_text("Smooth", exact=True).uncheck()
    pixels = [(0, 2, 3), (0, 2, 50), (0, 36, 3), (0, 30, 40)]

    colours = np.array(annotator.colours(pixels))
    (x0, y0), (x1, y1) = (annotator.place_of(pixel, "axial") for pixel in (pixels[0], pixels[3]))
    annotator.click(pixels[3])
    annotator.settle()

    assert np.abs(colours - [photo.voxels[:, 0, y, x] for _, y, x in pixels]).max() <= 2
    assert x1 > x0 and y1 > y0
    assert annotator.page.locator(".pane").count() == 1
    assert annotator.prompts == [{"kind": "click", "index": [0, 30, 40], "positive": True}]
