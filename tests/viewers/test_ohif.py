"""OHIF in a real browser, with Segmend as its archive and its MONAI Label server: studies, images, masks and clicks.

The OHIF is the one that comes with MONAI Label's client, built with the extension for such servers; and, where it is
there, the one that its makers publish.
"""

import os
import time
from contextlib import ExitStack

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from segmend.core.prompts import Mask
from segmend.core.session import GIVEN, PALETTE, Canvas, Defined, Label, Prompted
from segmend.io import images
from tests.io import dicoms
from tests.server.running import in_thread, settings
from tests.viewers.clients import DEMANDED, VIEWERS, need
from tests.viewers.ohif_page import CONFIG, DRAWN, GRIDS, LOADED, SEGMENTED, SHAPE, SHOWN, STOCK, Viewer, ohif, scene
from tests.web.driving import CHROMIUM


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Segmend with a series of each grid, and the addresses of the OHIFs that are there."""
    if not os.environ.get(DEMANDED):
        pytest.skip("OHIF takes a minute; 'make test-viewers' tries it")
    place = need(VIEWERS / "monai", "OHIF, which comes with monailabel,")
    homes = {"/ohif/": next(place.glob("lib/python*/site-packages/monailabel/endpoints/static/ohif"))}
    if STOCK.exists():
        homes["/"] = STOCK
    folder = tmp_path_factory.mktemp("ohif")
    with ExitStack() as stack:
        served = {base: stack.enter_context(ohif(home, base)) for base, home in homes.items()}
        origins = tuple(origin for origin, _ in served.values())
        server = stack.enter_context(in_thread(settings(folder / "data", method="geos", allowed_origins=origins)))
        for _, pages in served.values():
            pages["config"] = CONFIG.replace("ROOT", f"{server.address.split('?')[0]}dicom-web")
        store, cases = server.config.app.state.shared.store, {}
        voxels, _ = scene()
        for name, grid in GRIDS.items():
            source = dicoms.save_all(dicoms.slices(voxels, **grid), folder / name)
            ((_, image),) = images(source)
            cases[name] = store.add_case(name, image(), modality="CT", source=source).id
        server.config.app.state.shared.archived.look_into_files()
        yield server, {base: f"{origin}{base}" for base, (origin, _) in served.items()}, cases


@pytest.fixture
def page(running):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        yield browser.new_page(viewport={"width": 1400, "height": 900})
        browser.close()


def study_of(server, case):
    return next(one.study for one in server.config.app.state.shared.store.originals.known() if one.case == case)


@pytest.mark.parametrize("grid", GRIDS)
def test_clicks_make_the_masks_that_segmend_has(running, page, grid):
    server, addresses, cases = running
    case, viewer = cases[grid], Viewer(page, addresses["/ohif/"])
    store = server.config.app.state.shared.store
    _, masks = scene()

    viewer.open(study_of(server, case), "monai-label", LOADED).connect(server.address.split("?")[0])
    viewer.choose("object")
    viewer.click((6, 15, 12))
    first = viewer.run()

    session = store.sessions(case)[-1].id
    log = store.session(session)
    (click,) = [event.prompt for event in log.events if isinstance(event, Prompted)]
    canvas = Canvas(log.shape)
    canvas.follow(log)
    np.testing.assert_array_equal(first > 0, canvas.mask(1))
    assert first[click.index] and first[masks[0]].mean() > 0.9
    assert click.index == (6, 15, 12)


@pytest.mark.parametrize("base", ["/ohif/", "/"], ids=["of monailabel", "stock"])
def test_what_was_annotated_is_shown_on_its_slices(running, page, base):
    server, addresses, cases = running
    if base == "/":
        need(STOCK, "OHIF", large=True)
    case, viewer = cases["oblique"], Viewer(page, addresses[base])
    shared = server.config.app.state.shared
    _, masks = scene()
    session = shared.store.add_session(case, user=f"ada at {base}").id
    for value, inside in enumerate(masks, 1):
        shared.store.append(session, 2 * value - 2, Defined(Label(value, f"organ {value}", PALETTE[value])))
        shared.store.append(session, 2 * value - 1, Prompted(Mask(inside, (0, 0, 0)), value, GIVEN))
    with shared.sessions.open(session) as opened:
        while opened.session.pending:
            time.sleep(0.02)

    viewer.open(study_of(server, case), "viewer", SEGMENTED, DRAWN)
    names, shown = viewer.page.evaluate(SHOWN, f"Segmentation by ada at {base}")

    assert names == [[1, "organ 1"], [2, "organ 2"]]
    places = {one.uid: one.number - 1 for one in shared.store.originals.instances(case)}
    found = np.zeros(SHAPE, np.uint8)
    for address, values in shown:
        found[places[address.split("/instances/")[1].split("/")[0]]] = np.reshape(values, SHAPE[1:])
    np.testing.assert_array_equal(found, masks[0] + 2 * masks[1])
