"""Scans beside a case's image, times of a case, labels with an order, an opacity and a code, undo of rulers."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from segmend import io
from segmend.core.image import Image, scale_affine
from tests.web.driving import Annotator, wait_for, watched

SHAPE, SPACING = (11, 12, 13), (3, 1.5, 1)
SLANTED = np.array([[0, -0.2, 0.9, 1.5], [0.3, 0.7, 0.2, -4], [1.6, 0.1, 0, 2], [0, 0, 0, 1.0]])


def rising(affine, shape):
    """Return values that rise evenly through the patient: one a millimetre to the right, and so on [z y x]."""
    at = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    return (at @ affine[:3, :3].T + affine[:3, 3]) @ (1.0, 10.0, 100.0)


@pytest.fixture(scope="module")
def person(chromium, server):
    """One person at one browser for the whole file, who comes to each case anew."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    with watched(page):
        made = Annotator(page, server.address)
        yield made
        made.http.close()
    context.close()


@pytest.fixture
def store(server):
    return server.config.app.state.shared.store


def pick(person, button, path):
    with person.page.expect_file_chooser() as chosen:
        button.click()
    chosen.value.set_files(path)


def value(person):
    """The image's value at the crosshair, as the line at the bottom says it."""
    return float(re.search(r"value (-?[\d.]+)", person.page.locator(".status-voxel").inner_text())[1])


def test_a_scan_with_another_grid_is_shown_where_it_lies_in_the_patient(person, store, tmp_path):
    case = store.add_case("CT", Image(np.zeros((1, *SHAPE), np.int16), scale_affine(SPACING)), modality="CT").id
    path = tmp_path / "PET slanted.nii.gz"
    io.write_image(path, Image(rising(SLANTED, (22, 28, 20))[None].astype(np.float32), SLANTED, axes="zyx"))
    person.open(case, layout="axial")

    pick(person, person.page.get_by_role("button", name="Add a series beside this image"), path)
    person.toast("Beside this image: PET slanted.")
    person.settle()

    titles = [title.split("  ")[-1] for title in person.page.locator(".pane:visible .pane-title").all_inner_texts()]
    assert titles == ["CT", "PET slanted"]
    person.page.select_option("#display-image", "1")
    person.page.mouse.move(5, 5)
    wait_for(person.page, "window.segmend.state().image === 1 && window.segmend.state().pointer === null")
    for index in ((5, 6, 7), (4, 5, 6)):
        person.go_to(index)
        wanted = rising(scale_affine(SPACING), SHAPE)[index]
        assert value(person) == pytest.approx(wanted, abs=0.05)

    canvas = person.page.locator("canvas[data-pane='axial:1']")
    canvas.click(position={"x": canvas.bounding_box()["width"] / 2, "y": canvas.bounding_box()["height"] / 2})
    person.settle()
    [prompt] = person.prompts
    assert prompt["index"][0] == 4 and np.abs(np.subtract(prompt["index"][1:], (6, 6))).max() <= 1

    person.page.get_by_role("button", name="Take PET slanted away from this case").click()
    expect(person.page.locator(".series-list li")).to_have_count(0)
    assert store.series(case) == []


def test_many_times_have_a_slider_and_one_of_them_is_marked_as_a_case(person, store):
    voxels = np.stack([np.full((3, 10, 10), 10 * time, np.int16) for time in range(6)])
    note = "The fourth axis is time: 6 volumes, 2 s apart."
    case = store.add_case("perfusion", Image(voxels, scale_affine((3, 1, 1)), (note,))).id
    person.open(case, layout="axial")
    expect(person.page.locator(".time-bar output")).to_have_text("1 / 6")

    person.page.keyboard.press(">")
    person.page.keyboard.press(">")
    expect(person.page.locator(".time-bar output")).to_have_text("3 / 6")
    person.page.mouse.move(5, 5)
    assert value(person) == 20

    person.click((1, 5, 5))
    person.toast("A case of many times takes no marks")
    assert person.prompts == []
    person.page.get_by_role("button", name="Open this time").click()
    expect(person.page.locator(".case-name")).to_have_text("perfusion, time 3")
    person.settle()
    person.click((1, 5, 5))
    person.settle()
    assert len(person.prompts) == 1


def names(person):
    return person.page.locator(".label-text").all_inner_texts()


def test_labels_have_an_order_an_opacity_and_a_code_and_projects_begin_with_them(person, store):
    store.add_project("abdomen")
    image = Image(np.zeros((1, *SHAPE), np.int16), scale_affine(SPACING))
    case, next_case = (store.add_case(name, image, project="abdomen").id for name in ("one", "two"))
    person.open(case, layout="axial")
    page = person.page
    for _ in range(2):
        page.get_by_role("button", name="New label").click()
    assert names(person) == ["Object 1", "Object 2", "Object 3"]

    page.locator("[data-key=label-1]").focus()
    page.keyboard.press("Shift+ArrowDown")
    expect(page.locator(".label-text").first).to_have_text("Object 2")
    first, last = (page.locator(f"[data-key=label-{value}]").bounding_box() for value in (2, 3))
    page.mouse.move(last["x"] + 20, last["y"] + 10)
    page.mouse.down()
    page.mouse.move(first["x"] + 20, first["y"] + 4, steps=5)
    page.mouse.up()
    expect(page.locator(".label-text").first).to_have_text("Object 3")
    person.settle()
    assert [label["value"] for label in person.recorded["labels"]] == [3, 2, 1]

    page.locator("[data-key=label-2]").click()
    page.get_by_label("Opaque: Object 2").fill("25")
    page.get_by_role("button", name="by its name").click()
    page.get_by_role("combobox", name="Search organs, tissues and lesions").fill("kidney left")
    page.get_by_role("option", name="Left kidney").click()
    expect(page.locator(".label-code")).to_have_text("Kidney, left")
    person.settle()
    kidney = person.recorded["labels"][1]
    assert (kidney["name"], kidney["opacity"], kidney["codes"]["type"]["value"]) == ("Left kidney", 0.25, "64033007")

    page.get_by_role("button", name="Labels of this project").click()
    page.get_by_role("button", name="As in this case").click()
    page.get_by_role("combobox", name="Add an organ, tissue or lesion").fill("liv")
    page.get_by_role("option", name=re.compile("^Liver ")).click()
    page.get_by_role("button", name="Leave Object 1 out").click()
    page.get_by_role("button", name="Save").click()
    person.toast("New cases begin with these labels.")
    person.open(next_case, layout="axial")
    assert names(person) == ["Object 3", "Left kidney", "Liver"]
    assert person.state["label"] == 1 and page.get_by_role("button", name="Undo").is_disabled()


def test_undo_takes_back_rulers_and_marks_in_the_order_they_were_made(person, store):
    case = store.add_case("measured", Image(np.zeros((1, *SHAPE), np.int16), scale_affine(SPACING))).id
    person.open(case, layout="axial")
    page, rulers = person.page, person.page.locator(".ruler-list li")

    def ruler(row):
        page.keyboard.press("m")
        person.drag([(5, row, 2), (5, row, 9)])
        page.keyboard.press("c")

    def marks():
        person.settle()
        return len(person.recorded["done"]) - 1

    ruler(3)
    person.click((5, 8, 4))
    person.settle()
    ruler(9)
    expect(rulers).to_have_count(2)

    page.keyboard.press("Control+z")
    expect(rulers).to_have_count(1)
    assert marks() == 1
    page.keyboard.press("Control+z")
    assert marks() == 0 and rulers.count() == 1
    page.keyboard.press("Control+z")
    expect(rulers).to_have_count(0)
    assert page.get_by_role("button", name="Undo").is_disabled()

    page.keyboard.press("Control+y")
    expect(rulers).to_have_count(1)
    assert marks() == 0
    page.keyboard.press("Control+y")
    assert marks() == 1
    page.keyboard.press("Control+y")
    expect(rulers).to_have_count(2)
    page.get_by_role("button", name="Remove ruler 1").click()
    page.keyboard.press("Control+z")
    expect(rulers).to_have_count(2)
