"""OHIF in a real browser for tests: its files served as a hospital's server does, and a person at its page."""

import base64
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from tests.viewers.clients import VIEWERS

PATIENCE = 60  # seconds
STOCK = VIEWERS / "ohif/package/dist"
SHAPE = (12, 40, 48)
GRIDS = {
    "axial": {"spacing": (1.5, 1), "step": (0, 0, 3)},
    "oblique": {"spacing": (1.5, 1), "row": (0.8, 0.6, 0), "column": (-0.36, 0.48, 0.8), "step": (1.44, -1.92, 1.8)},
}
CONFIG = """
window.config = {
  routerBasename: 'BASE', showStudyList: true, extensions: EXTENSIONS, modes: [], showCPUFallbackMessage: false,
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
SHOWN = """async (title) => {
  const { displaySetService, viewportGridService, segmentationService } = services;
  const found = displaySetService.getActiveDisplaySets().find((one) => one.SeriesDescription === title);
  await found.load({ headers: {} });
  const viewportId = viewportGridService.getActiveViewportId();
  await commandsManager.runCommand("hydrateSecondaryDisplaySet", { displaySet: found, viewportId });
  const [shown] = segmentationService.getSegmentations();
  const names = Object.values(shown.segments).map(({ segmentIndex, label }) => [segmentIndex, label]);
  const images = shown.representationData.Labelmap.imageIds.map((id) => cornerstone.cache.getImage(id));
  return [names, images.map((image) => [image.referencedImageId, [...image.voxelManager.getScalarData()]])];
}"""
SEGMENTED = "() => window.services?.displaySetService.getActiveDisplaySets().some((one) => one.Modality === 'SEG')"
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
def ohif(folder, base, pacs=None, entry=""):
    """Serve OHIF's files below a path; give the address of the server, and where to put its settings.

    What is asked below /pacs is asked of an archive, with a name and a password, as a hospital's proxy does it.
    """
    pages = {}

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            if pacs is not None and path.startswith("/pacs/"):
                self._ask_pacs()
                return
            if path == f"{base}app-config.js":
                self.send_response(200)
                self.send_header("Content-Type", "text/javascript")
                self.end_headers()
                self.wfile.write(
                    pages["config"].replace("BASE", base).replace("EXTENSIONS", pages.get("extensions", "[]")).encode()
                )
                return
            name = path.removeprefix(base)
            self.path = f"/{name}" if (folder / name).is_file() else "/index.html"
            super().do_GET()

        def do_POST(self):
            self._ask_pacs()

        def _ask_pacs(self):
            host, _, root = pacs.removeprefix("http://").partition("/")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kept = {name: self.headers[name] for name in ("Accept", "Content-Type") if name in self.headers}
            kept["Authorization"] = f"Basic {base64.b64encode(entry.encode()).decode()}"
            connection = HTTPConnection(host)
            connection.request(self.command, f"/{root}{self.path.removeprefix('/pacs')}", body, kept)
            reply = connection.getresponse()
            content = reply.read()
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.headers["Content-Type"] or "application/octet-stream")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

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
        self.page.goto(f"{self.address}{mode}?StudyInstanceUIDs={study}")
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
