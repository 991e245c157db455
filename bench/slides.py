"""What a slide of 40,000 x 30,000 pixels costs: `python bench/slides.py [--method ID] [--pictures FOLDER]`.

A slide with levels, as scanners write them (JPEG tiles, each level a quarter of the one before), is added to a server
in a process of its own, looked at like somebody who zooms in, and marked at three levels. Printed are the seconds, and
the most memory that the server held more than before the slide came, when it had answered a click on a picture already.
`--pictures` names a folder of stained microscopy to put the slide together from; without one cells are drawn.
`--keep FILE` keeps the slide; `--shoot FILE` takes the documentation's picture of it instead of measuring.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import tifffile
from browser import PATH
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFilter

from server import Served

TILE = 512
Pixels = NDArray[np.uint8]


def cells(folder: Path | None, count: int = 24) -> list[Pixels]:
    """Return tiles of tissue whose borders fit themselves: pictures and their mirror images, or drawn cells."""
    found: list[Pixels] = []
    for path in sorted(folder.glob("*.png")) if folder is not None else ():
        pixels = np.asarray(Pillow.open(path).convert("RGB"))
        if min(pixels.shape[:2]) >= TILE // 2 and np.abs(pixels[..., 0].astype(int) - pixels[..., 1]).mean() > 10:
            quarter = pixels[: TILE // 2, : TILE // 2]
            half = np.concatenate([quarter, quarter[:, ::-1]], axis=1)
            found.append(np.concatenate([half, half[::-1]]))
    rng = np.random.default_rng(0)
    found += [gland(rng) for _ in range(max(0, count - len(found)))]
    return found[:count]


def gland(rng: np.random.Generator) -> Pixels:
    """Return a drawn tile of tissue: a gland with its lumen and a row of nuclei, and cells between the glands."""
    tile = rng.normal((226, 176, 206), 5, (TILE, TILE, 3))
    y, x = np.mgrid[:TILE, :TILE]
    cy, cx = rng.uniform(210, 300, 2)
    outer, inner, turn, squeeze = rng.uniform(120, 185), rng.uniform(0.35, 0.55), rng.uniform(0, 3), rng.uniform(0.7, 1)
    across, down = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn), (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
    angle = np.arctan2(down, across)
    far = np.hypot(across, down / squeeze) / (1 + 0.08 * np.sin(3 * angle + turn) + 0.05 * np.cos(5 * angle))
    tile[far < outer] = rng.normal((190, 130, 190), 6, (int((far < outer).sum()), 3))
    tile[far < inner * outer] = rng.normal((246, 240, 245), 2, (int((far < inner * outer).sum()), 3))
    places = [(cy + 0.8 * outer * np.sin(a), cx + 0.8 * outer * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 34)[:-1]]
    nuclei = [(*place, 9.0) for place in places]
    nuclei += [
        (*place, 7.0) for place in rng.uniform(8, TILE - 8, (70, 2)) if far[tuple(place.astype(int))] > outer + 8
    ]
    for ny, nx, radius in nuclei:
        stretch = rng.uniform(0.6, 1)
        inside = ((y - ny) / stretch) ** 2 + (x - nx) ** 2 < radius**2
        tile[inside] = rng.normal((92, 58, 140), 9, (int(inside.sum()), 3))
    return np.asarray(Pillow.fromarray(np.clip(tile, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.2)))


def packed(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "JPEG", quality=85)
    return file.getvalue()


def write_slide(path: Path, width: int, height: int, tiles: list[Pixels]) -> None:
    """Write a slide of tissue on glass, with levels of a quarter each, a tile at a time."""
    white = np.full((TILE, TILE, 3), 244, np.uint8)
    known = [white, *tiles]
    rng = np.random.default_rng(1)
    rows, columns = -(-height // TILE), -(-width // TILE)
    y, x = np.mgrid[:rows, :columns] / np.array([rows, columns])[:, None, None]
    tissue = ((x - 0.36) / 0.3) ** 2 + ((y - 0.5) / 0.4) ** 2 < 1 + 0.15 * np.sin(9 * x) + 0.1 * np.cos(11 * y)
    tissue |= ((x - 0.8) / 0.12) ** 2 + ((y - 0.42) / 0.3) ** 2 < 1
    which = np.where(tissue, rng.integers(1, len(known), tissue.shape), 0)
    small = {1: known}

    def tile(step: int, row: int, column: int) -> Pixels:
        """Return a tile of the level of which a pixel is `step` of the finest."""
        side = TILE // step
        if step not in small:
            small[step] = [np.asarray(Pillow.fromarray(one).reduce(step)) for one in known]
        found = np.full((TILE, TILE, 3), 244, np.uint8)
        for i in range(step):
            for j in range(step):
                r, c = row * step + i, column * step + j
                if r < rows and c < columns:
                    found[i * side : (i + 1) * side, j * side : (j + 1) * side] = small[step][which[r, c]]
        return found

    ready = [packed(one) for one in known]
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        step = 1
        while True:
            shape = -(-height // step), -(-width // step), 3
            size = -(-shape[0] // TILE), -(-shape[1] // TILE)

            def content(step: int = step, size: tuple[int, int] = size) -> Iterator[bytes]:
                for row, column in np.ndindex(size):
                    yield ready[which[row, column]] if step == 1 else packed(tile(step, row, column))

            writer.write(
                content(),
                shape=shape,
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="ycbcr",
                subsampling=(2, 2),
                compression="jpeg",
                subfiletype=int(step > 1),
                resolution=(40_000 / step, 40_000 / step),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
            if max(shape) <= 4096:
                return
            step *= 4


def status(process: int, name: str) -> float:
    """Return a line of what Linux tells of a process, in megabytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def measured(data: Path, slide: Path, method: str) -> Iterator[tuple[str, float]]:
    with Served(data, method) as served, httpx.Client(base_url=served.address, timeout=300) as client:
        served.settle()
        _mark_picture(client, method)
        process = served.process.pid
        Path(f"/proc/{process}/clear_refs").write_text("5")  # the most that was held is counted from now on
        before = status(process, "VmRSS:")

        started = time.perf_counter()
        with slide.open("rb") as file:
            [case] = client.post("/api/cases", files={"files": (slide.name, file)}).raise_for_status().json()
        yield "added, s", time.perf_counter() - started
        started = time.perf_counter()
        about = client.get(f"/api/cases/{case['id']}/slide").raise_for_status().json()
        client.get(f"/api/cases/{case['id']}/slide/tiles/{about['levels'] - 1}/0/0").raise_for_status()
        yield "opened with its first tile, ms", 1000 * (time.perf_counter() - started)
        yield "a tile, ms (median)", statistics.median(_looked_at(client, case["id"], about))
        yield "most memory more than before, looking, MB", status(process, "VmHWM:") - before
        clicks = [_mark(client, case["id"], about, level, method) for level in (0, 2, about["levels"] - 1)]
        yield "a first click in a new field of view, ms (median)", statistics.median(clicks)
        for suffix in (".geojson", ".tif"):
            started = time.perf_counter()
            content = client.get(f"/api/cases/{case['id']}/slide/export", params={"format": suffix}).raise_for_status()
            yield f"the mask as {suffix}, s", time.perf_counter() - started
            yield f"the mask as {suffix}, MB", len(content.content) / 2**20
        yield "most memory more than before, all, MB", status(process, "VmHWM:") - before
        yield "memory more than before, at the end, MB", status(process, "VmRSS:") - before


def _mark_picture(client: httpx.Client, method: str) -> None:
    """Mark a picture as large as a field of view, so that the method is loaded and has been used."""
    file = io.BytesIO()
    Pillow.fromarray(np.tile(cells(None, 1)[0], (3, 3, 1))[:1280, :1280]).save(file, "PNG")
    [case] = client.post("/api/cases", files={"files": ("warm.png", file.getvalue())}).raise_for_status().json()
    session = client.post(f"/api/cases/{case['id']}/sessions").json()["id"]
    _click(client, session, [0, 600, 600], method)
    client.delete(f"/api/cases/{case['id']}")


def _click(client: httpx.Client, session: str, index: list[int], method: str) -> float:
    label = {"value": 1, "name": "tumour", "colour": [230, 75, 60], "locked": False}
    client.put(f"/api/sessions/{session}/labels/1", json={k: v for k, v in label.items() if k != "value"})
    prompt = {"prompt": {"kind": "click", "index": index, "positive": True}, "label": 1, "method": method}
    started = time.perf_counter()
    client.post(f"/api/sessions/{session}/prompts", json=prompt).raise_for_status()
    return 1000 * (time.perf_counter() - started)


def _looked_at(client: httpx.Client, case: str, about: dict[str, Any]) -> Iterator[float]:
    """Fetch the tiles that somebody sees who zooms in to three places."""
    for ty, tx in ((0.5, 0.36), (0.3, 0.3), (0.42, 0.8)):
        for level in reversed(range(about["levels"])):
            row, column = (
                int(side * part / 2**level) // TILE for side, part in ((about["height"], ty), (about["width"], tx))
            )
            for i, j in np.ndindex(3, 3):
                started = time.perf_counter()
                reply = client.get(
                    f"/api/cases/{case}/slide/tiles/{level}/{max(0, row + i - 1)}/{max(0, column + j - 1)}"
                )
                if reply.status_code == 200:
                    yield 1000 * (time.perf_counter() - started)


def _mark(client: httpx.Client, case: str, about: dict[str, Any], level: int, method: str) -> float:
    height, width = (-(-about[side] // 2**level) for side in ("height", "width"))
    low = [max(0, min(height - 900, height // 2 - 450)), max(0, min(width - 1200, int(width * 0.36) - 600))]
    high = [min(height, low[0] + 900), min(width, low[1] + 1200)]
    started = time.perf_counter()
    field = (
        client.post(f"/api/cases/{case}/fields", json={"level": level, "low": low, "high": high})
        .raise_for_status()
        .json()
    )
    client.get(f"/api/cases/{case}/fields/{field['session']}/slices?low=0&high=1").raise_for_status()
    opened = 1000 * (time.perf_counter() - started)
    middle = [0, (field["high"][0] - field["low"][0]) // 2, (field["high"][1] - field["low"][1]) // 2]
    return opened + _click(client, field["session"], middle, method)


def shoot(data: Path, slide: Path, method: str, picture: Path) -> None:
    """Take the picture of the annotator that the documentation shows: glands marked at a middle magnification."""
    from playwright.sync_api import sync_playwright

    with Served(data, method) as served, httpx.Client(base_url=served.address, timeout=300) as client:
        with slide.open("rb") as file:
            [case] = client.post("/api/cases", files={"files": ("Colon 7.svs", file)}).raise_for_status().json()
        served.settle()
        with sync_playwright() as player:
            browser = player.chromium.launch(executable_path=PATH, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
            page.set_default_timeout(180_000)

            def settle() -> None:
                page.wait_for_timeout(500)
                while not page.evaluate("window.segmend?.settled()"):
                    page.wait_for_timeout(100)

            page.goto(f"{served.address}#case={case['id']}")
            settle()
            page.evaluate("document.documentElement.dataset.theme = 'dark'")
            box = page.locator(".pane-canvas").bounding_box()
            assert box is not None
            middle = box["x"] + 0.45 * box["width"], box["y"] + 0.5 * box["height"]
            page.mouse.move(*middle)
            while page.evaluate("document.querySelector('.slide-scale').textContent.split('×')[0] < 2.4"):
                page.mouse.wheel(0, -120)
                page.wait_for_timeout(50)
            settle()
            for dx, dy in ((-150, -120), (0, 0)):
                page.mouse.click(middle[0] + dx, middle[1] + dy)
                settle()
            page.mouse.move(700, 24)
            page.wait_for_timeout(6000)
            page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": 1440, "height": 873})
            browser.close()


def main(show: Callable[[str], None] = print) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="mend")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--width", type=int, default=40_000)
    parser.add_argument("--height", type=int, default=30_000)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--shoot", type=Path, metavar="PNG")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        slide = asked.keep or Path(folder, "slide.svs")
        write_slide(slide, asked.width, asked.height, cells(asked.pictures))
        show(f"{asked.width} x {asked.height} pixels, {slide.stat().st_size >> 20} MB")
        if asked.shoot is not None:
            shoot(Path(folder, "data"), slide, asked.method, asked.shoot)
            return
        for name, value in measured(Path(folder, "data"), slide, asked.method):
            show(f"{name:55} {value:10.1f}")


if __name__ == "__main__":
    main()
