"""A person at the annotator: what they see and do, in words of voxels."""

import io
import json
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from playwright.sync_api import expect

from tests.server.running import PLUGIN as OTHERS
from tests.server.running import http

PLUGIN = Path(__file__).parent / "plugin"
# Chromium without windows takes a sixth less of the processor. The processor puts the page together, and only WebGL
# is drawn by SwiftShader: a third of the time of all by it.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = {
    "executable_path": next(filter(None, map(shutil.which, NAMES)), "/usr/bin/chromium"),
    "args": ["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader"],
}
PATIENCE = 30_000  # ms; a busy machine draws WebGL on its processor


def install_plugin(folder):
    """Make the methods of `plugin/`, and of the server's one that fine-tunes, installed packages.

    Whoever has `folder` and both of the plugins' folders on the path finds them.
    """
    info = folder / "segmend_web_test_methods-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: segmend-web-test-methods\nVersion: 0\n")
    sources = [*sorted(PLUGIN.glob("*.py")), OTHERS / "learner.py"]
    names = "".join(f"{path.stem} = {path.stem}\n" for path in sources)
    (info / "entry_points.txt").write_text(f"[segmend.methods]\n{names}")


class Annotator:
    """The page, driven through its hook `window.segmend` and its buttons, never by guessed pixels."""

    def __init__(self, page, address):
        self.page = page
        self.address = address.split("?")[0]
        self.http = http(self.address)

    def open(self, case=None, *, method="ball", layout="axial"):
        """Open the page, and a case in it, ready to be marked with a method; 3D costs time, so only when asked for."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}#case={case}&layout={layout}" if case else self.address)
        if case is None:
            expect(self.page.locator(".empty")).to_be_visible()
            return self
        self.settle()
        self.page.select_option("#method", method)
        return self

    def settle(self):
        """Wait until everything is loaded, sent and answered, and drawn."""
        wait_for(self.page, "window.segmend?.settled()")
        self.drawn()

    def drawn(self):
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    @property
    def state(self):
        return self.page.evaluate("window.segmend.state()")

    @property
    def recorded(self):
        """The session as the server has it."""
        return self.http.get(f"/api/sessions/{self.state['session']}").json()

    @property
    def prompts(self):
        """The prompts that reached the server, oldest first."""
        return [event["prompt"] for event in self.recorded["events"] if event["event"] == "prompted"]

    def show(self, plane):
        """Show one plane alone."""
        self.page.evaluate("(plane) => window.segmend.show(plane)", plane)
        self.drawn()

    def go_to(self, index):
        self.page.evaluate("(index) => window.segmend.goTo(index)", list(index))
        self.drawn()

    def place_of(self, index, plane):
        """Where the middle of a voxel is on the page; its slice must be shown."""
        place = self.page.evaluate(
            "([index, plane]) => window.segmend.screenOf(index, plane)", [[int(i) for i in index], plane]
        )
        assert place is not None, f"{plane} does not show {index}"
        return place["x"], place["y"]

    def label_at(self, index):
        return self.page.evaluate("(index) => window.segmend.labelAt(index)", list(index))

    def click(self, index, plane="axial", *, button="left"):
        self.page.mouse.click(*self.place_of(index, plane), button=button)

    def drag(self, indices, plane="axial", *, button="left"):
        """Press at the first voxel, pass through the others, release at the last."""
        first, *rest = (self.place_of(index, plane) for index in indices)
        self.page.mouse.move(*first)
        self.page.mouse.down(button=button)
        for place in rest:
            self.page.mouse.move(*place, steps=4)
        self.page.mouse.up(button=button)

    def colours(self, indices, plane="axial"):
        """The colours on the screen in the middle of voxels, the pointer out of the way."""
        self.page.mouse.move(5, 5)
        self.drawn()
        shot = np.asarray(Picture.open(io.BytesIO(self.page.screenshot())).convert("RGB")).astype(int)
        places = [self.place_of(index, plane) for index in indices]
        return [shot[int(y), int(x)].tolist() for x, y in places]

    def plain(self):
        """Show voxels as they are: no smoothing, black and white at the ends of the values, no crosshair near."""
        self.page.get_by_text("Smooth", exact=True).uncheck()
        self.page.get_by_role("button", name="Full", exact=True).click()

    def drop(self, *paths):
        """Drop files or folders of the desktop on the page, as the operating system does."""
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        session = self.page.context.new_cdp_session(self.page)
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 400, "data": data})
        session.detach()

    def close_messages(self):
        """Close the messages over the picture, which a person does or waits for."""
        close = self.page.locator(".toast button")
        while close.count():
            close.first.click()

    def toast(self, words):
        """Expect a message with these words."""
        expect(self.page.locator(".toast", has_text=words).first).to_be_visible(timeout=PATIENCE)


def wait_for(page, expression):
    """Wait until an expression holds; `Page.wait_for_function` evaluates texts, which the page's policy forbids."""
    end = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


@contextmanager
def watched(page):
    """Fail when the page has an error that nobody expected, or does what its security policy forbids."""
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
    yield
    assert not problems, json.dumps(problems)
