"""Segmend's own extension in the OHIF that its makers publish, in a real browser: marks, masks, undo, labels, saving.

What OHIF shows is read from Cornerstone's memory and held to the masks of the session, voxel for voxel.
"""

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress

import numpy as np
import pydicom
import pytest
from playwright.sync_api import TimeoutError as Late
from playwright.sync_api import expect, sync_playwright

from segmend.core.layers import flattened
from segmend.core.reach import Reach
from segmend.core.session import Canvas
from segmend.io import images, read_mask
from segmend.io.dicomweb import Archive
from segmend.server.sessions.wire import unpack
from tests.io import dicoms
from tests.server.running import http, in_thread, settings
from tests.viewers.clients import DEMANDED, need
from tests.viewers.ohif_page import CONFIG, GRIDS, SHAPE, STOCK, Viewer, ohif, scene
from tests.viewers.orthanc import ENTRY
from tests.viewers.test_archive import address  # noqa: F401 - a fixture
from tests.web.driving import CHROMIUM

PATIENCE = 240  # seconds: a network's first answer on a machine that is busy
expect.set_options(timeout=1000 * PATIENCE)
# The volume of a labelmap, by the files of its slices, with the file that is seen now.
SEEN = "services.cornerstoneViewportService.getCornerstoneViewport(services.viewportGridService.getActiveViewportId())"
MASKS = """() => {
  const all = services.segmentationService.getSegmentations();
  const shown = all.find((one) => one.segmentationId.startsWith("segmend-"));
  if (!shown) return null;
  const { imageIds, referencedImageIds } = shown.representationData.Labelmap;
  const names = Object.values(shown.segments).map((one) => [one.segmentIndex, one.label]);
  const slices = imageIds.map((id, i) =>
    [cornerstone.metaData.get("instance", referencedImageIds[i]).SOPInstanceUID,
     [...cornerstone.cache.getImage(id).voxelManager.getScalarData()]]);
  return { names, slices };
}"""
DRAWN = f"() => {SEEN}?.getImageData?.() && {SEEN}.getCurrentImageId?.()"
PANEL = "() => !!window.services?.panelService.getPanels('right').some((one) => one.name === 'segmend')"
# Where a voxel (x, y, z) of the file of a slice is on the page, its slice shown.
PLACE = f"""async ([uid, x, y]) => {{
  const viewport = {SEEN};
  const at = viewport.getImageIds().findIndex((id) => cornerstone.metaData.get("instance", id).SOPInstanceUID === uid);
  await viewport.setImageIdIndex(at);
  viewport.render();
  const world = [...viewport.getImageData().imageData.indexToWorld([x, y, 0])];
  const box = viewport.element.getBoundingClientRect(), [left, top] = viewport.worldToCanvas(world);
  return [box.left + left, box.top + top];
}}"""


class Extension(Viewer):
    """A person at the panel, in a study."""

    def begin(self, study):
        self.open(study, "viewer", PANEL, DRAWN)
        with suppress(Late):  # a tour, which OHIF shows to who is new
            self.page.get_by_text("Skip all").click(timeout=5000)
        self.page.evaluate("() => services.panelService.activatePanel('segmend.panelModule.segmend', true)")
        self.panel = self.page.locator("#segmend-panel")
        self.press("Segment the series that is shown")
        return self

    def press(self, name):
        self.panel.get_by_role("button", name=name, exact=True).click()

    def ready(self):
        expect(self.panel.get_by_role("status")).to_contain_text("every mark is saved")
        return self

    def at(self, uids, index):
        z, y, x = index
        return self.page.evaluate(PLACE, [uids[z], x, y])

    def click(self, uids, index, *modifiers):
        for key in modifiers:
            self.page.keyboard.down(key)
        self.page.mouse.click(*self.at(uids, index))
        for key in modifiers:
            self.page.keyboard.up(key)

    def drag(self, uids, *indices):
        points = [self.at(uids, index) for index in indices]
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*point, steps=4)
        self.page.mouse.up()

    def masks(self, uids):
        """Return the names of the segments, and the label map as OHIF has it, [z y x]."""
        found = self.page.evaluate(MASKS)
        label_map = np.zeros(SHAPE, np.uint8)
        for uid, values in found["slices"]:
            label_map[uids.index(uid)] = np.reshape(values, SHAPE[1:])
        return dict(found["names"]), label_map


class Case:
    """A case with its session at the server, as the store has it."""

    def __init__(self, shared, case):
        self.store, self.case = shared.store, case
        known = shared.store.originals.known()
        self.study, self.series = next((one.study, one.series) for one in known if one.case == case)
        self.uids = [one.uid for one in sorted(shared.store.originals.instances(case), key=lambda one: one.number)]

    @property
    def session(self):
        return self.store.sessions(self.case)[-1].id

    def settled(self, events):
        """Return the log and its label map, when so many events are there and answered."""
        end = time.monotonic() + PATIENCE
        while True:
            log = self.store.session(self.session)
            if len(log.events) >= events and not log.pending:
                canvas = Canvas(log.shape)
                canvas.follow(log)
                return log, flattened(canvas.layers, log.labels)
            assert time.monotonic() < end, log.events
            time.sleep(0.05)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Segmend with a series of each grid, and an OHIF that names its extension."""
    if not os.environ.get(DEMANDED):
        pytest.skip("OHIF takes a minute; 'make test-viewers-large' tries it")
    need(STOCK, "OHIF", large=True)
    folder = tmp_path_factory.mktemp("extension")
    with ExitStack() as stack:
        origin, pages = stack.enter_context(ohif(STOCK, "/"))
        server = stack.enter_context(in_thread(settings(folder / "data", method="mend", allowed_origins=(origin,))))
        own = server.address.split("?")[0]
        pages["config"] = CONFIG.replace("ROOT", f"{own}dicom-web")
        pages["extensions"] = f"['{own}ohif/segmend.js']"
        shared, cases = server.config.app.state.shared, {}
        for name, grid in GRIDS.items():
            source = dicoms.save_all(dicoms.slices(scene()[0], **grid), folder / name)
            ((_, image),) = images(source)
            cases[name] = shared.store.add_case(name, image(), modality="CT", source=source).id
        shared.archived.look_into_files()
        yield server, f"{origin}/", {name: Case(shared, case) for name, case in cases.items()}


@pytest.fixture
def page():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(1000 * PATIENCE)
        yield page
        browser.close()


def same(viewer, case, events):
    """Hold what OHIF shows to the session; return the names and the map."""
    try:
        log, label_map = case.settled(events)
    except AssertionError:
        pytest.fail(viewer.panel.get_by_role("status").inner_text())
    called = {label.value: label.name for label in log.labels.values()}
    end = time.monotonic() + PATIENCE
    while True:  # the answer is in the store before it is sent
        names, shown = viewer.masks(case.uids)
        if (np.array_equal(shown, label_map) and names == called) or time.monotonic() > end:
            break
        viewer.page.wait_for_timeout(50)
    np.testing.assert_array_equal(shown, label_map)
    assert names == called
    return log, shown


@pytest.mark.parametrize("grid", GRIDS)
def test_marks_undo_labels_and_the_next_place(running, page, grid):
    server, origin, cases = running
    case = cases[grid]
    viewer = Extension(page, origin).begin(case.study).ready()
    assert case.settled(0)[0].events == ()

    viewer.click(case.uids, (6, 15, 12))
    log, first = same(viewer, case, 2)
    assert log.events[1].prompt.index == (6, 15, 12)
    assert first[6, 15, 12] == 1 and (first[scene()[1][0]] == 1).mean() > 0.5
    viewer.click(case.uids, (6, 15, 30), "Shift")
    log, _ = same(viewer, case, 3)
    assert not log.events[2].prompt.positive

    viewer.press("Add a label")
    viewer.press("box")
    viewer.drag(case.uids, (4, 20, 30), (4, 33, 41))
    log, both = same(viewer, case, 5)
    assert log.events[4].label == 2 and set(np.unique(both)) == {0, 1, 2}
    assert (log.events[4].prompt.low, log.events[4].prompt.high) == ((4, 20, 30), (5, 34, 42))
    viewer.press("stroke")
    viewer.drag(case.uids, (3, 22, 32), (3, 28, 36), (3, 31, 40))
    log, stroked = same(viewer, case, 6)
    assert {point[0] for point in log.events[5].prompt.points} == {3}
    assert log.events[5].prompt.points[0] == (3, 22, 32)

    field = viewer.panel.get_by_label("Name of the label").nth(1)
    field.fill("kidney, left")
    field.press("Enter")
    log, _ = same(viewer, case, 7)
    assert log.labels[2].name == "kidney, left"

    for count in range(1, 7):  # to before the first mark, which brought its label
        viewer.press("Undo")
        same(viewer, case, 7 + count)
    assert not viewer.masks(case.uids)[1].any()
    expect(viewer.panel.get_by_role("button", name="Undo", exact=True)).to_be_disabled()
    for count in range(6):
        viewer.press("Redo")
        _, back = same(viewer, case, 14 + count)
    np.testing.assert_array_equal(back, stroked)

    with http(server.address) as client:  # somebody else, in the annotator
        click = {"prompt": {"kind": "click", "index": [5, 28, 36], "positive": True}, "label": 2}
        assert client.post(f"api/sessions/{case.session}/prompts", json=click).status_code == 200
    same(viewer, case, 20)
    with http(server.address) as client:  # a label that overlaps the first one
        label = {"name": "lesion", "colour": [90, 190, 90], "locked": False, "layer": 3}
        assert client.put(f"api/sessions/{case.session}/labels/3", json=label).status_code == 200
        inside = {"prompt": {"kind": "box", "low": [5, 10, 10], "high": [7, 18, 16]}, "label": 3}
        assert client.post(f"api/sessions/{case.session}/prompts", json=inside).status_code == 200
    log, overlapped = same(viewer, case, 22)
    assert (overlapped == 3).any() and log.labels[3].layer == 3
    expect(viewer.panel.get_by_text("Where labels overlap")).to_be_visible()

    viewer.press("Next uncertain place")
    expect(viewer.panel.get_by_role("status")).to_contain_text("uncertain")
    with http(server.address) as client:
        place = client.get(f"api/sessions/{case.session}/uncertain").json()["place"]
    expect(page.locator(".segmend-place")).to_be_visible()
    current = page.evaluate(f"() => cornerstone.metaData.get('instance', {SEEN}.getCurrentImageId()).SOPInstanceUID")
    assert case.uids.index(current) == place[0]
    if grid == "oblique" and (shots := os.environ.get("SEGMEND_SCREENSHOTS")):
        page.screenshot(path=f"{shots}/ohif.png")


def test_how_far_marks_reach_and_slices_that_are_locked(running, page):
    _, origin, cases = running
    case = cases["axial"]
    viewer = Extension(page, origin).begin(case.study).ready()
    known = len(case.settled(0)[0].events)
    new = 1 if known else 2  # the first mark brings its label
    viewer.click(case.uids, (3, 15, 12))
    log, before = same(viewer, case, known + new)
    assert log.events[-1].reach is None

    viewer.panel.get_by_label("Changes").select_option("slice")
    viewer.click(case.uids, (6, 2, 2))
    log, after = same(viewer, case, known + new + 1)
    assert log.events[-1].reach == Reach(axis=0)
    np.testing.assert_array_equal(np.delete(after, 6, axis=0), np.delete(before, 6, axis=0))
    viewer.panel.get_by_label("Changes").select_option("near")
    viewer.panel.get_by_label("Reach in mm").fill("4")
    viewer.click(case.uids, (6, 36, 4))
    log, after = same(viewer, case, known + new + 2)
    assert log.events[-1].reach == Reach(mm=4.0)

    lock = viewer.panel.get_by_role("button", name="Lock the slice that is shown")
    lock.click()
    log, _ = same(viewer, case, known + new + 3)
    assert log.locked_slices() == {0: {6}}
    expect(page.locator(".segmend-locked")).to_be_visible()
    expect(lock).to_have_attribute("aria-pressed", "true")
    viewer.click(case.uids, (6, 15, 12))
    expect(viewer.panel.get_by_role("status")).to_contain_text("This slice is locked")
    viewer.panel.get_by_label("Changes").select_option("whole")
    viewer.click(case.uids, (5, 30, 36))
    expect(lock).to_have_attribute("aria-pressed", "false")  # of the slice that is shown now
    expect(page.locator(".segmend-locked")).to_have_count(0)
    _, beside = same(viewer, case, known + new + 4)
    np.testing.assert_array_equal(beside[6], after[6])

    page.evaluate("() => commandsManager.run('setHangingProtocol', { protocolId: 'mpr' })")
    viewer.wait(MPR)
    viewer.panel.get_by_label("Changes").select_option("slice")
    page.mouse.click(*page.evaluate(CORONAL, [10, 20, 3])["at"])
    log, coronal = same(viewer, case, known + new + 5)
    assert log.events[-1].reach == Reach(axis=1) and log.events[-1].prompt.index[1] == 20
    np.testing.assert_array_equal(np.delete(coronal, 20, axis=1), np.delete(beside, 20, axis=1))
    lock.click()
    log, _ = same(viewer, case, known + new + 6)
    assert log.locked_slices() == {0: {6}, 1: {20}}
    expect(lock).to_have_attribute("aria-pressed", "true")
    if shots := os.environ.get("SEGMEND_SCREENSHOTS"):
        page.screenshot(path=f"{shots}/ohif-locked.png")


TOKEN = "a-token-of-this-test"
# Where a voxel (x, y, z) of the volume is on the page, in the coronal view of the volume, moved there.
CORONAL = """([x, y, z]) => {
  const id = [...services.viewportGridService.getState().viewports.keys()].find((one) => one.includes("coronal"));
  const viewport = services.cornerstoneViewportService.getCornerstoneViewport(id);
  const grid = viewport.getImageData().imageData;
  const depth = grid.getDimensions()[2];
  const world = [...grid.indexToWorld([x, y, z])];
  const { focalPoint, position, viewPlaneNormal: normal } = viewport.getCamera();
  const ahead = world.reduce((sum, value, i) => sum + (value - focalPoint[i]) * normal[i], 0);
  const moved = (point) => [...point].map((value, i) => value + ahead * normal[i]);
  viewport.setCamera({ focalPoint: moved(focalPoint), position: moved(position) });
  viewport.render();
  const box = viewport.element.getBoundingClientRect(), [left, top] = viewport.worldToCanvas(world);
  return { at: [box.left + left, box.top + top], depth, low: [...grid.indexToWorld([0, 0, 0])] };
}"""
MPR = """() => {
  const shown = [...services.viewportGridService.getState().viewports.keys()];
  return shown.length === 3 && shown.every((id) => {
    const viewport = services.cornerstoneViewportService.getCornerstoneViewport(id);
    return viewport?.getImageData?.() && services.segmentationService.getSegmentationRepresentations(id).length > 0;
  });
}"""


class Started:
    """`segmend start` as an operator starts it, to be killed and started again at the same port."""

    def __init__(self, folder, origin, archives):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://localhost:{self.port}/"
        self.command = [
            sys.executable, "-m", "segmend", "start", "--no-browser", "--port", str(self.port), "--folder", str(folder),
            "--allow-page", origin, "--archives", str(archives), "--token", TOKEN, "--method", "geos",
        ]  # fmt: skip
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert "Segmend is at" in self.process.stdout.readline()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def get(self, path):
        with http(self.address, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            return client.get(path)

    def settled(self, session, events):
        """Return the events of a session and its label map, when so many are there and answered."""
        end = time.monotonic() + PATIENCE
        while True:
            state = self.get(f"api/sessions/{session}").json()
            if len(state["events"]) >= events and not state["pending"]:
                label_map = np.zeros(state["shape"], np.uint16)
                unpack(self.get(f"api/sessions/{session}/map").content).onto(label_map)
                return state["events"], label_map
            assert time.monotonic() < end, state
            time.sleep(0.05)


def test_a_series_of_a_pacs_is_fetched_marked_through_a_crash_and_saved(address, page, tmp_path):  # noqa: F811
    if not os.environ.get(DEMANDED):
        pytest.skip("OHIF takes a minute; 'make test-viewers-large' tries it")
    need(STOCK, "OHIF", large=True)
    source = dicoms.save_all(dicoms.slices(scene()[0], **GRIDS["oblique"]), tmp_path / "scan")
    pacs = Archive(address, credentials=ENTRY)
    assert len(pacs.send(sorted(source.iterdir())).stored) == SHAPE[0]
    ((_, read),) = images(source)
    image = read()
    heads = sorted((pydicom.dcmread(path) for path in source.iterdir()), key=lambda one: one.InstanceNumber)
    (tmp_path / "login").write_text(ENTRY)
    (tmp_path / "archives.toml").write_text(f'[Hospital]\naddress = "{address}"\ncredentials = "login"\n')
    with ExitStack() as stack:
        origin, pages = stack.enter_context(ohif(STOCK, "/", address, ENTRY))
        server = Started(tmp_path / "data", origin, tmp_path / "archives.toml")
        stack.callback(server.kill)
        pages["config"] = CONFIG.replace("ROOT", f"{origin}/pacs")
        pages["extensions"] = f"['{server.address}ohif/segmend.js']"

        viewer = Extension(page, f"{origin}/").begin(heads[0].StudyInstanceUID)
        viewer.panel.get_by_label("Token of Segmend's server").fill(TOKEN)
        viewer.press("Enter")
        viewer.ready()
        uids = [one.SOPInstanceUID for one in heads]
        viewer.click(uids, (6, 15, 12))
        shown = page.evaluate("() => services.segmentationService.getSegmentations()[0].segmentationId")
        session = shown.removeprefix("segmend-")
        _, first = server.settled(session, 2)
        wait_until(lambda: np.array_equal(viewer.masks(uids)[1], first), page)

        for life in range(3):
            server.kill()
            expect(viewer.panel.get_by_role("status")).to_contain_text("Connection lost")
            viewer.click(uids, (3 + life, 28, 36))
            expect(viewer.panel.get_by_role("status")).to_contain_text("waits")
            server.start()
            viewer.ready()
            events, label_map = server.settled(session, 3 + life)
            assert len(events) == 3 + life and events[-1]["prompt"]["index"] == [3 + life, 28, 36]
            wait_until(lambda: np.array_equal(viewer.masks(uids)[1], label_map), page)  # noqa: B023

        page.evaluate("() => commandsManager.run('setHangingProtocol', { protocolId: 'mpr' })")
        viewer.wait(MPR)
        z, y, x = 5, 20, 10
        placed = page.evaluate(CORONAL, [x, y, z])
        page.mouse.click(*placed["at"])
        events, label_map = server.settled(session, 6)
        place = image.to_index((np.array(placed["low"]) * (-1, -1, 1)).tolist())  # which end the volume begins at
        assert events[-1]["prompt"]["index"] == [z if round(float(place[0])) == 0 else SHAPE[0] - 1 - z, y, x]
        wait_until(lambda: np.array_equal(viewer.masks(uids)[1], label_map), page)

        before = {one.uid for one in pacs.series(heads[0].StudyInstanceUID)}
        viewer.press("Hospital")
        expect(viewer.panel.get_by_role("status")).to_contain_text("in the archive Hospital")
        viewer.press("The viewer's archive")
        expect(viewer.panel.get_by_role("status")).to_contain_text("in the viewer's archive")
        saved = [one for one in pacs.series(heads[0].StudyInstanceUID) if one.uid not in before]
        assert [one.modality for one in saved] == ["SEG", "SEG"]
        for number, one in enumerate(saved):
            (tmp_path / str(number)).mkdir()
            (path,) = pacs.fetch(one.study, one.uid, tmp_path / str(number))
            np.testing.assert_array_equal(read_mask(path, image), label_map)


def wait_until(holds, page):
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        page.wait_for_timeout(50)
