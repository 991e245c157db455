"""What is seen: layouts, windows by key, colours, slabs, series beside and over each other, measures, late slices."""

import re
import time

import numpy as np
import pytest
from playwright.sync_api import expect

from segmend.core.image import Image, scale_affine
from tests.web.driving import PATIENCE, Annotator, wait_for, watched

SHAPE = (11, 12, 13)


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


def series():
    """Two series on one grid: a ramp along x, and a hot spot of 5 x 5 voxels in one slice."""
    ramp = np.broadcast_to(np.arange(SHAPE[2], dtype=np.int16) * 20, SHAPE)
    spot = np.zeros(SHAPE, np.int16)
    spot[5, 4:9, 4:9] = 1000
    return Image(np.stack([ramp, spot]), scale_affine((3, 1.5, 1)))


def shown(person):
    """The ids of the panes that are seen."""
    return person.page.locator(".pane:visible canvas").evaluate_all("all => all.map(one => one.dataset.pane ?? '3D')")


def choose(person, name, value):
    person.page.select_option(f"#display-{name}", value)
    person.drawn()


def test_layouts_are_chosen_and_remembered(person, store):
    case = store.add_case("layouts", series()).id
    person.open(case, layout="rows")
    assert shown(person) == ["axial", "coronal", "sagittal"]
    boxes = [person.page.locator(f"canvas[data-pane={name}]").bounding_box() for name in shown(person)]
    assert len({box["x"] for box in boxes}) == 1 and len({box["y"] for box in boxes}) == 3

    choose(person, "layout", "main")
    large, small = (person.page.locator(f"canvas[data-pane={name}]").bounding_box() for name in ("axial", "coronal"))
    assert large["width"] > 1.8 * small["width"] and large["height"] > 1.8 * small["height"]

    person.page.mouse.move(small["x"] + 20, small["y"] + 20)
    person.page.keyboard.press("f")
    assert shown(person) == ["coronal"]
    person.page.keyboard.press("f")
    assert person.state["layout"] == "main"

    person.page.goto("about:blank")
    person.page.goto(f"{person.address}#case={store.add_case('next', series()).id}")
    person.settle()
    assert person.state["layout"] == "main"


def test_windows_and_the_crosshair_have_keys(person, store):
    person.open(store.add_case("keys", series(), modality="CT").id)
    contrasts = []
    for key in ("Shift+Digit4", "w", "Shift+W", "Shift+Digit1"):
        person.page.keyboard.press(key)
        contrasts.append([person.state["contrast"][end] for end in ("low", "high")])
    assert contrasts == [[-520, 1480], [0, 80], [-520, 1480], [-160, 240]]
    assert person.state["label"] == 1  # those keys choose no label

    person.plain()
    on_line = (5, 6, 3)  # beside the crosshair's gap
    person.go_to((5, 6, 10))
    bright = person.colours([on_line])[0]
    person.page.keyboard.press("y")
    plain = person.colours([on_line])[0]
    assert plain == [64, 64, 64] and bright != plain
    person.page.keyboard.press("y")


def test_colours_and_slabs_show_what_they_say(person, store):
    person.open(store.add_case("colours", series()).id)
    person.page.get_by_text("Crosshair", exact=True).uncheck()
    person.plain()
    place = (5, 8, 12)  # the brightest column
    choose(person, "colours", "Inverted")
    assert person.colours([place, (5, 8, 0)]) == [[0, 0, 0], [255, 255, 255]]
    choose(person, "colours", "Grey")
    person.show("sagittal")
    person.go_to((5, 8, 0))
    assert person.colours([(5, 2, 0)], "sagittal") == [[0, 0, 0]]
    choose(person, "slab", "max")
    person.page.get_by_label("Thickness of the slab in mm").fill("30")
    person.page.keyboard.press("Tab")
    person.drawn()
    assert person.colours([(5, 2, 0)], "sagittal") == [[255, 255, 255]]
    expect(person.page.locator(".pane:visible .pane-title")).to_contain_text("MIP 30 mm")
    person.page.get_by_text("Crosshair", exact=True).check()


def test_series_lie_beside_each_other_with_one_set_of_marks(person, store):
    person.open(store.add_case("beside", series()).id)
    choose(person, "layout", "series")
    assert shown(person) == ["axial:0", "axial:1"]
    person.page.locator("canvas[data-pane='axial:1']").hover()
    person.page.mouse.wheel(0, 100)
    person.drawn()
    titles = person.page.locator(".pane:visible .pane-title").all_text_contents()
    assert len({re.search(r"(\d+) / 11", title)[1] for title in titles}) == 1

    person.page.get_by_text("Link slices", exact=True).uncheck()
    person.page.locator("canvas[data-pane='axial:1']").hover()
    person.page.mouse.wheel(0, 100)
    person.drawn()
    titles = person.page.locator(".pane:visible .pane-title").all_text_contents()
    assert len({re.search(r"(\d+) / 11", title)[1] for title in titles}) == 2
    person.page.get_by_text("Link slices", exact=True).check()

    before = len(person.prompts)
    person.page.locator("canvas[data-pane='axial:1']").click()
    person.settle()
    assert len(person.prompts) == before + 1
    assert person.state["image"] == 1  # its window is the one that is set now


def test_a_series_lies_over_another_where_it_is_hot(person, store):
    person.open(store.add_case("fused", series()).id)
    person.page.get_by_text("Crosshair", exact=True).uncheck()
    person.plain()
    person.page.locator("#display-over-it").select_option("1")
    wait_for(person.page, "window.segmend.state().fused === 1")
    hot, cold = person.colours([(5, 6, 6), (5, 6, 1)])
    assert hot[0] > hot[2] + 10  # in the colours of PET, half of which is white here
    assert cold == [21, 21, 21]  # the ramp alone
    choose(person, "image", "1")
    wait_for(person.page, "window.segmend.state().image === 1")
    assert person.state["fused"] is None
    person.page.get_by_text("Crosshair", exact=True).check()


def test_linked_planes_are_magnified_together(person, store):
    person.open(store.add_case("linked", series()).id, layout="columns")
    person.page.get_by_text("Link zoom", exact=True).check()
    canvas = person.page.locator("canvas[data-pane=axial]")
    canvas.hover()
    person.page.keyboard.down("Control")
    person.page.mouse.wheel(0, -300)
    person.page.keyboard.up("Control")
    zooms = {name: view["zoom"] for name, view in person.state["views"].items()}
    assert set(zooms) == {"axial", "coronal", "sagittal"}
    assert len(set(zooms.values())) == 1 and zooms["axial"] > 1.2
    person.page.get_by_text("Link zoom", exact=True).uncheck()


def test_a_ruler_measures_any_plane_and_stays_with_the_case(person, store):
    case = store.add_case("ruler", series(), modality="CT").id
    person.open(case, layout="coronal")
    person.go_to((5, 6, 6))
    person.page.keyboard.press("m")
    person.drag([(1, 6, 3), (9, 6, 9)], "coronal")
    person.page.get_by_role("button", name="Region").click()
    person.go_to((5, 6, 6))
    person.drag([(1, 6, 1), (9, 6, 11)], "coronal")  # the voxels at its ends lie on its line
    rows = person.page.locator(".ruler-list li")
    expect(rows.nth(0)).to_contain_text(f"{np.hypot(8 * 3, 6):.1f} mm")
    expect(rows.nth(1)).to_contain_text(re.compile(r"120 ± .* HU, 40 to 200 HU"))
    person.page.get_by_role("button", name="Angle").click()
    person.drag([(2, 6, 2), (2, 6, 9)], "coronal")
    expect(person.page.locator(".status-hint")).to_have_text("Press at the end of the second leg")
    person.click((8, 6, 9), "coronal")
    expect(rows.nth(2)).to_contain_text("90.0°")
    person.page.get_by_role("button", name="Remove angle 3").click()
    assert person.prompts == []

    person.open(case, layout="coronal")
    expect(rows).to_have_count(2)
    person.page.get_by_role("button", name="Remove ruler 1").click()
    expect(rows).to_have_count(1)
    person.page.keyboard.press("c")


def test_measures_follow_the_mask(person, store):
    person.open(store.add_case("measures", series()).id)
    row = person.page.locator(".measure-list li")
    expect(row).to_contain_text("empty")
    person.go_to((5, 6, 6))
    person.click((5, 6, 6))
    person.settle()
    expect(row).to_contain_text(re.compile(r"[\d.]+\sml · [\d.]+\s×\s[\d.]+\smm · [\d.]+\s±\s[\d.]+"))
    person.page.keyboard.press("Control+z")
    expect(row).to_contain_text("empty")


def test_a_large_volume_shows_its_middle_first(person, store):
    voxels = np.full((1, 27, 1024, 1024), 100, np.uint8)
    voxels[:, :, :100] = 0
    case = store.add_case("large", Image(voxels, scale_affine((1, 1, 1)))).id
    held, released = [], []

    def hold(route):
        middle = re.search(r"low=(\d+)&high=(\d+)", route.request.url)
        if int(middle[1]) <= 13 < int(middle[2]) or released:
            route.continue_()
        else:
            held.append(route)

    person.page.route("**/slices*", hold)
    person.open(case)
    end = time.monotonic() + PATIENCE / 1000
    while not held or person.state["arrived"] == 0:
        assert time.monotonic() < end
        person.page.wait_for_timeout(20)
    assert 0 < person.state["arrived"] < 0.5
    assert held
    assert person.colours([(13, 900, 500)])[0][0] > 60
    expect(person.page.locator(".status")).to_contain_text("Slices:")
    released.append(True)
    for route in held:
        route.continue_()
    wait_for(person.page, "window.segmend.state().arrived === 1")
    person.page.unroute("**/slices*")
    person.go_to((2, 500, 500))
    assert person.colours([(2, 900, 500)])[0][0] > 60
