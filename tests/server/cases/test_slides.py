"""Whole-slide images over HTTP: taken in, looked at by tiles, marked in fields of view, and their mask as files."""

import io
import json

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from pydicom.uid import JPEG2000Lossless

from segmend.errors import StoreError
from segmend.server.cases.slide_files import Slides
from segmend.store import Store
from segmend.store.slides import add_slide
from tests.server.running import Client, clicked, defined, http, in_thread, settings
from tests.slides import write_dicom_slide, write_slide

HEIGHT, WIDTH = 2100, 2601
RED = [230, 75, 60]


def drawn():
    """A white picture with a block of one colour across (800..1000, 1200..1700) and one at (1600..1632, 96..160)."""
    pixels = np.full((HEIGHT, WIDTH, 3), 240, np.uint8)
    pixels[800:1000, 1200:1700] = 160, 60, 120
    pixels[1600:1632, 96:160] = 90, 60, 120
    return pixels


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_slide(
        tmp_path_factory.mktemp("slide") / "Biopsy 7.svs", drawn(), levels=3, compression="zlib", inner=False
    )


@pytest.fixture
def slide(client, file):
    """The id of a new slide."""
    with file.open("rb") as content:
        [added] = client.post("/api/cases", files={"files": (file.name, content)}).json()
    yield added["id"]
    client.delete(f"/api/cases/{added['id']}")


def field(client, slide, level, low, high):
    reply = client.post(f"/api/cases/{slide}/fields", json={"level": level, "low": low, "high": high})
    assert reply.status_code == 201, reply.text
    return reply.json()


def mark(client, session, index, **options):
    reply = client.post(f"/api/sessions/{session}/events", json=clicked(index, **options))
    assert reply.status_code == 200, reply.text
    return reply.json()


def define(client, session):
    assert client.post(f"/api/sessions/{session}/events", json=defined(1, "tumour")).status_code == 200


def told(client, slide):
    return client.get(f"/api/cases/{slide}/slide").json()


def outlines_of(client, slide):
    found = client.get(f"/api/cases/{slide}/slide/export?format=.geojson").json()
    return {tuple(map(tuple, one["geometry"]["coordinates"][0])): one["properties"] for one in found["features"]}


def test_a_slide_is_a_case_that_is_looked_at_by_tiles(client, slide):
    case = client.get(f"/api/cases/{slide}").json()
    assert (case["name"], case["slide"], case["modality"]) == ("Biopsy 7", True, "SM")
    assert case["shape"] == [1, 525, 651]  # all of it, as a picture

    about = told(client, slide)
    assert (about["width"], about["height"], about["levels"], about["um"]) == (WIDTH, HEIGHT, 3, [0.5, 0.5])
    assert (about["labels"], about["fields"]) == ([], [])
    reply = client.get(f"/api/cases/{slide}/slide/tiles/0/1/2")
    assert (reply.headers["content-type"], reply.headers["cache-control"]) == ("image/jpeg", "no-store")
    tile = np.asarray(Pillow.open(io.BytesIO(reply.content)))
    assert tile.shape == (512, 512, 3)
    assert np.abs(tile.astype(int) - drawn()[512:1024, 1024:1536]).mean() < 2
    last = Pillow.open(io.BytesIO(client.get(f"/api/cases/{slide}/slide/tiles/1/2/2").content))
    assert last.size == (1301 - 1024, 1050 - 1024)
    assert client.get(f"/api/cases/{slide}/slide/mask/0/1/2").status_code == 204
    assert client.get(f"/api/cases/{slide}/thumbnail").content.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("slide/tiles/3/0/0", 404, "has levels 0 to 2; there is no 3"),
        ("slide/tiles/1/3/0", 404, "Level 1 of this slide has 3 x 3 tiles; there is no (3, 0)"),
        ("slide/mask/2/0/2", 404, "there is no (0, 2)"),
        ("slide/tiles/0/-1/0", 422, "row"),
        ("slide/tiles/x/0/0", 422, "level"),
        ("slide/export?format=.png", 422, "format"),
        ("fields/nothing", 404, "no session"),
    ],
)
def test_what_is_not_there_is_refused_in_a_sentence(client, slide, path, status, words):
    reply = client.get(f"/api/cases/{slide}/{path}")

    assert reply.status_code == status
    assert words in reply.json()["detail"]


def test_only_slides_have_tiles_and_fields_of_view(client, case, session):
    for path in ("slide", "slide/tiles/0/0/0", "slide/mask/0/0/0", "slide/export"):
        reply = client.get(f"/api/cases/{case}/{path}")
        assert reply.status_code == 404
        assert reply.json()["detail"] == "The case 'rooms' is a picture or a scan, not a slide."
    assert client.post(f"/api/cases/{case}/fields", json={"level": 0, "low": [0, 0], "high": [9, 9]}).status_code == 404
    assert "no field of view" in client.get(f"/api/cases/{case}/fields/{session}").json()["detail"]
    assert client.get("/api/cases/none/slide").status_code == 404


@pytest.mark.parametrize(
    ("level", "low", "high", "status", "words"),
    [
        (3, [0, 0], [50, 50], 422, "levels 0 to 2; got 3"),
        (0, [0, 0], [1500, 50], 413, "at most 1408 pixels a side; got 1500 x 50"),
        (0, [100, 100], [105, 300], 422, "at least 16 pixels"),
        (1, [1050, 0], [1150, 90], 422, "level 1 has 1050 x 1301"),
        (0, [-1, 0], [100, 90], 422, "low"),
    ],
)
def test_a_field_of_view_needs_a_part_of_the_slide(client, slide, level, low, high, status, words):
    reply = client.post(f"/api/cases/{slide}/fields", json={"level": level, "low": low, "high": high})

    assert reply.status_code == status
    assert words in reply.json()["detail"]


def test_a_field_of_view_is_marked_like_a_picture_and_its_mask_is_part_of_the_slides(client, slide):
    one = field(client, slide, 0, [700, 1100], [1100, 1800])
    assert (one["low"], one["high"], one["begun"], one["um"]) == ([636, 1036], [1164, 1864], 0, [0.5, 0.5])
    session = one["session"]
    pixels = client.get(f"/api/cases/{slide}/fields/{session}/slices?low=0&high=1").content
    np.testing.assert_array_equal(np.frombuffer(pixels, np.uint8).reshape(528, 828, 3), drawn()[636:1164, 1036:1864])
    assert client.get(f"/api/cases/{slide}/fields/{session}/volume.nii").status_code == 200

    define(client, session)
    mark(client, session, (0, 200, 300))

    about = told(client, slide)
    [label] = about["labels"]
    assert (label["name"], label["pixels"]) == ("tumour", 200 * 500)
    assert label["area_mm2"] == pytest.approx(200 * 500 * 0.25e-6)
    assert [found["marks"] for found in about["fields"]] == [1]
    shown = Pillow.open(io.BytesIO(client.get(f"/api/cases/{slide}/slide/mask/1/0/1").content)).convert("RGBA")
    shown = np.asarray(shown)
    assert shown.shape == (512, 512, 4)
    assert (shown[400:500, 88:338] == [*RED, 255]).all()
    assert (shown[..., 3] > 0).sum() == 100 * 250
    measured = client.get(f"/api/sessions/{session}/measures").json()["labels"][0]
    assert measured["area_mm2"] == pytest.approx(label["area_mm2"])

    assert field(client, slide, 0, [720, 1120], [1090, 1790])["session"] == session  # it is still there
    client.post(f"/api/sessions/{session}/undo")
    assert client.get(f"/api/cases/{slide}/slide/mask/1/0/1").status_code == 204
    client.post(f"/api/sessions/{session}/redo")
    assert told(client, slide)["labels"][0]["pixels"] == 100_000


def test_a_field_begins_with_the_mask_that_is_there_and_goes_on_from_it(client, slide):
    first = field(client, slide, 0, [700, 1100], [1100, 1500])["session"]  # the block goes on to the right of it
    define(client, first)
    mark(client, first, (0, 200, 300))
    there = told(client, slide)["labels"][0]["pixels"]
    assert there == 200 * (1564 - 1200)

    coarse = field(client, slide, 2, [0, 0], [525, 651])
    session = client.get(f"/api/sessions/{coarse['session']}").json()
    assert [event["event"] for event in session["events"]] == ["defined", "prompted"]
    assert coarse["begun"] == 2
    assert told(client, slide)["labels"][0]["pixels"] == there
    refused = client.post(f"/api/sessions/{coarse['session']}/undo")
    assert (refused.status_code, refused.json()["detail"]) == (422, "There is nothing to undo.")

    mark(client, coarse["session"], (0, 402, 30))  # the other block, at a quarter
    assert told(client, slide)["labels"][0]["pixels"] == there + 32 * 64
    found = outlines_of(client, slide)
    assert ((1200, 800), (1564, 800), (1564, 1000), (1200, 1000), (1200, 800)) in found
    assert ((96, 1600), (160, 1600), (160, 1632), (96, 1632), (96, 1600)) in found
    client.post(f"/api/sessions/{coarse['session']}/undo")
    assert told(client, slide)["labels"][0]["pixels"] == there


def test_labels_that_overlap_do_so_on_the_slide(client, slide):
    first = field(client, slide, 0, [700, 1100], [1100, 1800])["session"]
    define(client, first)
    mark(client, first, (0, 200, 300))
    over = {"value": 2, "name": "invasion", "colour": [60, 160, 230], "locked": False, "layer": 1}
    assert client.post(f"/api/sessions/{first}/events", json={"event": "defined", "label": over}).status_code == 200
    mark(client, first, (0, 200, 300), label=2)

    session = client.get(f"/api/sessions/{field(client, slide, 1, [300, 500], [600, 900])['session']}").json()

    assert [label["pixels"] for label in told(client, slide)["labels"]] == [100_000, 100_000]
    assert [event["label"] for event in session["events"] if event["event"] == "prompted"] == [1, 2]
    assert [label["layer"] for label in session["labels"]] == [0, 1]
    found = client.get(f"/api/cases/{slide}/slide/export?format=.geojson").json()["features"]
    assert sorted(one["properties"]["name"] for one in found) == ["invasion", "tumour"]


def test_the_mask_leaves_as_outlines_and_as_a_label_map_with_levels(client, slide, tmp_path):
    for level, low, high, at in (
        (0, [700, 1100], [1100, 1800], (200, 300)),
        (2, [350, 0], [500, 200], (402 - 286, 30)),
    ):
        session = field(client, slide, level, low, high)["session"]
        define(client, session)
        mark(client, session, (0, *at))

    reply = client.get(f"/api/cases/{slide}/slide/export?format=.geojson")
    assert "Biopsy-7-mask.geojson" in reply.headers["content-disposition"]
    found = outlines_of(client, slide)
    assert len(found) == 2
    for about in found.values():
        assert (about["objectType"], about["classification"]) == ("annotation", {"name": "tumour", "color": RED})

    path = tmp_path / "map.tif"
    path.write_bytes(client.get(f"/api/cases/{slide}/slide/export?format=.tif").content)
    wanted = np.zeros((HEIGHT, WIDTH), np.uint8)
    wanted[800:1000, 1200:1700] = 1
    wanted[1600:1632, 96:160] = 1
    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        assert [level.shape for level in series.levels] == [(2100, 2601), (1050, 1301), (525, 651)]
        np.testing.assert_array_equal(series.asarray(), wanted)
        np.testing.assert_array_equal(series.levels[2].asarray()[:, :650], wanted[2::4, 2:2600:4])
        assert json.loads(tiff.pages[0].description) == {"labels": {"1": "tumour"}}
        assert tiff.pages[0].resolution == (20_000, 20_000)


def test_what_was_marked_survives_a_restart_and_people_at_one_field_see_each_other(tmp_path, file):
    chosen = settings(tmp_path, link_folders=(file.parent,))
    with in_thread(chosen) as server, http(server) as client:
        [added] = client.post("/api/cases/link", json={"path": file.name}).json()
        slide = added["id"]
        session = field(client, slide, 1, [300, 500], [600, 900])["session"]
        with Client(server.address, session) as one, Client(server.address, session) as other:
            one.do(defined(1, "tumour"))
            one.do(clicked((0, 200, 200)))
            other.next("answered", position=1)
            np.testing.assert_array_equal(one.map, other.map)
        before = told(client, slide)
        assert before["labels"][0]["pixels"] == 100_000
    with in_thread(chosen) as server, http(server) as client:
        after = told(client, slide)
        assert after["labels"] == before["labels"]
        assert after["fields"] == before["fields"]
        mark(client, session, (0, 200, 200), positive=False)
        assert client.delete(f"/api/cases/{slide}").status_code == 204
        assert client.get(f"/api/cases/{slide}/slide/tiles/0/0/0").status_code == 404


def test_a_slide_in_a_bucket_is_copied_and_a_damaged_one_is_told(tmp_path, file):
    with Store.open(f"sqlite:///{tmp_path}/a.db", f"memory://{tmp_path.name}") as store:
        case = add_slide(store, file, "a")
        opened = Slides(store, tmp_path)
        assert opened.get(case.id).read(0, 900, 1300, 1, 1).tolist() == [[[160, 60, 120]]]
        opened.close()
        assert not list(tmp_path.glob("export-*"))
    with Store.local(tmp_path / "here") as store:
        case = add_slide(store, file, "a")
        with store.slide_file(case.id).open("r+b") as content:
            content.seek(5000)
            content.write(b"other")
        with pytest.raises(StoreError, match="slide.tif is damaged"):
            Slides(store, tmp_path).get(case.id)


def test_a_picture_that_is_too_large_is_given_levels(client, tmp_path):
    path = tmp_path / "scan.tif"
    pixels = np.full((8192, 8200), 200, np.uint8)
    pixels[100:300, 5000:5500] = 20
    tifffile.imwrite(path, pixels, compression="zlib", rowsperstrip=256)

    with path.open("rb") as content:
        [added] = client.post("/api/cases", files={"files": (path.name, content)}).json()

    assert (added["name"], added["slide"]) == ("scan", True)
    assert "a copy with levels was made of it" in added["notes"][-1]
    about = told(client, added["id"])
    assert (about["levels"], about["um"]) == (5, None)
    assert client.get(f"/api/cases/{added['id']}/slide/tiles/4/0/0").status_code == 200


def test_a_dicom_series_is_one_slide_marked_at_any_level(client, tmp_path):
    """Its label, on which the patient's name may be, is no case and no part of it."""
    paths = write_dicom_slide(tmp_path, drawn(), levels=3, syntax=JPEG2000Lossless)
    files = [("files", (path.name, path.read_bytes())) for path in paths]

    [added] = client.post("/api/cases", files=files).json()

    assert added["name"] == "Biopsy 9" and added["slide"] and added["modality"] == "SM"
    told = client.get(f"/api/cases/{added['id']}/slide").json()
    assert (told["height"], told["width"], told["um"]) == (HEIGHT, WIDTH, [0.5, 0.5])
    tile = client.get(f"/api/cases/{added['id']}/slide/tiles/0/1/2")
    colour = np.asarray(Pillow.open(io.BytesIO(tile.content)))[400, 300]
    np.testing.assert_allclose(colour, (160, 60, 120), atol=6)
    session = field(client, added["id"], 1, [300, 500], [600, 900])["session"]
    define(client, session)
    mark(client, session, (0, 150, 200))
    areas = client.get(f"/api/cases/{added['id']}/slide").json()["labels"]
    assert areas[0]["pixels"] > 0
    client.delete(f"/api/cases/{added['id']}")
