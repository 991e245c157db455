"""What Segmend's extension of OHIF asks: which case a displayed series is, also one that an archive has."""

import time

import numpy as np
import pytest

from segmend import methods
from segmend.core.session import PALETTE, Label
from segmend.io import images
from segmend.io.dicomweb import Archive
from segmend.server.app import PAGES
from tests.io import dicoms
from tests.io.archive import serving
from tests.server.running import http, in_thread, settings

PAGE = "https://viewer.example.org"
VOXELS = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
SLANTED = {"row": (0.8, 0.6, 0), "column": (-0.6, 0.8, 0), "step": (0, 0.5, -2.5)}


@pytest.fixture(scope="module")
def pacs():
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory, pacs):
    options = {"allowed_origins": (PAGE,), "read_apart": False, "archives": {"Hospital": Archive(pacs[1])}}
    with in_thread(settings(tmp_path_factory.mktemp("data"), **options)) as running:
        yield running


def saved(folder, **options):
    """Return the headers of a series in a folder, in the order in which it was drawn."""
    drawn = dicoms.slices(VOXELS, **options)
    dicoms.save_all(drawn, folder)
    return drawn


def asked(head):
    return {"study": head.StudyInstanceUID, "series": head.SeriesInstanceUID, "instance": head.SOPInstanceUID}


def test_a_series_is_opened_with_the_files_of_its_slices(server, tmp_path):
    drawn = saved(tmp_path / "scan", **SLANTED)
    ((_, read),) = images(tmp_path / "scan")
    image, store = read(), server.config.app.state.shared.store
    store.add_project("abdomen")
    store.set_template("abdomen", [Label(1, "liver", PALETTE[0])])
    case = store.add_case("scan", image, project="abdomen", modality="CT", source=tmp_path / "scan")
    with http(server) as client:
        opened = client.post("/ohif/open", json=asked(drawn[2])).json()
        again = client.post("/ohif/open", json=asked(drawn[0])).json()
    assert opened == again and opened["case"] == case.id and opened["shape"] == [4, 5, 6]
    np.testing.assert_allclose(opened["affine"], image.affine)
    by_uid = {one.SOPInstanceUID: one.pixel_array for one in drawn}
    for z, (uid, frame) in enumerate(opened["slices"]):
        assert frame == 1
        np.testing.assert_array_equal(by_uid[uid], image.voxels[0, z])
    assert [label.name for label in store.session(opened["session"]).labels.values()] == ["liver"]
    assert opened["archives"] == ["Hospital"] and "click" in opened["prompts"]
    assert opened["calibrated"] is (3 in methods.card(opened["method"]).calibrated)


def test_of_a_series_that_is_two_images_the_one_that_is_shown_is_opened(server, tmp_path):
    first = saved(tmp_path / "both", series="1.2.3.4", study="1.2.3")
    second = dicoms.slices(VOXELS[:3, :4], series="1.2.3.4", study="1.2.3", **SLANTED)
    for number, data in enumerate(second):
        dicoms.save(data, tmp_path / "both" / f"second{number}.dcm")
    store = server.config.app.state.shared.store
    cases = {}
    for info, read in images(tmp_path / "both"):
        image = read()
        cases[image.shape] = store.add_case(info.uid, image, modality="CT", source=tmp_path / "both").id
    with http(server) as client:
        for head, shape in ((first[1], (4, 5, 6)), (second[1], (3, 4, 6))):
            assert client.post("/ohif/open", json=asked(head)).json()["case"] == cases[shape]


def test_a_series_that_an_archive_has_is_fetched_first(server, pacs, tmp_path):
    drawn = saved(tmp_path / "scan")
    study, series = drawn[0].StudyInstanceUID, drawn[0].SeriesInstanceUID
    listed = [{"0020000E": {"vr": "UI", "Value": [series]}, "00080060": {"vr": "CS", "Value": ["CT"]}}]
    pacs[0].says(f"/studies/{study}/series", listed)
    pacs[0].has(
        f"/studies/{study}/series/{series}", [path.read_bytes() for path in sorted((tmp_path / "scan").iterdir())]
    )
    with http(server) as client:
        reply = client.post("/ohif/open", json=asked(drawn[0]))
        assert reply.status_code == 202
        number = reply.json()["id"]
        end = time.monotonic() + 60
        while (now := client.get(f"/api/imports/{number}").json())["stage"] != "done" and time.monotonic() < end:
            assert client.post("/ohif/open", json=asked(drawn[0])).status_code in (200, 202)
            time.sleep(0.02)
        opened = client.post("/ohif/open", json=asked(drawn[0])).json()
        assert [opened["case"]] == now["cases"]
        assert len([one for one in client.get("/api/imports").json() if one["series"] == series]) == 1


def test_what_nobody_has_is_said(server):
    with http(server) as client:
        reply = client.post("/ohif/open", json={"study": "1.9", "series": "1.9.1", "instance": "1.9.1.1"})
        assert reply.status_code == 404 and "none of its archives has it. Hospital:" in reply.json()["detail"]
        for odd in ("", "x", "1" * 65, "../etc", None, 3):
            body = {"study": odd, "series": "1", "instance": "1"}
            assert client.post("/ohif/open", json=body).status_code == 422, odd
        assert client.post("/ohif/open", content=b"[" * 100_000).status_code in (413, 422)


def test_named_pages_may_import_it_without_a_token_and_no_others(tmp_path):
    options = {"allowed_origins": (PAGE,), "token": "a-token-of-this-test", "own_account": False}
    with in_thread(settings(tmp_path, **options)) as running, http(running.address.partition("?")[0]) as client:
        found = client.get("/ohif/segmend.js", headers={"Origin": PAGE})
        assert found.status_code == (200 if (PAGES / "ohif/segmend.js").is_file() else 404)
        assert found.headers["access-control-allow-origin"] == PAGE
        if found.status_code == 200:
            assert found.headers["content-type"].startswith("text/javascript") and "a-token" not in found.text
        assert client.get("/ohif/segmend.js", headers={"Origin": "https://evil.example"}).status_code == 403
        body = {"study": "1.9", "series": "1.9.1", "instance": "1.9.1.1"}
        assert client.post("/ohif/open", json=body, headers={"Origin": PAGE}).status_code == 401
        asks = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
        assert client.options("/ohif/open", headers=asks).status_code == 204
        named = {"Origin": PAGE, "Authorization": "Bearer a-token-of-this-test"}
        assert client.post("/ohif/open", json=body, headers=named).status_code == 404


def test_the_extension_is_one_file_that_imports_nothing():
    file = PAGES / "ohif/segmend.js"
    if not file.is_file():
        pytest.skip("the annotator is not built")
    text = file.read_text(encoding="utf-8")
    assert "import(" not in text and 'from"' not in text and "as default" in text
