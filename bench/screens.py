"""Take a picture of every screen and dialog of the annotator, at every size: `python bench/screens.py FOLDER`.

A real server with sample cases, people and readings, a real Chromium; each screen is pictured at 1024 x 700,
1280 x 720, 1440 x 900 and 3840 x 2160 and on a tablet that is touched (820 x 1180), in dark and in light.
FOLDER/index.html shows all of them. `--language ar` speaks another language; `--only case` takes the screens whose
names hold a word; `--sizes 1024x700,tablet` some sizes.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
from browser import PATH
from playwright.sync_api import Browser, BrowserContext, Page, WebSocketRoute, sync_playwright
from playwright.sync_api import TimeoutError as TimedOut
from screenshot import heart, served

from segmend.core.image import Image, LabelMap
from segmend.core.prompts import Mask, to_json
from segmend.samples import Sample, make
from segmend.store.slides import add_slide
from segmend.store.store import Store
from slides import cells, write_slide

WEB = Path(__file__).parent.parent / "web"
FLAGS = ["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader"]
PATIENCE = 120_000  # ms; 3D is drawn by the processor, which may have other work
THEMES = ("dark", "light")
TABLET = "tablet"
SIZES = {"1024x700": (1024, 700), "1280x720": (1280, 720), "1440x900": (1440, 900), "3840x2160": (3840, 2160)}
TABLET_SIZE = (820, 1180)
PEOPLE = {"ada": "annotator", "ben": "annotator", "eve": "admin"}
PROJECT = "abdomen"


@dataclass(frozen=True)
class Cases:
    """What the pictures are taken of, by the ids of the cases."""

    volume: str  # with several labels and marks
    crowded: str  # with 20 labels
    photo: str
    series: str  # two scans side by side
    timed: str
    read: str  # by ada and ben, to be decided
    accepted: str
    slide: str


def words(language: str) -> dict[str, Any]:
    """Return what the page says in a language, by the names of its phrases."""
    code = f'import * as text from "./src/text/{language}"; console.log(JSON.stringify(text.{language.upper()}))'
    command = ["npx", "esbuild", "--bundle", "--format=cjs", "--loader=ts", "--platform=node"]
    bundled = subprocess.run(command, cwd=WEB, input=code, capture_output=True, text=True, check=True)
    told = subprocess.run(["node", "-"], input=bundled.stdout, capture_output=True, text=True, check=True)
    return dict(json.loads(told.stdout))


def token_of(name: str) -> str:
    return f"a-token-for-{name}-alone"


def small(kind: str, seed: int = 0) -> Sample:
    return make(kind, seed=seed, shape={"abdomen": (40, 160, 160), "head": (1, 320, 288), "skin": (1, 384, 512)}[kind])


def defined(value: int, name: str, colour: Iterable[int]) -> dict[str, Any]:
    return {"event": "defined", "label": {"value": value, "name": name, "colour": list(colour), "locked": False}}


def given(inside: np.ndarray, label: int) -> dict[str, Any]:
    return {"event": "prompted", "prompt": to_json(Mask(inside)), "label": label, "method": "given"}


def mark(address: str, case: str, events: Iterable[dict[str, Any]], *, who: str = "eve", done: bool = False) -> None:
    """Record events of somebody in a session of a case."""
    with httpx.Client(base_url=address, timeout=120, headers={"Authorization": f"Bearer {token_of(who)}"}) as client:
        session = client.post(f"/api/cases/{case}/sessions").raise_for_status().json()["id"]
        for event in events:
            client.post(f"/api/sessions/{session}/events", json=event).raise_for_status()
        if done:
            client.put(f"/api/cases/{case}/status", json={"status": "done"}).raise_for_status()


def prepare(store: Store, address: str, scratch: Path) -> Cases:
    """Fill a server with cases in every state."""
    store.add_project(PROJECT)
    for name, role in PEOPLE.items():
        project = None if role == "admin" else PROJECT
        store.accounts.add(name, token=token_of(name), role=role, project=project)
    samples = {kind: small(kind) for kind in ("abdomen", "head", "skin")}
    abdomen = samples["abdomen"]
    labels = [label for label in abdomen.labels if label.name != "lesions"]

    def add(name: str, sample: Sample, **options: Any) -> str:
        options = {"project": PROJECT, "modality": sample.modality, **options}
        return store.add_case(name, sample.image, **options).id

    def masks(truth: LabelMap, moved: int = 0) -> Iterator[dict[str, Any]]:
        for number, label in enumerate(labels, start=1):
            yield defined(number, label.name, label.colour)
        for number, label in enumerate(labels, start=1):
            yield given(np.roll(truth == label.value, moved, axis=2), number)

    for number in range(40):
        name = f"CT abdomen and pelvis, portal venous phase, 3 mm soft tissue, patient {number:03}"
        small_volume = make("abdomen", seed=number % 3, shape=(4, 32, 32))
        case = add(name, small_volume, patient=f"P{number:05}", study_date=f"2026-0{1 + number % 9}-1{number % 9}")
        if number % 3 == 0:
            mark(address, case, [defined(1, "liver", (230, 75, 60))], done=number % 6 == 0)
    volume = add("Abdomen, follow-up", abdomen, patient="P00117", study_date="2026-03-14")
    mark(address, volume, masks(abdomen.truth))
    crowded = add("Abdomen with 20 labels", abdomen)
    mark(
        address,
        crowded,
        [
            *masks(abdomen.truth),
            *(defined(n, f"lymph node, station {n}", ((61 * n) % 255, (97 * n) % 255, 140)) for n in range(5, 21)),
        ],
    )
    photo = add("Mole on the left shoulder", samples["skin"])
    series = add("Abdomen, two phases", abdomen)
    later = Image(abdomen.image.voxels * 0.8, abdomen.image.affine, axes="zyx")
    store.add_series(series, "arterial phase", later, modality="CT")
    mark(address, series, masks(abdomen.truth))
    times = np.concatenate([abdomen.image.voxels[:, :12] * factor for factor in (1, 0.9, 0.8)])
    notes = ("The fourth axis is time: 3 volumes, 2 s apart.",)
    perfusion = Image(times, abdomen.image.affine, notes, axes="zyx")
    timed = store.add_case("Perfusion", perfusion, project=PROJECT, modality="CT").id
    read = add("Abdomen, read by two", abdomen)
    store.readings.plan([read], ["ada", "ben"], each=2, how="all")
    for name, moved in (("ada", 0), ("ben", 3)):
        mark(address, read, masks(abdomen.truth, moved), who=name, done=True)
    accepted = add("Head, accepted", samples["head"])
    mark(address, accepted, [defined(1, "tumour", (230, 75, 60))], done=True)
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token_of('eve')}"}) as client:
        client.put(f"/api/cases/{accepted}/status", json={"status": "accepted"}).raise_for_status()
    path = scratch / "biopsy.tif"
    write_slide(path, 12_000, 9_000, cells(None, 8))
    slide = add_slide(store, path, "Biopsy of the prostate", project=PROJECT).id
    return Cases(volume, crowded, photo, series, timed, read, accepted, slide)


class Visitor:
    """Opens the screens; each of its functions whose name begins with `at_` shows one."""

    def __init__(self, page: Page, address: str, cases: Cases, text: dict[str, Any], truth: Sample) -> None:
        self.page = page
        self.address = address
        self.cases = cases
        self.text = text
        self.truth = truth

    def say(self, name: str, /, **values: str) -> str:
        """Return a phrase of the page."""
        phrase: Any = self.text
        for part in name.split("."):
            phrase = phrase[part]
        for key, value in values.items():
            phrase = phrase.replace(f"{{{key}}}", value)
        return str(phrase)

    def press(self, name: str, /, *, exact: bool = False, **values: str) -> None:
        self.page.get_by_role("button", name=self.say(name, **values), exact=exact).first.click()

    def settle(self) -> None:
        end = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate("window.segmend?.settled()"):
            if time.monotonic() > end:
                raise TimeoutError("the page did not settle")
            self.page.wait_for_timeout(50)
        self.page.wait_for_timeout(150)

    def home(self) -> None:
        self.page.goto("about:blank")
        self.page.goto(self.address)
        self.page.locator(".case-open").first.wait_for(state="attached")

    def open(self, case: str, layout: str = "grid") -> None:
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}#case={case}&layout={layout}")
        self.settle()

    def ensure(self, case: str, layout: str = "grid") -> None:
        """Show a case in a layout, opening it where another one is open."""
        opened = self.page.evaluate("window.segmend?.state().case ?? null")
        if opened == case:
            self.page.evaluate("(layout) => window.segmend.show(layout)", layout)
            self.settle()
        else:
            self.open(case, layout)

    def go(self, label: int) -> None:
        index = heart(self.truth.truth, label)
        self.page.evaluate("(index) => window.segmend.goTo(index)", index)

    def place(self, index: list[int]) -> tuple[float, float]:
        """Return where a voxel of the slice that is shown is on the page."""
        self.page.evaluate("(index) => window.segmend.goTo(index)", index)
        self.page.wait_for_timeout(200)
        at = self.page.evaluate("(index) => window.segmend.screenOf(index, 'axial')", index)
        return at["x"], at["y"]

    def calm(self) -> None:
        """Close dialogs and messages, and take the pointer away."""
        self.page.mouse.move(3, 3)
        for _ in range(4):
            if self.page.locator("dialog[open]").count() == 0:
                break
            self.page.keyboard.press("Escape")
        self.page.evaluate("for (const one of document.querySelectorAll('.toast > .icon-button')) one.click()")

    # Before a case is open

    def at_login(self) -> None:
        self.page.context.clear_cookies()
        self.page.goto("about:blank")
        self.page.goto(self.address)

    def at_login_refused(self) -> None:
        self.at_login()
        self.page.locator("input").last.fill("not this one")
        self.page.locator("form button").first.click()
        self.page.wait_for_timeout(300)

    def at_worklist(self) -> None:
        self.page.goto(f"{self.address}?token={token_of('eve')}")
        self.page.locator(".case-open").first.wait_for(state="attached")

    def at_worklist_filter(self) -> None:
        self.home()
        self.press("worklist.filter")

    def at_worklist_nothing_found(self) -> None:
        self.home()
        self.page.get_by_role("searchbox").fill("no case is called that")
        self.page.wait_for_timeout(600)

    def at_settings(self) -> None:
        self.home()
        self.press("header.settings")

    def at_shortcuts(self) -> None:
        self.press("header.help", exact=True)

    def at_link_dialog(self) -> None:
        self.press("worklist.link")

    def at_delete_dialog(self) -> None:
        self.page.locator(".case-row").first.hover()
        self.page.locator(".case-row button").last.click()

    def at_results_of_all(self) -> None:
        self.press("worklist.results")

    def at_people(self) -> None:
        self.press("members.title")

    def administer(self, part: str) -> None:
        self.home()
        self.press("admin.title")
        self.page.get_by_role("tab", name=self.say(f"admin.{part}")).click()
        self.page.wait_for_timeout(600)

    def at_admin_people(self) -> None:
        self.administer("people")
        self.page.get_by_role("button", name=self.say("admin.detailsOf", name="ada")).click()
        self.page.wait_for_timeout(300)

    def at_admin_audit(self) -> None:
        self.administer("audit")

    def at_admin_patients(self) -> None:
        self.administer("patients")

    def at_admin_usage(self) -> None:
        self.administer("usage")

    def at_admin_anonymisation(self) -> None:
        self.administer("anonymisation")

    def at_reading_by_several(self) -> None:
        self.press("readings.title")

    def at_case_missing(self) -> None:
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}#case=c0ffee00c0ffee00")
        self.page.locator(".toast").first.wait_for()

    # A case

    def at_photo(self) -> None:
        self.open(self.cases.photo)
        self.page.locator(".pane-canvas").first.click()
        self.settle()

    def at_volume(self) -> None:
        self.open(self.cases.volume)
        self.go(1)

    def at_volume_main(self) -> None:
        self.ensure(self.cases.volume, "main")

    def at_volume_rows(self) -> None:
        self.ensure(self.cases.volume, "rows")

    def at_volume_columns(self) -> None:
        self.ensure(self.cases.volume, "columns")

    def at_volume_axial(self) -> None:
        self.ensure(self.cases.volume, "axial")

    def at_volume_coronal(self) -> None:
        self.ensure(self.cases.volume, "coronal")

    def at_volume_sagittal(self) -> None:
        self.ensure(self.cases.volume, "sagittal")

    def at_volume_3d(self) -> None:
        self.ensure(self.cases.volume, "render")

    def at_editing(self) -> None:
        self.ensure(self.cases.volume)
        if self.page.locator("details.editing[open]").count() == 0:
            self.page.locator(".editing summary").click()
        self.page.locator(".editing").evaluate("(one) => one.scrollIntoView()")

    def at_display(self) -> None:
        """The end of the panel."""
        self.ensure(self.cases.volume)
        self.page.evaluate("document.querySelector('.panel').scrollTo(0, 1e6)")

    def at_preview(self) -> None:
        self.open(self.cases.volume, "axial")
        self.page.get_by_label(self.say("preview.title")).check()
        self.go(1)
        self.page.wait_for_timeout(200)
        self.page.mouse.click(*self.place(heart(self.truth.truth, 3)))
        self.page.locator(".preview-bar .primary").wait_for()

    def at_results(self) -> None:
        self.page.get_by_label(self.say("preview.title")).uncheck()
        self.page.locator(".download > button").first.click()
        self.page.get_by_role("button", name=self.say("results.more")).click()

    def at_download_menu(self) -> None:
        self.page.locator(".download > button").first.click()

    def at_methods(self) -> None:
        self.press("header.methods")

    def at_comparison(self) -> None:
        self.press("header.methods")
        self.page.locator(".methods-list li button:last-child:enabled").nth(1).click()
        self.page.locator(".preview-bar .primary").wait_for()

    def at_robot(self) -> None:
        self.press("header.methods")
        self.press("methods.watch")
        self.page.locator(".robot-curve circle").first.wait_for()

    def at_tour(self) -> None:
        self.open(self.cases.volume)
        self.press("header.help", exact=True)
        self.press("tour.start")

    def at_rename(self) -> None:
        self.open(self.cases.volume)
        self.page.locator("[data-key=label-1]").dblclick()

    def at_code(self) -> None:
        self.open(self.cases.volume)
        self.press("labelling.byName")

    def at_template(self) -> None:
        self.press("labelling.template")

    def at_reject(self) -> None:
        self.press("case.reject")

    def at_twenty_labels(self) -> None:
        self.open(self.cases.crowded)

    def at_series(self) -> None:
        self.open(self.cases.series, "series")

    def at_times(self) -> None:
        self.open(self.cases.timed)

    def at_accepted(self) -> None:
        self.open(self.cases.accepted)
        self.page.locator(".pane-canvas").first.click()
        self.page.locator(".toast").first.wait_for()

    # Reading by two, slides

    def at_readers(self) -> None:
        self.open(self.cases.read)
        self.page.wait_for_timeout(500)

    def at_differences(self) -> None:
        begin = self.page.get_by_role("button", name=self.say("reading.begin"), exact=True)
        if begin.count() > 0:
            begin.click()
            self.page.wait_for_timeout(500)
            self.settle()
        self.page.locator("select[name=begin], .reading-differences select").last.select_option("ben")
        self.page.wait_for_timeout(800)
        with suppress(TimedOut):
            self.page.get_by_role("button", name=self.say("reading.show"), exact=True).click(timeout=3000)
            self.page.wait_for_timeout(800)

    def at_slide(self) -> None:
        self.open(self.cases.slide)

    # What goes wrong

    def at_offline(self) -> None:
        sockets: list[WebSocketRoute] = []

        def follow(socket: WebSocketRoute) -> None:
            if not sockets:
                socket.connect_to_server()
            else:
                socket.close()
            sockets.append(socket)

        self.page.route_web_socket(re.compile("live"), follow)
        self.open(self.cases.photo)
        sockets[0].close()
        self.page.locator(".banner:not([hidden])").wait_for()
        self.page.locator(".pane-canvas").first.click()

    def at_loading(self) -> None:
        self.page.route(re.compile(r"/slices\?|/volume\.nii"), lambda route: None)  # the voxels never come
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}#case={self.cases.volume}")
        self.page.locator(".loading:not([hidden])").wait_for()


SCREENS: tuple[str, ...] = tuple(name.removeprefix("at_") for name in vars(Visitor) if name.startswith("at_"))
NOISY = ("case_missing", "accepted")  # whose messages are what is to be seen


def visits(browser: Browser, sizes: list[str]) -> Iterator[tuple[BrowserContext, list[tuple[str, tuple[int, int]]]]]:
    """Return windows that were opened at a size, and the sizes at which pictures are taken in each."""
    wide = [(name, SIZES[name]) for name in sizes if name in SIZES and name != "1024x700"]
    if "1024x700" in sizes:
        yield _window(browser, SIZES["1024x700"]), [("1024x700", SIZES["1024x700"])]
    if wide:
        yield _window(browser, wide[0][1]), wide
    if TABLET in sizes:
        yield _window(browser, TABLET_SIZE, has_touch=True, is_mobile=True), [(TABLET, TABLET_SIZE)]


def _window(browser: Browser, size: tuple[int, int], **options: bool) -> BrowserContext:
    return browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme="dark", **options)


def take(visitor: Visitor, screens: list[str], sizes: list[tuple[str, tuple[int, int]]], folder: Path) -> list[str]:
    """Take the pictures of some screens in one window; returns what could not be shown."""
    missed = []
    page = visitor.page
    for screen in screens:
        page.set_viewport_size({"width": sizes[0][1][0], "height": sizes[0][1][1]})
        if page.url.startswith("http"):
            visitor.calm()
        show: Callable[[], None] = getattr(visitor, f"at_{screen}")
        try:
            show()
        except Exception as error:  # one screen that is not there is no reason to show none
            missed.append(f"{screen} at {sizes[0][0]}: {str(error).splitlines()[0]}")
        if screen not in NOISY:
            page.evaluate("for (const one of document.querySelectorAll('.toast > .icon-button')) one.click()")
        for name, (width, height) in sizes:
            page.set_viewport_size({"width": width, "height": height})
            for theme in THEMES:
                page.emulate_media(color_scheme=theme)
                page.wait_for_timeout(250)
                page.screenshot(path=folder / f"{screen}-{name}-{theme}.jpg", type="jpeg", quality=88)
        page.emulate_media(color_scheme="dark")
        sys.stdout.write(f"{screen} {sizes[0][0]}\n")
        sys.stdout.flush()
    return missed


def index(folder: Path, screens: list[str], sizes: list[str]) -> None:
    """Write the page that shows all the pictures."""
    rows = []
    for screen in screens:
        row = "".join(
            f'<td><a href="{file}"><img loading="lazy" src="{file}" alt="{screen}, {size}, {theme}"></a></td>'
            for size in sizes
            for theme in THEMES
            if (folder / (file := f"{screen}-{size}-{theme}.jpg")).exists()
        )
        rows.append(f"<tr><th>{html.escape(screen.replace('_', ' '))}</th>{row}</tr>")
    heads = "".join(f"<th>{size}, {theme}</th>" for size in sizes for theme in THEMES)
    style = "body{font:14px sans-serif;background:#888}img{width:340px}th{text-align:left;vertical-align:top}"
    (folder / "index.html").write_text(
        f'<!doctype html><meta charset="utf-8"><title>Screens</title><style>{style}</style>'
        f"<table><tr><th></th>{heads}</tr>{''.join(rows)}</table>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--language", default="en", choices=("en", "de", "ar"))
    parser.add_argument("--only", default="", help="screens whose names hold one of these words, with commas between")
    parser.add_argument("--sizes", default=",".join([*SIZES, TABLET]))
    parser.add_argument("--method", default="mend", help="the method that answers")
    parser.add_argument("--chromium", default=PATH, help="the browser")
    options = parser.parse_args()
    wanted = [part for part in options.only.split(",") if part]
    screens = [one for one in SCREENS if not wanted or any(part in one for part in wanted)]
    sizes = options.sizes.split(",")
    options.folder.mkdir(parents=True, exist_ok=True)
    text = words(options.language)
    missed = []
    with (
        TemporaryDirectory() as folder,
        served(Path(folder), options.method, token="the-servers-own") as server,
        sync_playwright() as player,
    ):
        address = server.address.partition("?")[0]
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        cases = prepare(server.config.app.state.shared.store, address, scratch)
        browser = player.chromium.launch(executable_path=options.chromium, args=FLAGS)
        for context, some in visits(browser, sizes):
            page = context.new_page()
            page.set_default_timeout(20_000)
            page.goto(f"{address}?token={token_of('eve')}")
            page.evaluate("(language) => localStorage.setItem('segmend', JSON.stringify({language}))", options.language)
            visitor = Visitor(page, address, cases, text, small("abdomen"))
            visitor.home()
            missed += take(visitor, screens, some, options.folder)
            context.close()
        browser.close()
    index(options.folder, screens, sizes)
    sys.stdout.write(f"{options.folder / 'index.html'}\n" + "".join(f"missed: {one}\n" for one in missed))


if __name__ == "__main__":
    main()
