"""What the page costs a person, with the goals beside it: python bench/page.py [--only click,list] [--json]

A real server in a process of its own, and a real Chromium on this machine. Told are: from a press to the mask that is
drawn, in a picture of 512 x 512 and a volume of 254 x 254 x 119 (the median, and what of it is not the server's
answer); what the page's script takes for a slice when one scrolls through 512 x 512 x 600, and how soon that case can
be worked on; a list of 50,000 cases: its first rows, a search, and the bytes of a page of it; the scripts and styles of
a case, compressed; how much the heap grows over 500 marks and undos. Ends with 1 when one is over its goal.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
from browser import PATH
from first_view import scan, seconds_to_show
from playwright.sync_api import Browser, Page, Response, sync_playwright
from worklist import FOUND, ROWS, fill

from segmend.store import Store
from server import Mask, Served, scene

FLAGS = ["--no-sandbox", "--disable-gpu"]
SIZE = {"width": 1280, "height": 800}
PATIENCE = 300_000  # ms
FLAT, SOLID, SLICES = (1, 512, 512), (119, 254, 254), 600
# Waits until the page has settled.
SETTLED = """new Promise((done) => {
  const look = () => window.segmend?.settled() ? done() : setTimeout(look, 20);
  look();
})"""
# Tells the ms from the next press on a plane to the frame with its mask, and those that the server's answer took.
DRAWN = """() => {
  window.drawn = new Promise((done) => {
    window.addEventListener("pointerdown", () => {
      const begun = performance.now(), before = window.segmend.state().maskVersion;
      const look = () => {
        const { maskVersion, pending, unsent, answered } = window.segmend.state();
        if (maskVersion === before || pending.length + unsent.length > 0 || answered === null) {
          requestAnimationFrame(look);
          return;
        }
        const channel = new MessageChannel(); // its message comes when the frame was painted
        channel.port1.onmessage = () => done([performance.now() - begun, answered.milliseconds]);
        requestAnimationFrame(() => channel.port2.postMessage(null));
      };
      requestAnimationFrame(look);
    }, { capture: true, once: true });
  });
}"""
# Tells the ms of script of each of so many slices that are scrolled to, drawing included.
SCROLLED = """async (count) => {
  const canvas = document.querySelector(".pane-canvas"), box = canvas.getBoundingClientRect();
  const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true, cancelable: true };
  const spent = [], frame = window.requestAnimationFrame;
  let script = 0;
  const timed = (work) => (...told) => {
    const begun = performance.now();
    work(...told);
    script += performance.now() - begun;
  };
  window.requestAnimationFrame = (work) => frame(timed(work));
  for (let i = 0; i < count; i++) {
    script = 0;
    timed(() => canvas.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: i < count / 2 ? 100 : -100 })))();
    await new Promise((done) => frame(() => frame(done)));
    spent.push(script);
  }
  window.requestAnimationFrame = frame;
  return spent;
}"""


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    unit: str
    goal: float

    @property
    def held(self) -> bool:
        return self.value <= self.goal


def on_page(browser: Browser) -> Page:
    page = browser.new_page(viewport=SIZE)
    page.set_default_timeout(PATIENCE)
    return page


def opened(browser: Browser, served: Served, case: str, method: str) -> Page:
    page = on_page(browser)
    page.goto(f"{served.address}#case={case}&layout=axial")
    page.evaluate(SETTLED)
    page.select_option("#method", method)
    return page


def press(page: Page, index: list[int]) -> tuple[float, float]:
    """Return the ms from a press on a voxel to its mask, and those of the server's answer."""
    page.evaluate("(index) => window.segmend.goTo(index)", index)
    page.evaluate(SETTLED)
    at = page.evaluate("(index) => window.segmend.screenOf(index, 'axial')", index)
    page.mouse.move(at["x"], at["y"])
    page.evaluate(DRAWN)
    page.mouse.down()
    page.mouse.up()
    whole, answer = page.evaluate("window.drawn")
    page.evaluate(SETTLED)
    return float(whole), float(answer)


def places(truth: Mask, count: int) -> Iterator[list[int]]:
    """Yield voxels of an object, far from each other."""
    inside = np.argwhere(truth)
    for number in np.random.default_rng(0).permutation(len(inside))[:count]:
        yield [int(i) for i in inside[number]]


def clicks(browser: Browser, served: Served, cases: Any, options: argparse.Namespace) -> Iterator[Figure]:
    for name, goal in (("picture", 120), ("volume", 400)):
        case, truth = cases[name]
        page = opened(browser, served, case, options.method)
        took = []
        for index in places(truth, options.repeats + 1):
            took.append(press(page, index))
            page.keyboard.press("Control+z")  # each is the first mark, so that all of them are alike
            page.evaluate(SETTLED)
        yield Figure(f"click to drawn mask, {name}", median(whole for whole, _ in took[1:]), "ms", goal)
        yield Figure(f"   of it not the answer, {name}", median(whole - answer for whole, answer in took[1:]), "ms", 40)
        page.close()


def scroll(browser: Browser, served: Served, cases: Any, options: argparse.Namespace) -> Iterator[Figure]:
    shown = []
    for _ in range(3):
        page = on_page(browser)
        shown.append(seconds_to_show(page, served.address, cases["large"])[0])
        page.close()
    yield Figure("large case: can be worked on", median(shown), "s", 1)
    page = opened(browser, served, cases["large"], options.method)
    spent = page.evaluate(SCROLLED, 4 * options.repeats)
    yield Figure("large case: script of a slice", median(spent), "ms", 8)
    yield Figure("   of 19 in 20", float(np.percentile(spent, 95)), "ms", 16)
    page.close()


def scripts(browser: Browser, served: Served, cases: Any, options: argparse.Namespace) -> Iterator[Figure]:
    page = on_page(browser)
    replies: list[Response] = []

    def keep(reply: Response) -> None:
        replies.append(reply)

    page.on("response", keep)
    page.goto(f"{served.address}#case={cases['volume'][0]}")
    page.evaluate(SETTLED)
    size = sum(
        reply.request.sizes()["responseBodySize"]
        for reply in replies
        if reply.request.resource_type in ("script", "stylesheet", "document")
    )
    yield Figure("scripts and styles, compressed", size / 1000, "kB", 1500)
    page.close()


def heap(browser: Browser, served: Served, cases: Any, options: argparse.Namespace) -> Iterator[Figure]:
    case, truth = cases["picture"]
    page = opened(browser, served, case, options.method)

    session = page.context.new_cdp_session(page)

    def held() -> float:
        session.send("HeapProfiler.collectGarbage")
        return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 1e6

    before = 0.0
    for number, index in enumerate(places(truth, options.interactions // 2 + 10)):
        if number == 10:
            before = held()  # what every page keeps from the first marks on is there
        press(page, index)
        page.keyboard.press("Control+z")
        page.evaluate(SETTLED)
    yield Figure(f"heap: growth over {options.interactions} marks and undos", held() - before, "MB", 30)
    page.close()


def worklist(browser: Browser, options: argparse.Namespace) -> Iterator[Figure]:
    """Look at a list of many cases, at a server of its own."""
    with tempfile.TemporaryDirectory(prefix="segmend-bench-") as folder:
        with Store.local(folder) as store:
            fill(store, options.cases)
        with Served(Path(folder), options.method) as served, httpx.Client(base_url=served.address) as client:
            served.settle()
            page = on_page(browser)
            times = []
            for _ in range(9):
                page.goto("about:blank")
                page.goto(served.address, wait_until="commit")
                times.append(float(page.evaluate(ROWS)))
            yield Figure(f"{options.cases} cases: first rows", median(times), "ms", 300)
            texts = [
                f"{region} {kind}" for region in ("abdomen", "thorax", "head") for kind in ("t2", "axial", "flair")
            ]
            yield Figure("   a search", median(float(page.evaluate(FOUND, text)) for text in texts), "ms", 200)
            size = len(client.get("api/cases", params={"limit": 100}).raise_for_status().content)
            yield Figure("   a page of the list", size / 1000, "kB", 100)
            page.close()


PARTS: dict[str, Callable[..., Iterator[Figure]]] = {
    "click": clicks, "scroll": scroll, "scripts": scripts, "heap": heap,
}  # fmt: skip


def figures(options: argparse.Namespace) -> Iterator[Figure]:
    wanted = [part for part in options.only.split(",") if part] or [*PARTS, "list"]
    with sync_playwright() as player, tempfile.TemporaryDirectory(prefix="segmend-bench-") as folder:
        browser = player.chromium.launch(executable_path=options.chromium, args=FLAGS)
        with Store.local(folder) as store:
            cases: dict[str, Any] = {}
            for name, shape in (("picture", FLAT), ("volume", SOLID)):
                image, truth = scene(shape, 0)
                cases[name] = (store.add_case(name, image, modality="CT").id, truth)
            if "scroll" in wanted:
                cases["large"] = store.add_case("large", scan(SLICES), modality="CT").id
        with Served(Path(folder), options.method) as served:
            served.settle()
            for part in wanted:
                if part in PARTS:
                    yield from PARTS[part](browser, served, cases, options)
        if "list" in wanted:
            yield from worklist(browser, options)
        browser.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help=f"some of {', '.join([*PARTS, 'list'])}, with commas between")
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--interactions", type=int, default=500)
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--method", default="mend", help="the method that answers")
    parser.add_argument("--chromium", default=PATH, help="the browser")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = []
    for figure in figures(options):
        found.append(figure)
        if not options.json:
            over = "" if figure.held else "   OVER"
            print(f"   {figure.name:42} {figure.value:9.1f} {figure.unit:3} goal {figure.goal:6g}{over}", flush=True)
    if options.json:
        print(json.dumps([asdict(figure) for figure in found]))
    return 0 if all(figure.held for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
