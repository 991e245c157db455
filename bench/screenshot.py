"""Take the pictures of the annotator that the documentation shows: `python bench/screenshot.py [--method ID]`.

A real server with the sample cases, a real Chromium, real marks; the pictures go to docs/images.
"""

import argparse
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from browser import PATH
from playwright.sync_api import Page, sync_playwright
from scipy.ndimage import distance_transform_edt

from segmend.core.image import LabelMap
from segmend.samples import make
from segmend.server.app import Server
from segmend.server.settings import ServerSettings

IMAGES = Path(__file__).parent.parent / "docs" / "images"
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
SIZE = {"width": 1440, "height": 900}
SHOWN = {"x": 0, "y": 0, **SIZE, "height": 873}  # without the line that tells how quick this machine was


@contextmanager
def served(data: Path, method: str, *, token: str | None = None) -> Iterator[Server]:
    ready = threading.Event()
    server = Server(ServerSettings(data, port=0, method=method, token=token), lambda _: ready.set())
    thread = threading.Thread(target=server.listen)
    thread.start()
    if not ready.wait(60):
        raise TimeoutError("The server needs less than a minute to start; it took longer.")
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join()


def heart(truth: LabelMap, label: int) -> list[int]:
    """Return the voxel deepest inside a label, in its largest slice."""
    z = int((truth == label).sum(axis=(1, 2)).argmax())
    y, x = np.unravel_index(distance_transform_edt(truth[z] == label).argmax(), truth.shape[1:])
    return [z, int(y), int(x)]


class Person:
    """Opens cases and clicks on voxels."""

    def __init__(self, page: Page, address: str, method: str) -> None:
        self.page = page
        self.address = address
        self.method = method

    def open(self, case: str) -> None:
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}#case={case}")
        self.settle()
        self.page.select_option("#method", self.method)

    def settle(self) -> None:
        while not self.page.evaluate("window.segmend?.settled()"):
            self.page.wait_for_timeout(100)

    def click(self, index: list[int]) -> None:
        self.page.evaluate("(index) => window.segmend.goTo(index)", index)
        self.page.wait_for_timeout(200)
        place = self.page.evaluate("(index) => window.segmend.screenOf(index, 'axial')", index)
        self.page.mouse.click(place["x"], place["y"])
        self.settle()

    def name(self, label: int, name: str) -> None:
        self.page.locator(f"[data-key=label-{label}]").dblclick()
        field = self.page.get_by_label("Name of the label")
        field.fill(name)
        field.press("Enter")
        self.settle()

    def shoot(self, name: str) -> None:
        self.page.mouse.move(700, 24)
        self.page.wait_for_timeout(6000)  # messages go, 3D follows
        self.page.screenshot(path=IMAGES / name, clip=SHOWN)
        sys.stdout.write(f"{IMAGES / name}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="mend", help="the method that answers")
    parser.add_argument("--chromium", default=PATH, help="the browser")
    options = parser.parse_args()
    IMAGES.mkdir(parents=True, exist_ok=True)
    samples = {kind: make(kind) for kind in ("abdomen", "head", "skin")}
    with TemporaryDirectory() as folder, served(Path(folder), options.method) as server, sync_playwright() as player:
        store = server.config.app.state.shared.store
        cases = {
            kind: store.add_case(sample.name, sample.image, modality=sample.modality).id
            for kind, sample in samples.items()
        }
        browser = player.chromium.launch(executable_path=options.chromium, args=FLAGS)
        page = browser.new_page(viewport=SIZE, color_scheme="dark")
        page.set_default_timeout(180_000)  # ms; 3D is drawn by the processor, which may have other work
        person = Person(page, server.address.partition("?")[0], options.method)
        for kind, picture in (("abdomen", "annotator.png"), ("skin", "annotator-photo.png")):
            sample = samples[kind]
            person.open(cases[kind])
            shown = [label for label in sample.labels if label.name != "lesions"]  # inside the liver, so hard to see
            for number, label in enumerate(shown, start=1):
                if number > 1:
                    person.page.keyboard.press("n")
                    person.settle()
                person.name(number, label.name)
                person.page.locator(f"[data-key=label-{number}]").click()
                person.click(heart(sample.truth, label.value))
            person.shoot(picture)
        person.page.keyboard.press("?")
        person.shoot("annotator-shortcuts.png")
        browser.close()


if __name__ == "__main__":
    main()
