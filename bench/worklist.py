"""What the worklist costs with 100,000 cases: python bench/worklist.py [--cases N] [--repeats N] [--no-browser]

A real server in a process of its own, asked over HTTP as the page does: pages in every order, filters, searches, the
next case. The cases are rows without voxels but for a few. Then a real Chromium: from a new page to the first rows,
from the last letter of a search to its rows, and from one case to the first view of the next.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
from browser import PATH
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import insert

from segmend.core.image import Image, scale_affine
from segmend.store import Store, tables
from segmend.store.worklist import SORT_KEYS, words_of
from server import Served

PAGE_MS, SEARCH_MS, BYTES = 50, 100, 100_000  # budgets at the server
FIRST_ROWS_MS, FOUND_MS, NEXT_MS = 300, 200, 300  # budgets in the browser
CHROMIUM = ["--no-sandbox"]  # without 3D, which a processor draws slowly
FAMILIES = ["MUELLER", "SCHMIDT", "SILVA", "ROSSI", "KOWALSKI", "NGUYEN", "SMITH", "GARCIA", "IVANOVA", "TANAKA"]
REGIONS = ["Abdomen", "Thorax", "Head", "Knee", "Pelvis"]
KINDS = ["axial", "coronal", "venous", "T2", "FLAIR"]
STUDIES = ("Follow-up", "Staging", "Screening", "Trauma")
LABELS = ("liver", "spleen", "kidney", "lesion")


def fill(store: Store, number: int) -> None:
    """Put rows of cases into a store, as if they had been worked on for years."""
    draw = random.Random(1)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    cases: list[dict[str, Any]] = []
    for i in range(number):
        name = f"{draw.choice(REGIONS)} {draw.choice(KINDS)} {i}"
        changed = begin + timedelta(seconds=draw.randrange(60 * number))
        cases.append(
            {
                "id": f"{i:032x}", "name": name, "folded": name.casefold(), "project": "default",
                "shape": [120, 512, 512], "channels": 1, "affine": np.eye(4).tolist(),
                "modality": draw.choice(["CT", "MR", "XC", "US"]), "notes": [], "source": False,
                "created": begin + timedelta(minutes=i), "crc32": None,
                "patient": f"{draw.choice(FAMILIES)}, {draw.choice('ABCDEFGH')} ({draw.randrange(10**7):07d})",
                "study_date": (date(2020, 1, 1) + timedelta(days=draw.randrange(2000))).isoformat(),
                "description": draw.choice(STUDIES), "status": draw.choices(range(4), [60, 10, 28, 2])[0],
                "comment": "", "status_by": "ada", "status_at": changed, "changed": changed,
                "interactions": draw.randrange(30), "seconds": 300 * draw.random(),
            }
        )  # fmt: skip
    begun = [one["id"] for one in cases if one["status"]]
    words = [{"case": c["id"], "words": words_of(c["name"], c["patient"], c["description"])} for c in cases]
    with store._database.writing() as connection:
        connection.execute(insert(tables.cases), cases)
        connection.execute(insert(tables.searched), words)
        sessions = [{"id": one, "case": one, "user": "", "created": begin} for one in begun]
        connection.execute(insert(tables.sessions), sessions)
        labels = [{"session": one, "value": 1, "name": draw.choice(LABELS)} for one in begun]
        connection.execute(insert(tables.labels), labels)


def asked(number: int) -> dict[str, tuple[int, dict[str, Any]]]:
    """Return what is asked, with its budget in ms."""
    pages: dict[str, tuple[int, dict[str, Any]]] = {}
    for sort in SORT_KEYS:
        pages[f"by {sort}, first page"] = (PAGE_MS, {"sort": sort})
        pages[f"by {sort}, from the middle"] = (PAGE_MS, {"sort": sort, "descending": True, "offset": number // 2})
    return pages | {
        "one status": (PAGE_MS, {"status": "begun", "sort": "changed", "offset": 1000}),
        "one modality": (PAGE_MS, {"modality": "CT", "sort": "patient", "offset": 1000}),
        "one label": (PAGE_MS, {"label": "spleen", "sort": "patient", "offset": 1000}),
        "round a case": (PAGE_MS, {"sort": "name", "around": f"{number * 4 // 5:032x}"}),
        "search that finds some": (SEARCH_MS, {"q": "knee 4999"}),
        "search that finds none": (SEARCH_MS, {"q": "nowhere", "sort": "name"}),
        "search that finds most": (SEARCH_MS, {"q": "a", "sort": "name"}),
        "search for a patient": (SEARCH_MS, {"q": "tanaka b", "sort": "patient"}),
    }


def row(name: str, value: float, budget: float, unit: str = "ms", beside: str = "") -> None:
    print(f"   {name:34} {value:9.0f} {unit:5}  budget {budget:7.0f}{'' if value <= budget else '   OVER'}{beside}")


class Asking:
    """Asks a server some times, and prints the median and the processor time that it took there."""

    def __init__(self, served: Served, client: httpx.Client, repeats: int) -> None:
        self.served, self.client, self.repeats = served, client, repeats

    def ask(self, name: str, budget: float, path: str, parameters: dict[str, Any]) -> int:
        """Return how many bytes came."""
        size = len(self.client.get(path, params=parameters).raise_for_status().content)
        times, before = [], self.served.seconds_of_processor()
        for _ in range(self.repeats):
            begun = time.perf_counter()
            self.client.get(path, params=parameters)
            times.append(1000 * (time.perf_counter() - begun))
        spent = 1000 * (self.served.seconds_of_processor() - before) / self.repeats
        row(name, median(times), budget, beside=f"   {spent:4.0f} ms of a processor")
        return size


def at_the_server(asking: Asking, number: int) -> None:
    sizes = [
        asking.ask(name, budget, "api/cases", {"limit": 100, **parameters})
        for name, (budget, parameters) in asked(number).items()
    ]
    following = {"status": ["untouched", "begun"], "sort": "patient"}
    asking.ask("the next open case", PAGE_MS, f"api/cases/{number // 2:032x}/next", following)
    asking.ask("what to filter by", PAGE_MS, "api/cases/choices", {})
    row("the largest page", max(sizes), BYTES, "bytes")


def in_the_browser(address: str, first: str, repeats: int) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PATH, args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        texts = [f"{region} {kind}".lower() for region in REGIONS for kind in KINDS]
        rows = [_first_rows(page, address) for _ in range(repeats)]
        row("new page to the first rows", median(rows), FIRST_ROWS_MS)
        row("last letter to what is found", median(_found(page, text) for text in texts[:repeats]), FOUND_MS)
        page.goto("about:blank")
        page.goto(f"{address}#case={first}&layout=axial")
        page.wait_for_selector(".case-work")
        row("next case to its first view", median(_next(page) for _ in range(repeats)), NEXT_MS)
        browser.close()


# Tells when the first row with a name is on the page.
ROWS = """new Promise((done) => {
  const look = () => document.querySelector(".case-row-name") ? done(performance.now()) : requestAnimationFrame(look);
  look();
})"""
# Tells the ms from the key of the next case to two frames after its slices can be drawn.
NEXT = """new Promise((done) => {
  const before = window.segmend.state().case, begun = performance.now();
  window.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", altKey: true }));
  const look = () => {
    const { case: now, loading } = window.segmend.state();
    if (now === null || now === before || loading !== null) { requestAnimationFrame(look); return; }
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun)));
  };
  look();
})"""
FOUND = """(text) => new Promise((done) => {
  const field = document.getElementById("case-search"), begun = performance.now();
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  const look = () => {
    const names = [...document.querySelectorAll(".case-row-name")].map((one) => one.textContent.toLowerCase());
    const fits = names.length > 0 && names.every((one) => text.split(" ").every((word) => one.includes(word)));
    if (fits) done(performance.now() - begun); else requestAnimationFrame(look);
  };
  look();
})"""


def _first_rows(page: Page, address: str) -> float:
    page.goto("about:blank")
    page.goto(address, wait_until="commit")
    return float(page.evaluate(ROWS))


def _found(page: Page, text: str) -> float:
    return float(page.evaluate(FOUND, text))


def _next(page: Page) -> float:
    page.wait_for_timeout(1500)  # a person looks at the case; the next one is fetched meanwhile
    return float(page.evaluate(NEXT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--browser", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="segmend-bench-") as folder:
        with Store.local(folder) as store:
            voxels = np.random.default_rng(1).integers(0, 900, (1, 120, 256, 256), np.int16)
            drawn = [
                store.add_case(f"real {n}", Image(voxels + n, scale_affine((2, 1, 1)))).id
                for n in range(options.repeats + 2)
            ]
            fill(store, options.cases)
        with Served(Path(folder), "graphcut") as served, httpx.Client(base_url=served.address, timeout=60) as client:
            print(f"{options.cases} cases, SQLite; medians of {options.repeats}")
            at_the_server(Asking(served, client, options.repeats), options.cases)
            if options.browser:
                in_the_browser(served.address, drawn[0], options.repeats)


if __name__ == "__main__":
    main()
