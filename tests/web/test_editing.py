"""Finishing a mask by hand and by rule in the page: tools, the section of rules, keys, and what the list says."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

SHAPE, MIDDLE = (11, 12, 13), (5, 6, 6)


@pytest.fixture
def opened(annotator, add, volume):
    annotator.open(add(volume, "knee"))
    return annotator


def edits(opened):
    """The edits that reached the server, oldest first."""
    return [event["edit"] for event in opened.recorded["events"] if event["event"] == "edited"]


def section(opened):
    found = opened.page.locator("details.editing")
    if found.get_attribute("open") is None:
        found.locator("summary").click()
    return found


def rule(opened, name):
    section(opened).get_by_role("button", name=name, exact=True).click()
    opened.settle()


def words(opened):
    return opened.page.locator(".mark-row .mark-words").all_inner_texts()


def row_of(opened, z, y, columns=13):
    return [opened.label_at((z, y, x)) for x in range(columns)]


def mask_of(opened, label=1):
    """The voxels that the page shows as a label's."""
    values = opened.page.evaluate(
        """([depth, height, width]) => Array.from({ length: depth * height * width }, (_, i) =>
          window.segmend.labelAt([Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width]))""",
        SHAPE,
    )
    return np.reshape(values, SHAPE) == label


def test_paint_and_erase_change_what_they_pass_over_and_nothing_else(opened):
    page = opened.page
    opened.plain()
    page.get_by_text("Outline", exact=True).uncheck()
    page.keyboard.press("p")
    for _ in range(2):
        page.keyboard.press("[")
    grey = opened.colours([MIDDLE])[0]
    page.mouse.move(*opened.place_of((5, 6, 3), "axial"))
    page.mouse.down()
    page.mouse.move(*opened.place_of((5, 6, 9), "axial"), steps=4)
    assert opened.state["editing"]["kind"] == "paint"
    page.mouse.up()
    opened.settle()

    assert row_of(opened, 5, 6) == [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]  # the brush reaches one voxel of 1 mm
    assert row_of(opened, 5, 5) == [0] * 13  # rows are 1.5 mm apart
    assert row_of(opened, 4, 6) == [0] * 13
    painted = opened.colours([MIDDLE])[0]
    assert painted != grey and painted[0] > painted[2]

    page.keyboard.press("q")
    opened.drag([(5, 6, 6), (5, 6, 6)])
    opened.settle()
    assert row_of(opened, 5, 6) == [0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0]
    assert opened.colours([MIDDLE])[0] == grey

    page.keyboard.down("Shift")  # an eraser paints
    opened.drag([(5, 9, 6), (5, 9, 6)])
    page.keyboard.up("Shift")
    opened.settle()
    assert opened.label_at((5, 9, 6)) == 1
    assert words(opened) == ["Painted", "Erased", "Painted"]

    for left in (2, 1):
        page.keyboard.press("Control+z")
        opened.settle()
        assert len(words(opened)) == left
    assert row_of(opened, 5, 6) == [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]
    assert [edit["positive"] for edit in edits(opened)] == [True, False, True]


def test_a_brush_keeps_to_values_and_other_planes_have_theirs(opened, volume):
    section(opened)
    opened.page.get_by_text("Within", exact=True).click()
    opened.page.get_by_label("Lowest value").fill("100")
    opened.page.get_by_label("Highest value").fill("200")
    opened.page.keyboard.press("Enter")  # leaves the field, so that keys are shortcuts again
    opened.show("coronal")
    opened.page.keyboard.press("p")
    opened.drag([(5, 6, 2), (5, 6, 10)], "coronal")
    opened.settle()

    (edit,) = edits(opened)
    assert edit["axis"] == 1 and edit["within"] == [100, 200]
    wanted = [int(100 <= value <= 200) for value in volume.voxels[0, 5, 6, 2:11]]
    assert row_of(opened, 5, 6)[2:11] == wanted
    assert words(opened) == ["Painted within 100 to 200"]


def test_a_brush_is_round_or_square_and_paints_one_slice_or_all_round(opened, volume):
    page = opened.page
    page.keyboard.press("p")
    form = section(opened).get_by_role("group", name="Brush: Round or Square")
    depth = section(opened).get_by_role("group", name="Brush: One slice or 3D")
    away = np.abs(np.moveaxis(np.indices(SHAPE), 0, -1) - MIDDLE) * volume.spacing  # in mm, along each axis
    lengths = {"Round": np.linalg.norm(away, axis=-1), "Square": away.max(axis=-1)}

    covered = []
    for kind, far in lengths.items():
        for reach in ("One slice", "3D"):
            form.get_by_role("button", name=kind).click()
            depth.get_by_role("button", name=reach).click()
            opened.drag([MIDDLE, MIDDLE])
            opened.settle()
            near = far <= opened.state["radius"]  # in voxels of 1 mm
            wanted = near if reach == "3D" else near & (away[..., 0] == 0)
            np.testing.assert_array_equal(mask_of(opened), wanted, err_msg=f"{kind}, {reach}")
            covered.append(int(wanted.sum()))
            page.keyboard.press("Control+z")
            opened.settle()
    assert len(set(covered)) == 4 and not mask_of(opened).any()


def test_a_label_keeps_its_distance_from_another_or_stays_near_it(opened, volume):
    page = opened.page
    opened.click(MIDDLE)
    opened.settle()
    page.keyboard.press("n")
    opened.settle()
    opened.click((5, 6, 11))
    opened.settle()
    first, second = mask_of(opened, 1), mask_of(opened, 2)
    assert first.any() and second.any()
    section(opened).get_by_label("Gap in mm").fill("2")
    distance = distance_transform_edt(~first, sampling=volume.spacing)

    rule(opened, "Keep away")
    assert words(opened)[0] == "Kept 2 mm away from Object 1"
    np.testing.assert_array_equal(mask_of(opened, 2), second & (distance > 2))
    page.keyboard.press("Control+z")
    opened.settle()
    np.testing.assert_array_equal(mask_of(opened, 2), second)

    rule(opened, "Keep near")
    assert words(opened)[0] == "Kept what is within 2 mm of Object 1"
    near = second & (distance <= 2)
    np.testing.assert_array_equal(mask_of(opened, 2), near)
    assert 0 < near.sum() < second.sum()
    np.testing.assert_array_equal(mask_of(opened, 1), first)


def test_rules_say_what_they_changed_and_are_undone_and_removed(opened):
    opened.click(MIDDLE)
    opened.settle()
    before = row_of(opened, 5, 6)

    rule(opened, "Grow")
    opened.toast("Grew by 1 mm: 50 voxels more.")
    assert sum(row_of(opened, 5, 6)) == sum(before) + 2
    opened.page.keyboard.press("Control+z")
    opened.settle()
    assert row_of(opened, 5, 6) == before

    opened.page.get_by_label("Distance in mm").fill("1.5")
    rule(opened, "Shrink")
    assert sum(row_of(opened, 5, 6)) == sum(before) - 2
    rule(opened, "Keep largest")
    opened.toast("Kept the largest part: nothing changed.")
    assert words(opened) == ["Kept the largest part", "Shrank by 1.5 mm", "Click +"]

    opened.page.locator(".mark-row").nth(1).get_by_role("button", name="Remove").click()
    opened.settle()
    assert row_of(opened, 5, 6) == before and words(opened) == ["Kept the largest part", "Click +"]

    opened.page.keyboard.press("n")
    opened.settle()
    rule(opened, "Smooth out")
    opened.toast("There is no mask of this label yet")
    assert words(opened) == ["Kept the largest part", "Click +"]


def test_a_part_is_picked_to_be_erased_or_kept_and_a_hole_to_be_filled(opened):
    page = opened.page
    opened.click(MIDDLE)
    opened.settle()
    page.keyboard.press("q")
    for _ in range(2):
        page.keyboard.press("[")
    opened.drag([MIDDLE, MIDDLE])
    opened.settle()
    page.keyboard.press("p")
    opened.drag([(5, 1, 2), (5, 1, 3)])
    opened.settle()
    assert row_of(opened, 5, 6)[4:9] == [1, 0, 0, 0, 1] and opened.label_at((5, 1, 2)) == 1

    page.keyboard.press("Shift+K")
    opened.close_messages()
    opened.click(MIDDLE)
    opened.settle()
    assert row_of(opened, 5, 6)[4:9] == [1] * 5
    opened.close_messages()
    opened.click((5, 1, 2))
    opened.settle()
    assert (opened.label_at((5, 1, 2)), opened.label_at((5, 6, 4))) == (0, 1)
    page.keyboard.press("Control+z")
    opened.settle()
    opened.close_messages()
    page.keyboard.down("Shift")
    opened.click((5, 1, 2))
    page.keyboard.up("Shift")
    opened.settle()
    assert (opened.label_at((5, 1, 2)), opened.label_at((5, 6, 4))) == (1, 0)
    assert [edit["action"] for edit in edits(opened)[2:]] == ["fill", "erase", "keep"]


def test_values_are_kept_to_in_a_lasso(opened, volume):
    section(opened)
    opened.page.get_by_label("Lowest value").fill("100")
    opened.page.get_by_label("Highest value").fill("200")
    opened.page.keyboard.press("Enter")
    opened.page.keyboard.press("Shift+L")
    opened.drag([(5, 2, 2), (5, 2, 10), (5, 9, 10), (5, 9, 2)])
    opened.settle()

    for row in (4, 7):
        wanted = [int(100 <= value <= 200) for value in volume.voxels[0, 5, row, 3:10]]
        assert row_of(opened, 5, row)[3:10] == wanted
    assert row_of(opened, 5, 11) == row_of(opened, 4, 5) == [0] * 13


def test_slices_are_copied_and_filled_in_between_and_a_part_is_split_off(opened):
    page = opened.page
    opened.click(MIDDLE)
    opened.settle()
    opened.go_to((7, 6, 6))
    page.keyboard.press(".")
    opened.settle()
    assert opened.state["crosshair"][0] == 8 and row_of(opened, 8, 6) == row_of(opened, 7, 6)

    opened.go_to((9, 6, 6))
    page.keyboard.press(".")
    opened.toast("The slice to copy from has no mask.")
    opened.settle()

    page.keyboard.press("p")
    opened.go_to((10, 6, 6))
    opened.drag([(10, 6, 5), (10, 6, 7)])
    opened.settle()
    rule(opened, "Interpolate")
    assert any(row_of(opened, 9, 6))

    page.keyboard.press("k")
    opened.go_to(MIDDLE)
    opened.close_messages()
    opened.drag([(5, 2, 6), (5, 10, 6)])
    opened.toast("Now click the part that goes")
    opened.close_messages()
    opened.click((5, 6, 8))
    opened.settle()
    assert row_of(opened, 5, 6)[3:10] == [0, 1, 1, 1, 2, 2, 0] and row_of(opened, 4, 6)[7] == 2
    assert np.count_nonzero([kind == "Cut a part off, now Object 2" for kind in words(opened)]) == 1
