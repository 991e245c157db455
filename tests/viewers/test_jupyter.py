"""JupyterLab in a real browser: a cell shows an image, a person marks it, and the next cell has the mask."""

import json
import os
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from segmend.annotating import LocalAnnotation
from segmend.core.image import Box
from segmend.core.prompts import Click
from segmend.core.reach import Reach
from segmend.io import open_image
from tests.viewers.clients import VIEWERS, need, own_paths, python_of
from tests.web.driving import CHROMIUM
from tools.notebook import kernel

PATIENCE = 120  # seconds
TOKEN = "a-token-of-the-lab"
CELLS = [
    "import numpy as np, segmend\nscan = np.load('scan.npy')\nview = segmend.show(scan, method='geos')\nview",
    "np.save('mask.npy', view.label_map()); print('saved', len(view.annotation.marks), 'marks')",
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab's address, and the folder that it shows."""
    home = need(VIEWERS / "jupyter", "JupyterLab")
    folder = tmp_path_factory.mktemp("lab")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    kernel(folder / "data", python_of(home), own_paths())
    places = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "JUPYTER"))}
    options = [
        "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    log = (folder / "lab.log").open("wb")
    process = subprocess.Popen(
        [python_of(home), "-m", "jupyterlab", *options], stdout=log, stderr=log, env={**kept, **places}
    )
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/api"), (folder / "lab.log").read_text)
        yield f"http://127.0.0.1:{port}", folder
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def answers(address):
    try:
        with urlopen(address, timeout=5) as reply:
            return reply.status == 200
    except (URLError, OSError):
        return False


def until(true, words=lambda: "waited in vain"):
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, words()
        time.sleep(0.1)


@contextmanager
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**CHROMIUM)
        yield chromium.new_context(viewport={"width": 1400, "height": 1000}).new_page()
        chromium.close()


def scan():
    """9 x 40 x 48 voxels with two bright blobs."""
    z, y, x = np.indices((9, 40, 48))
    far = [((z - 4) / 3.5) ** 2 + ((y - b) / 8) ** 2 + ((x - c) / 8) ** 2 for b, c in [(13, 13), (27, 33)]]
    noise = np.random.default_rng(4).normal(0, 6, z.shape)
    return (50 + 100 * ((far[0] < 1) | (far[1] < 1)) + noise).astype(np.int16)


def test_an_image_is_marked_in_jupyterlab_and_its_mask_is_there_for_the_next_cell(lab):
    address, folder = lab
    np.save(folder / "scan.npy", scan())
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    about = {"kernelspec": {"name": "segmend", "display_name": "Segmend", "language": "python"}}
    notebook = {"cells": [{**cell, "id": f"c{n}", "source": text} for n, text in enumerate(CELLS)],
                "metadata": about, "nbformat": 4, "nbformat_minor": 5}  # fmt: skip
    (folder / "work.ipynb").write_text(json.dumps(notebook))
    with browser() as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/lab/tree/work.ipynb?token={TOKEN}")
        page.set_default_timeout(1000 * PATIENCE)
        page.get_by_text("Segmend | Idle").wait_for()  # keys that come before the kernel may be lost
        page.locator(".jp-Cell").first.click()
        page.keyboard.press("Shift+Enter")
        root = page.locator(".segmend-view")
        root.wait_for()

        def view(words):
            return page.evaluate(
                f"(() => {{ const view = document.querySelector('.segmend-view').segmend; {words} }})()"
            )

        def settled(events):
            until(lambda: view(f"return view.settled() && view.state().events === {events};"))

        def place(index):
            return view(f"return view.placeOf({json.dumps(index)});")

        settled(1)
        page.mouse.click(*place([4, 13, 13]))
        settled(2)
        page.mouse.click(*place([4, 3, 40]), button="right")
        settled(3)
        assert page.locator(".lm-Menu").count() == 0  # the button marks, and opens no menu
        root.get_by_role("button", name="Add a label").click()
        settled(4)
        root.get_by_role("button", name="Box").click()
        page.mouse.move(*place([4, 18, 24]))
        page.mouse.down()
        page.mouse.move(*place([4, 35, 41]), steps=5)
        page.mouse.up()
        settled(5)
        page.keyboard.press("Control+z")
        settled(6)
        page.keyboard.press("Control+y")
        settled(7)
        assert view("return view.labelAt([4, 27, 33]);") == 2
        root.get_by_role("button", name="Lock slice").click()
        settled(8)
        assert view("return view.state().locked[0];") == [4]
        root.get_by_label("Changes").select_option("near")
        root.get_by_title("Distance in mm").fill("3")
        root.get_by_title("Distance in mm").press("Enter")
        view("view.show(0, 5);")
        until(lambda: view("return view.settled();"))
        assert root.get_by_role("button", name="Lock slice").get_attribute("aria-pressed") == "false"
        root.get_by_role("button", name="Click", exact=True).click()
        page.mouse.click(*place([5, 13, 13]), button="right")
        settled(9)
        view("view.show(0, 4);")
        until(lambda: view("return view.settled();"))
        if keep := os.environ.get("SEGMEND_KEEP_PICTURES"):
            page.screenshot(path=str(Path(keep, "jupyterlab.png")))
        page.locator(".jp-Cell").nth(1).locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        page.get_by_text("saved 4 marks").wait_for()
        page.keyboard.press("Control+s")
        until(lambda: "image/png" in (folder / "work.ipynb").read_text())
        assert {url.split("/")[2] for url in asked if url.startswith("http")} == {address.split("/")[2]}

    twin = LocalAnnotation(open_image(scan()), method="geos")
    twin.add_label("object")
    twin.mark(Click((4, 13, 13)), 1)
    twin.mark(Click((4, 3, 40), positive=False), 1)
    twin.add_label()
    twin.mark(Box((4, 18, 24), (5, 36, 42)), 2)
    twin.lock_slices([4])
    twin.mark(Click((5, 13, 13), positive=False), 2, reach=Reach(mm=3.0))
    np.testing.assert_array_equal(np.load(folder / "mask.npy"), twin.map)
    assert all((twin.map == label).sum() > 500 for label in (1, 2))
