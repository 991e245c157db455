"""The worklist: many cases, found, opened by key, done, rejected, left and gone back to."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from playwright.sync_api import expect
from sqlalchemy import insert

from segmend.core.image import Image, scale_affine
from segmend.io import write_image
from segmend.store import Store, tables
from segmend.store.worklist import words_of
from tests.server.running import in_thread, settings
from tests.web.driving import Annotator, wait_for

ROWS = 250  # cases without voxels, as many as a list must not draw at once


def flat(number=0):
    """A single slice: nothing of it is drawn in 3D, which takes a processor seconds."""
    return Image(np.random.default_rng(number).integers(0, 256, (1, 1, 24, 26), dtype=np.uint8))


def volume(number=0):
    voxels = np.random.default_rng(number).integers(0, 256, (1, 7, 24, 26), dtype=np.uint8)
    return Image(voxels, scale_affine((3, 1.5, 1)))


def fill(store):
    """Add rows of cases, older than all others."""
    begin, rows = datetime(2026, 1, 1, tzinfo=UTC), []
    for i in range(ROWS):
        name, at = f"row {i:03d}", begin + timedelta(minutes=i)
        rows.append(
            {
                "id": f"{i:032x}", "name": name, "folded": name, "project": "default", "shape": [7, 24, 26],
                "channels": 1, "affine": np.eye(4).tolist(), "modality": "MR", "notes": [], "source": False,
                "created": at, "crc32": None, "patient": f"Doe, John ({i})", "study_date": "2024-02-03",
                "description": "", "status": 0, "comment": "", "status_by": "", "status_at": None, "changed": at,
                "interactions": 0, "seconds": 0.0,
            }
        )  # fmt: skip
    with store._database.writing() as connection:
        connection.execute(insert(tables.cases), rows)
        words = [{"case": row["id"], "words": words_of(row["name"], row["patient"])} for row in rows]
        connection.execute(insert(tables.searched), words)


@pytest.fixture(scope="module")
def many(server, tmp_path_factory):
    """A server with a long list; `server` brings the methods of the tests."""
    folder = tmp_path_factory.mktemp("many")
    with Store.local(folder) as store:
        fill(store)
    with in_thread(settings(folder, method="ball", link_folders=())) as running:
        yield running


@pytest.fixture
def store(many):
    return many.config.app.state.shared.store


@pytest.fixture
def person(page, many):
    found = Annotator(page, many.address)
    yield found
    found.http.close()


def rows(page):
    return page.locator(".case-row:not(.ghost)")


def row(page, name):
    return page.locator(".case-row", has_text=name)


def opened(person, name):
    expect(person.page.locator(".case-name")).to_have_text(name)
    person.settle()


def test_a_long_list_draws_what_is_in_sight_and_scrolls_to_the_open_case(person, store):
    case = store.add_case("far down", flat())

    person.open(case.id)

    expect(row(person.page, "far down")).to_be_in_viewport()  # at the end of 250 others
    current = person.page.locator('[aria-current="true"]')
    expect(current).to_contain_text("far down")
    item = row(person.page, "far down")
    size = int(item.get_attribute("aria-setsize"))
    assert size > ROWS and int(item.get_attribute("aria-posinset")) > ROWS
    assert rows(person.page).count() < 40
    expect(item.locator(".thumbnail img")).to_be_visible()


def test_the_list_is_walked_with_the_keyboard(person, store):
    case = store.add_case("zz last by name", flat())
    store.add_case("aa first by name", flat())
    page = person.open().page
    page.get_by_label("Order of the cases").select_option("name")
    first = page.locator("[data-place='0']")
    expect(first).to_contain_text("aa first by name")

    first.focus()
    page.keyboard.press("End")
    last = page.locator(":focus")
    expect(last).to_contain_text("zz last by name")
    page.keyboard.press("ArrowUp")
    expect(page.locator(":focus")).not_to_contain_text("zz last")
    page.keyboard.press("ArrowDown")
    expect(page.locator(":focus")).to_contain_text("zz last by name")
    assert page.locator(".case-open[tabindex='0']").count() == 1  # Tab leaves the list
    page.keyboard.press("Enter")

    opened(person, "zz last by name")
    assert person.state["case"] == case.id


def test_cases_are_searched_and_filtered(person, store):
    done = store.add_case("a spleen to look for", flat(), modality="CT")
    store.add_case("a spleen that is open", flat(), modality="MR")
    store.set_status(done.id, "done")
    page = person.open().page

    page.keyboard.press("/")
    page.keyboard.type("SPLEEN look")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("a spleen to look for")
    expect(page.locator(".case-order")).to_contain_text("1 case")
    page.get_by_role("searchbox").fill("spleen")
    expect(rows(page)).to_have_count(2)
    expect(page.locator(".work-progress")).to_contain_text("1 of 2 done")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("checkbox", name="Untouched").check()
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("a spleen that is open")
    page.get_by_label("Modality").select_option("CT")
    expect(page.get_by_text("No case is like that.")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(rows(page)).to_have_count(2)


def test_a_case_is_done_and_the_next_one_opens(person, store):
    first, second, third = (store.add_case(f"work {n}", flat(n)).id for n in (1, 2, 3))
    store.set_status(second, "rejected")
    page = person.open(first).page
    wanted = {"work 1": "Begun", "work 3": "Untouched"}
    person.click((0, 12, 12))
    person.settle()
    state = page.locator(".case-work .case-state")
    expect(state).to_have_text(wanted["work 1"])
    expect(row(page, "work 1")).to_contain_text("Begun")

    page.keyboard.press("Control+Enter")

    opened(person, "work 3")
    assert person.state["case"] == third
    expect(state).to_have_text(wanted["work 3"])
    found = person.http.get(f"/api/cases/{first}").json()
    assert (found["status"], found["interactions"]) == ("done", 1)
    expect(row(page, "work 1")).to_contain_text("Done")

    page.go_back()  # the address of the case before
    opened(person, "work 1")
    expect(state).to_have_text("Done")
    before = len(person.prompts)
    expect(page.locator(".status-hint")).to_have_text("This case is done; press Reopen to change it.")
    person.click((0, 5, 5))
    person.toast("This case is done; press Reopen to change it.")
    assert len(person.prompts) == before
    page.get_by_role("button", name="Reopen").click()
    expect(state).to_have_text("Begun")
    expect(page.locator(".status-hint")).to_contain_text("Click on the object")
    person.click((0, 9, 9))  # elsewhere: a second click at the same place soon after is a double click
    person.settle()
    assert len(person.prompts) == before + 1


def test_a_case_is_rejected_with_a_comment(person, store):
    case, after = store.add_case("blurred", flat()).id, store.add_case("sharp", flat()).id
    page = person.open(case).page

    page.get_by_role("button", name="Reject…").click()
    page.get_by_label("Why? (optional)").fill("motion")
    page.get_by_role("button", name="Reject and next").click()

    opened(person, "sharp")
    assert person.state["case"] == after
    found = person.http.get(f"/api/cases/{case}").json()
    assert (found["status"], found["comment"]) == ("rejected", "motion")
    page.keyboard.press("Alt+ArrowUp")
    opened(person, "blurred")
    expect(page.locator(".case-comment")).to_have_text("motion")


def test_the_next_case_is_fetched_before_it_is_opened(person, store):
    first, second = (store.add_case(f"ahead {n}", flat(n)).id for n in (1, 2))
    asked = []
    person.page.on("request", lambda request: asked.append(request.url) if "volume.nii" in request.url else None)
    with person.page.expect_response(lambda reply: f"{second}/volume.nii" in reply.url):
        person.open(first)

    person.page.keyboard.press("Alt+ArrowDown")

    opened(person, "ahead 2")
    assert [url.split("/")[-2] for url in asked if second in url] == [second]


def test_the_address_opens_cases_and_a_case_opens_where_it_was_left(person, store):
    one, other = store.add_case("left here", volume()).id, store.add_case("elsewhere", flat()).id
    page = person.open(one, layout="coronal").page
    person.go_to((2, 3, 4))
    wait_for(
        page,
        f"""localStorage.getItem("segmend.places")?.includes('["{one}",{{"layout":"coronal","crosshair":[2,3,4]')""",
    )

    page.evaluate(f"location.hash = '#case={other}'")
    opened(person, "elsewhere")
    assert person.state["crosshair"] == [0, 12, 13]
    page.goto("about:blank")
    page.goto(f"{person.address}#case={one}")
    opened(person, "left here")
    assert (person.state["layout"], person.state["crosshair"]) == ("coronal", [2, 3, 4])

    page.evaluate("location.hash = '#case=nobody'")
    person.toast("There is no case 'nobody'.")
    page.goto("about:blank")
    page.goto(person.address)
    page.get_by_role("button", name="Continue with “left here”").click()
    opened(person, "left here")


def test_an_upload_says_what_it_left_out_and_tells_names_apart(person, store, tmp_path):
    store.add_case("twice", flat(5))
    write_image(tmp_path / "twice.png", flat(5))
    (tmp_path / "notes.txt").write_text("no image")
    person.open()

    person.drop(tmp_path / "twice.png", tmp_path / "notes.txt")

    person.toast("One file was left out. notes.txt is no image that is known")
    person.toast("twice (2) has the same voxels as twice, which was there already.")
    opened(person, "twice (2)")
    expect(row(person.page, "twice (2)")).to_be_in_viewport()
