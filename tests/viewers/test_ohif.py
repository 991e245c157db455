"""OHIF in a real browser, with Segmend as its archive and its MONAI Label server: studies, images, masks and clicks.

The OHIF is the one that comes with MONAI Label's client, built with the extension for such servers.
"""

import os
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from segmend.core.prompts import Mask
from segmend.core.session import GIVEN, PALETTE, Canvas, Defined, Label, Prompted
from segmend.io import images
from tests.io import dicoms
from tests.server.running import in_thread, settings
from tests.viewers.clients import DEMANDED, VIEWERS, need
from tests.web.driving import CHROMIUM

PATIENCE = 60  # seconds
SHAPE = (12, 40, 48)
GRIDS = {
    "axial": {"spacing": (1.5, 1), "step": (0, 0, 3)},
    "oblique": {"spacing": (1.5, 1), "row": (0.8, 0.6, 0), "column": (-0.36, 0.48, 0.8), "step": (1.44, -1.92, 1.8)},
}
CONFIG = """
window.config = {
  routerBasename: '/ohif/', showStudyList: true, extensions: [], modes: [], showCPUFallbackMessage: false,
  showLoadingIndicator: true, strictZSpacingForVolumeViewport: true, defaultDataSourceName: 'dicomweb',
  useSharedArrayBuffer: 'FALSE', investigationalUseDialog: { option: 'never' },
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'dicomweb',
    configuration: {
      friendlyName: 'Segmend', name: 'segmend', qidoRoot: 'ROOT', wadoRoot: 'ROOT', wadoUriRoot: 'ROOT',
      qidoSupportsIncludeField: true, imageRendering: 'wadors', thumbnailRendering: 'wadors',
      enableStudyLazyLoad: true, supportsFuzzyMatching: true, supportsWildcard: true,
    },
  }],
};
"""


# The volume of the series, loaded; where a voxel (x, y, z) is on the page, its slice shown; and the mask, x fastest.
VIEWPORT = "services.cornerstoneViewportService.getCornerstoneViewport('mpr-axial')"
LOADED = f"""() => window.services && {VIEWPORT}?.getImageData?.() &&
  [...cornerstone.cache._volumeCache.values()].some(({{ volume }}) => volume?.loadStatus?.loaded)"""
PLACE = f"""(index) => {{
  const viewport = {VIEWPORT};
  const world = [...viewport.getImageData().imageData.indexToWorld(index)];
  const {{ focalPoint, position, viewPlaneNormal: normal }} = viewport.getCamera();
  const ahead = world.reduce((sum, value, i) => sum + (value - focalPoint[i]) * normal[i], 0);
  const moved = (point) => [...point].map((value, i) => value + ahead * normal[i]);
  viewport.setCamera({{ focalPoint: moved(focalPoint), position: moved(position) }});
  viewport.render();
  const box = viewport.element.getBoundingClientRect(), [x, y] = viewport.worldToCanvas(world);
  return [box.left + x, box.top + y];
}}"""
POINTS = """() => cornerstoneTools.annotation.state.getAllAnnotations()
  .filter(({ metadata }) => metadata.toolName === "ProbeMONAILabel").length"""
MASK = "() => [...services.segmentationService.getLabelmapVolume('1').voxelManager.getCompleteScalarDataArray()]"


# The masks of a segmentation that is shown, by the addresses of the slices that they lie on.
SHOWN = """async () => {
  const { displaySetService, viewportGridService, segmentationService } = services;
  const found = displaySetService.getActiveDisplaySets().find((one) => one.SeriesDescription === "Segmentation by ada");
  await found.load({ headers: {} });
  const viewportId = viewportGridService.getActiveViewportId();
  await commandsManager.runCommand("hydrateSecondaryDisplaySet", { displaySet: found, viewportId });
  const [shown] = segmentationService.getSegmentations();
  const names = Object.values(shown.segments).map(({ segmentIndex, label }) => [segmentIndex, label]);
  const images = shown.representationData.Labelmap.imageIds.map((id) => cornerstone.cache.getImage(id));
  return [names, images.map((image) => [image.referencedImageId, [...image.voxelManager.getScalarData()]])];
}"""
SEGMENTED = """() => window.services?.displaySetService.getActiveDisplaySets()
  .some((one) => one.SeriesDescription === "Segmentation by ada")"""
DRAWN = "() => services.cornerstoneViewportService.getRenderingEngine()?.getViewports()[0]?.getImageData?.()"


def scene():
    """Return two bright boxes in noise, [z y x], and where they are."""
    voxels = np.random.default_rng(3).integers(0, 60, SHAPE).astype(np.int16)
    masks = np.zeros((2, *SHAPE), bool)
    masks[0, 3:9, 8:24, 6:20], masks[1, 2:7, 20:34, 30:42] = True, True
    voxels[masks[0]] += 800
    voxels[masks[1]] += 1600
    return voxels, masks


@contextmanager
def ohif(folder):
    """Serve OHIF's files; give its address, and where to put its settings."""
    pages = {}

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            if path == "/ohif/app-config.js":
                self.send_response(200)
                self.send_header("Content-Type", "text/javascript")
                self.end_headers()
                self.wfile.write(pages["config"].encode())
                return
            there = (folder / path.removeprefix("/ohif/")).is_file()
            self.path = path.removeprefix("/ohif") if there else "/index.html"
            super().do_GET()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", pages
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Viewer:
    """OHIF's page."""

    def __init__(self, page, address):
        self.page, self.address = page, address

    def wait(self, expression, *arguments):
        """Return the value of an expression as soon as it is one."""
        end = time.monotonic() + PATIENCE
        while not (found := self.page.evaluate(expression, *arguments)):
            assert time.monotonic() < end, expression
            self.page.wait_for_timeout(100)
        return found

    def open(self, study, mode, *ready):
        """Open a study, and wait until what is asked for is there."""
        self.page.goto(f"{self.address}/ohif/{mode}?StudyInstanceUIDs={study}")
        for expression in ready:
            self.wait(f"() => !!({expression})()")
        return self

    def connect(self, server):
        """Let the extension speak to a server."""
        field = self.page.locator("#monailabelServerURL")
        field.fill(server)
        field.locator("xpath=following::button[1]").click()
        self.page.get_by_text("Point Prompts").click()
        self.wait("() => !!services.segmentationService.getLabelmapVolume('1')")

    def choose(self, label):
        self.page.locator(".optionsTable .clickable-row", has_text=label).first.click()

    def click(self, index):
        """Click on a voxel (z, y, x), in the viewport across the patient."""
        before = self.page.evaluate(POINTS)
        end = time.monotonic() + PATIENCE
        while self.page.evaluate(POINTS) == before:  # it takes no clicks while it is making its viewports anew
            assert time.monotonic() < end, "no click was taken"
            self.page.mouse.click(*self.page.evaluate(PLACE, list(reversed(index))))
            self.page.wait_for_timeout(1000)

    def run(self):
        """Ask for a mask; return it, [z y x]."""
        with self.page.expect_response(lambda reply: "/infer/" in reply.url, timeout=1000 * PATIENCE) as reply:
            self.page.locator(".tab", has_text="Point Prompts").get_by_role("button", name="Run").click()
        assert reply.value.status == 200, reply.value.text()
        self.page.wait_for_timeout(500)
        return self.mask()

    def mask(self):
        found = self.page.evaluate(MASK)
        return np.array(found, np.uint8).reshape(SHAPE)


@pytest.fixture(scope="module")
def home():
    if not os.environ.get(DEMANDED):
        pytest.skip("OHIF takes a minute; 'make test-viewers' tries it")
    place = need(VIEWERS / "monai", "OHIF, which comes with monailabel,")
    return next(place.glob("lib/python*/site-packages/monailabel/endpoints/static/ohif"))


@pytest.fixture(scope="module")
def running(home, tmp_path_factory):
    """Segmend with a series of each grid, and OHIF's address."""
    folder = tmp_path_factory.mktemp("ohif")
    with ohif(home) as (address, pages):
        options = {"method": "geos", "allowed_origins": (address,)}
        with in_thread(settings(folder / "data", **options)) as server:
            pages["config"] = CONFIG.replace("ROOT", f"{server.address.split('?')[0]}dicom-web")
            store, cases = server.config.app.state.shared.store, {}
            voxels, _ = scene()
            for name, grid in GRIDS.items():
                source = dicoms.save_all(dicoms.slices(voxels, **grid), folder / name)
                ((info, image),) = images(source)
                case = store.add_case(name, image(), modality="CT", source=source)
                cases[name] = case.id, info.uid
            server.config.app.state.shared.archived.look_into_files()
            yield server, address, cases


@pytest.fixture
def viewer(running):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        yield Viewer(browser.new_page(viewport={"width": 1400, "height": 900}), running[1])
        browser.close()


def study_of(server, case):
    return next(one.study for one in server.config.app.state.shared.store.originals.known() if one.case == case)


@pytest.mark.parametrize("grid", GRIDS)
def test_clicks_make_the_masks_that_segmend_has(running, viewer, grid):
    server, _, cases = running
    case, _ = cases[grid]
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


def test_what_was_annotated_is_shown_on_its_slices(running, viewer):
    server, _, cases = running
    case, _ = cases["oblique"]
    shared = server.config.app.state.shared
    _, masks = scene()
    session = shared.store.add_session(case, user="ada").id
    for value, inside in enumerate(masks, 1):
        shared.store.append(session, 2 * value - 2, Defined(Label(value, f"organ {value}", PALETTE[value])))
        shared.store.append(session, 2 * value - 1, Prompted(Mask(inside, (0, 0, 0)), value, GIVEN))
    with shared.sessions.open(session) as opened:
        while opened.session.pending:
            time.sleep(0.02)

    viewer.open(study_of(server, case), "viewer", SEGMENTED, DRAWN)
    names, shown = viewer.page.evaluate(SHOWN)

    assert names == [[1, "organ 1"], [2, "organ 2"]]
    places = {one.uid: one.number - 1 for one in shared.store.originals.instances(case)}
    found = np.zeros(SHAPE, np.uint8)
    for address, values in shown:
        found[places[address.split("/instances/")[1].split("/")[0]]] = np.reshape(values, SHAPE[1:])
    np.testing.assert_array_equal(found, masks[0] + 2 * masks[1])
