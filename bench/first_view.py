"""Measure how soon a large volume shows: `python bench/first_view.py [--slices 600] [--mbit 50] [--runs 3]`.

A real server and a real Chromium here; the line of so many Mbit/s is the browser's own throttle. Told are the
seconds from the address to the first picture with values in it, and to the last slice.
"""

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from browser import PATH
from playwright.sync_api import Page, sync_playwright
from screenshot import served

from segmend.core.image import Image, scale_affine

FLAGS = ["--no-sandbox", "--disable-gpu"]
LATENCY_MS = 20
# The picture is there, and not only its frame: some pixel of the first plane is brighter than the ground.
SHOWN = """
() => {
  const canvas = document.querySelector("canvas.pane-canvas");
  if (canvas === null || window.segmend.state().case === null || canvas.width < 50) return false;
  const { data } = canvas.getContext("2d").getImageData(canvas.width / 3, canvas.height / 2, canvas.width / 3, 1);
  return data.some((value, i) => i % 4 < 3 && value > 60);
}
"""


def scan(slices: int) -> Image:
    """Return a body of soft tissue with the noise of a CT."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    body = np.where((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1, 40, -1000).astype(np.int16)
    voxels = np.empty((1, slices, 512, 512), np.int16)
    for number in range(slices):
        voxels[0, number] = body + generator.normal(0, 20, body.shape).astype(np.int16)
    return Image(voxels, scale_affine((1.0, 0.8, 0.8)))


def seconds_to_show(page: Page, address: str, case: str) -> tuple[float, float]:
    page.goto("about:blank")
    start = time.perf_counter()
    page.goto(f"{address}#case={case}&layout=axial", wait_until="commit")
    while not page.evaluate(SHOWN):
        page.wait_for_timeout(10)
    first = time.perf_counter() - start
    while page.evaluate("window.segmend.state().arrived") < 1:
        page.wait_for_timeout(50)
    return first, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument(
        "--mbit", type=float, default=50.0, help="of the slow line; this machine's own is measured first"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--chromium", default=PATH, help="the browser")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, served(Path(folder), "mend") as server, sync_playwright() as player:
        case = server.config.app.state.shared.store.add_case("large", scan(options.slices), modality="CT").id
        address = server.address.partition("?")[0]
        browser = player.chromium.launch(executable_path=options.chromium, args=FLAGS)
        for name, mbit in (("this machine", None), (f"{options.mbit:g} Mbit/s", options.mbit)):
            for _ in range(options.runs):
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                page.set_default_timeout(180_000)
                if mbit is not None:
                    throttled = page.context.new_cdp_session(page)
                    throttled.send("Network.enable")
                    speed = {"latency": LATENCY_MS, "downloadThroughput": mbit * 125_000, "uploadThroughput": 1e6}
                    throttled.send("Network.emulateNetworkConditions", {"offline": False, **speed})
                first, last = seconds_to_show(page, address, case)
                sys.stdout.write(f"{name}: first view {first:.2f} s, all slices {last:.1f} s\n")
                sys.stdout.flush()
                page.close()
        browser.close()


if __name__ == "__main__":
    main()
