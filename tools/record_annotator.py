"""Record the moving picture of the README: `python tools/record_annotator.py [docs/images/annotator.gif]`.

A real server, a real Chromium and real clicks: one click on the liver of a CT phantom, two that correct the mask, a
second organ, undo and redo. The mouse pointer, which screenshots leave out, is drawn by the page itself.
"""

import argparse
import sys
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image as Picture
from playwright.sync_api import Page, sync_playwright
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
from browser import PATH
from screenshot import FLAGS, heart, served

from segmend import io
from segmend.core.image import Image, MaskArray
from segmend.core.masks import dice
from segmend.samples import make

VIEW = {"width": 1200, "height": 750}  # CSS pixels of the page
SHOWN = {"x": 0, "y": 0, "width": 1200, "height": 722}  # without the line that tells this machine's times
WIDTH = 800  # of the recording, in pixels
COLOURS = 128
POINTER = """
const arrow = document.createElement("div");
arrow.innerHTML = `<svg width="26" height="26" viewBox="0 0 24 24"><path d="M4 2 L4 19 L8.5 15 L11.5 22 L14.5 20.7
 L11.5 14 L17.5 14 Z" fill="white" stroke="black" stroke-width="1.4"/></svg>`;
arrow.style.cssText = "position:fixed;z-index:99999;pointer-events:none;left:0;top:0;transform:translate(-4px,-2px)";
document.body.append(arrow);
const ring = document.createElement("div");
ring.style.cssText = "position:fixed;z-index:99998;pointer-events:none;width:30px;height:30px;margin:-15px;" +
  "border:3px solid #ffd54a;border-radius:50%;display:none";
document.body.append(ring);
addEventListener("pointermove", (e) => {
  for (const each of [arrow, ring]) { each.style.left = e.clientX + "px"; each.style.top = e.clientY + "px"; }
}, true);
addEventListener("pointerdown", () => { ring.style.display = "block"; }, true);
addEventListener("pointerup", () => { setTimeout(() => { ring.style.display = "none"; }, 250); }, true);
const caption = document.createElement("div");
caption.id = "caption";
caption.style.cssText = "position:fixed;z-index:99997;pointer-events:none;left:50%;bottom:56px;" +
  "transform:translateX(-50%);padding:8px 18px;border-radius:8px;background:#000c;color:#fff;font:600 20px sans-serif";
document.body.append(caption);
"""


@dataclass
class Recorder:
    """Moves a mouse over the page and keeps a picture of each step."""

    page: Page
    frames: list[Picture.Image] = field(default_factory=list)
    milliseconds: list[int] = field(default_factory=list)
    at: tuple[float, float] = (640.0, 420.0)

    def shoot(self, milliseconds: int) -> None:
        shot = Picture.open(BytesIO(self.page.screenshot(clip=SHOWN, timeout=180_000))).convert("RGB")
        height = round(shot.height * WIDTH / shot.width)
        self.frames.append(shot.resize((WIDTH, height), Picture.Resampling.LANCZOS))
        self.milliseconds.append(milliseconds)

    def say(self, words: str) -> None:
        self.page.evaluate("(words) => { document.getElementById('caption').textContent = words; }", words)

    def settle(self) -> None:
        while not self.page.evaluate("window.segmend?.settled()"):
            self.page.wait_for_timeout(50)
        self.page.wait_for_timeout(150)

    def move(self, x: float, y: float, steps: int = 4) -> None:
        start = self.at
        for step in range(1, steps + 1):
            share = step / steps
            self.page.mouse.move(start[0] + (x - start[0]) * share, start[1] + (y - start[1]) * share)
            self.shoot(70)
        self.at = (x, y)

    def place(self, index: list[int]) -> tuple[float, float]:
        self.page.evaluate("(index) => window.segmend.goTo(index)", index)
        self.page.wait_for_timeout(200)
        place = self.page.evaluate("(index) => window.segmend.screenOf(index, 'axial')", index)
        return place["x"], place["y"]

    def click(self, index: list[int], *, positive: bool = True) -> None:
        """Click on a voxel of the axial plane and wait for the answer."""
        self.move(*self.place(index))
        self.shoot(250)
        if not positive:
            self.page.keyboard.down("Shift")
        self.page.mouse.down()
        self.shoot(180)
        self.page.mouse.up()
        if not positive:
            self.page.keyboard.up("Shift")
        self.settle()
        self.page.wait_for_timeout(300)
        self.shoot(1500)

    def press(self, key: str, milliseconds: int) -> None:
        self.page.keyboard.press(key)
        self.settle()
        self.shoot(milliseconds)

    def mask(self, like: Image) -> MaskArray:
        """Return the mask of the first label as the server has it, [z y x]."""
        session = self.page.evaluate("window.segmend.state().session")
        address = f"{self.page.url.split('#')[0]}api/sessions/{session}/export?format=.nii"
        with TemporaryDirectory() as folder:
            path = Path(folder) / "mask.nii"
            path.write_bytes(self.page.request.get(address).body())
            return io.read_mask(path, like) == 1


def mistake(mask: np.ndarray, truth: np.ndarray, z: int) -> tuple[list[int], bool]:
    """Return the middle of the largest wrong component of a slice, and whether it was missed."""
    wrong = mask[z] ^ truth[z]
    pieces, _ = ndimage.label(wrong)
    largest = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    y, x = np.unravel_index(ndimage.distance_transform_edt(largest).argmax(), largest.shape)
    return [z, int(y), int(x)], bool(truth[z, y, x])


def save(recorder: Recorder, path: Path) -> None:
    """Write all frames with one palette; Pillow keeps of each frame only what changed."""
    sheet = np.concatenate([np.asarray(frame)[::4, ::4] for frame in recorder.frames])
    palette = Picture.fromarray(sheet).quantize(COLOURS, method=Picture.Quantize.MEDIANCUT)
    flat = [frame.quantize(palette=palette, dither=Picture.Dither.NONE) for frame in recorder.frames]
    flat[0].save(path, save_all=True, append_images=flat[1:], duration=recorder.milliseconds, loop=0, optimize=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=Path("docs/images/annotator.gif"))
    parser.add_argument("--chromium", default=PATH, help="the browser")
    parser.add_argument("--frames", type=Path, help="a folder for the frames, to look at them")
    options = parser.parse_args()
    sample = make("abdomen")
    labels = {label.name: label.value for label in sample.labels}
    with TemporaryDirectory() as folder, served(Path(folder), "mend") as server, sync_playwright() as player:
        case = server.config.app.state.shared.store.add_case(sample.name, sample.image, modality=sample.modality).id
        browser = player.chromium.launch(executable_path=options.chromium, args=FLAGS)
        page = browser.new_page(viewport=VIEW, color_scheme="dark")
        address = server.address.partition("?")[0]  # this account needs no token
        page.goto(f"{address}#case={case}&layout=axial")
        recorder = Recorder(page)
        recorder.settle()
        while not page.request.get(f"{address}api/health").json()["ready"]:
            page.wait_for_timeout(200)  # the method is still warming up
        page.evaluate(POINTER)
        page.mouse.move(*recorder.at)
        liver = sample.truth == labels["liver"]
        first = heart(sample.truth, labels["liver"])
        recorder.place(first)
        recorder.say("One click on the liver")
        recorder.shoot(900)
        recorder.click(first)
        for _ in range(2):
            mask = recorder.mask(sample.image)
            print(f"Dice {dice(liver, mask):.3f}")
            place, missed = mistake(mask, liver, first[0])
            recorder.say("Click where the mask is too small" if missed else "Shift and click where it is too large")
            recorder.click(place, positive=missed)
        print(f"Dice {dice(liver, recorder.mask(sample.image)):.3f}")
        recorder.say("N: a second object")
        recorder.press("n", 900)
        recorder.click(heart(sample.truth, labels["spleen"]))
        recorder.say("Undo any step ...")
        recorder.press("Control+z", 1000)
        recorder.say("... and redo it")
        recorder.press("Control+Shift+z", 1000)
        recorder.say("All three planes, and 3D")
        page.evaluate("window.segmend.show('grid')")
        page.wait_for_timeout(12_000)
        recorder.shoot(3000)
        browser.close()
    save(recorder, options.path)
    if options.frames:
        options.frames.mkdir(parents=True, exist_ok=True)
        for number, frame in enumerate(recorder.frames):
            frame.save(options.frames / f"{number:03d}.png")
    print(f"{options.path}: {len(recorder.frames)} frames, {options.path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
