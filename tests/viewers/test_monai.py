"""MONAI Label's own client at a real server: every method of it."""

from pathlib import Path

import numpy as np
import pytest

from segmend.core.image import Image
from segmend.core.session import Canvas
from segmend.io import read, read_mask, write_image, write_mask
from tests.server.running import in_thread, rooms, settings
from tests.viewers.clients import Monai

OBLIQUE = np.array([[0.3, 0.0, 0.6, -9], [0.1, 0.6, 0.0, 4], [2.9, 0.0, -0.1, 7], [0, 0, 0, 1]])
IMAGE = Image(rooms().voxels, OBLIQUE, axes="zyx")
A = IMAGE.voxels[0] == 10
TOKEN = "ada-has-a-long-token"
CLICKED = {"label": "spleen", "foreground": [[2, 2, 1]], "background": [], "result_extension": ".nrrd"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    options = {"method": "geos", "token": "correct-horse-battery", "read_apart": False}
    with in_thread(settings(tmp_path_factory.mktemp("monai"), **options)) as running:
        running.config.app.state.shared.store.accounts.add("ada", token=TOKEN)
        yield running


@pytest.fixture(scope="module")
def client(server, tmp_path_factory):
    """A client of Ada, who has logged in."""
    with Monai() as client:
        client.do("open", server_url=server.address.split("?")[0], tmpdir=str(tmp_path_factory.mktemp("client")))
        assert client.do("auth_enabled") is True
        assert client.ask("info")["error"] == "MONAILabelClientException"
        assert "The token is wrong." in client.ask("auth_token", username="ada", password="wrong-password")["words"]
        client.do("update_auth", token=client.do("auth_token", username="ada", password=TOKEN))
        assert client.do("auth_valid_token") is True
        yield client


@pytest.fixture
def store(server):
    return server.config.app.state.shared.store


def shown(store, case, label=1):
    """Return the mask that the annotator shows of a case."""
    log = store.session(store.sessions(case)[-1].id)
    canvas = Canvas(log.shape)
    canvas.follow(log)
    return canvas.mask(label)


def result(answer):
    path, params = answer
    return read(path), params


def test_inference_by_an_image_of_the_worklist(client, store):
    case = store.add_case("rooms", IMAGE).id
    assert client.do("info")["models"]["segmend"]["type"] == "deepgrow"
    assert client.do("next_sample", strategy="next", params={})["id"] == case

    found, params = result(client.do("infer", model="segmend", image_id=case, params=CLICKED))
    np.testing.assert_array_equal(found.voxels[0] == 1, shown(store, case))
    np.testing.assert_allclose(found.affine, OBLIQUE, atol=1e-6)
    assert params["label_names"] == {"spleen": 1} and found.voxels[0, 1, 2, 2] == 1
    more = {**CLICKED, "foreground": [[2, 2, 1], [2, 3, 2]], "background": [[6, 2, 1]]}
    found, _ = result(client.do("infer", model="segmend", image_id=case, params=more))
    np.testing.assert_array_equal(found.voxels[0] == 1, shown(store, case))


@pytest.mark.parametrize("name", ["Knie links", "a/b", "Zäh"])
def test_inference_by_an_image_that_is_uploaded(client, tmp_path, name):
    write_image(tmp_path / "scan.nii.gz", IMAGE)
    uploaded = client.do("upload_image", image_in=str(tmp_path / "scan.nii.gz"), image_id=name)
    assert uploaded == {"image": name}
    found, _ = result(client.do("infer", model="segmend", image_id=name, params=CLICKED))

    assert found.voxels[0, 1, 2, 2] == 1
    np.testing.assert_allclose(found.affine, OBLIQUE, atol=1e-5)


def test_inference_by_a_session_and_by_a_file(client, tmp_path):
    write_image(tmp_path / "scan.nii.gz", IMAGE)
    path = str(tmp_path / "scan.nii.gz")
    session = client.do("create_session", image_in=path)["session_id"]  # with the boundary of an earlier form
    one, _ = result(client.do("infer", model="segmend", image_id="", session_id=session, params=CLICKED))
    other, _ = result(client.do("infer", model="segmend", image_id="", file=path, params=CLICKED))

    np.testing.assert_array_equal(one.voxels, other.voxels)
    assert one.voxels[0, 1, 2, 2] == 1
    assert client.do("get_session", session_id=session)["name"] == session
    client.do("remove_session", session_id=session)
    assert "This connection has ended" in client.ask("get_session", session_id=session)["words"]


def test_inference_by_scribbles(client, store, tmp_path):
    case = store.add_case("scribbled", IMAGE).id
    drawn = np.zeros(A.shape, np.uint16)
    drawn[1, 2, 1:4], drawn[0, 0] = 3, 2
    write_mask(tmp_path / "drawn.nrrd", drawn, IMAGE, [])
    scribbled = {"label": "spleen", "result_extension": ".nii.gz"}
    found, _ = result(client.do("infer", model="segmend-scribbles", image_id=case, params=scribbled,
                                label_in=str(tmp_path / "drawn.nrrd")))  # fmt: skip

    np.testing.assert_array_equal(found.voxels[0] == 1, shown(store, case))
    assert found.voxels[0][drawn == 3].all() and not found.voxels[0][drawn == 2].any()


def test_masks_are_saved_and_come_back(client, store, tmp_path):
    case = store.add_case("saved", IMAGE).id
    write_mask(tmp_path / "mask.nii.gz", A.astype(np.uint16), IMAGE, [])
    info = {"label_info": [{"name": "spleen", "idx": 1}]}
    saved = client.do("save_label", image_id=case, label_in=str(tmp_path / "mask.nii.gz"), params=info)
    assert saved == {"image": case, "label": case} and store.case(case).status == "done"
    np.testing.assert_array_equal(shown(store, case), A)

    assert "final" in client.do("datastore")["objects"][case]["labels"]
    path = client.do("download_label", label_id=case, tag="final")
    assert Path(path).suffixes == [".seg", ".nrrd"]
    np.testing.assert_array_equal(read_mask(path, IMAGE), A)


def test_nothing_trains_here(client):
    assert client.do("train_status", check_if_running=True) is False
    assert "segmend adapt" in client.ask("train_start", model="segmend", params={})["words"]
    assert client.ask("infer", model="nonsense", image_id="x", params={})["error"] == "MONAILabelClientException"
