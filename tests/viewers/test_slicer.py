"""3D Slicer's core beside clients: a click on a slanted scan comes back as a segment at its place."""

from pathlib import Path

import numpy as np
import pytest

from segmend.core.image import Image
from segmend.io import write_image
from tests.server.running import in_thread, settings
from tests.viewers.clients import VIEWERS, Client, Monai, NnInteractive, need, python_of

SHAPE = (14, 30, 26)
TURN = np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])


def scan():
    """Return a slanted scan with one flipped axis and two bright blobs, and the blobs."""
    z, y, x = np.indices(SHAPE)
    far = [((z - a) / 3) ** 2 + ((y - b) / 6) ** 2 + ((x - c) / 5) ** 2 for a, b, c in [(5, 10, 8), (9, 22, 18)]]
    blobs = [distance < 1 for distance in far]
    voxels = (40 + 100 * (blobs[0] | blobs[1]) + np.random.default_rng(0).normal(0, 8, SHAPE)).astype(np.int16)
    affine = np.eye(4)
    affine[:3, :3] = TURN[:, ::-1] * [2.5, 0.7, -0.9]
    affine[:3, 3] = [12, -30, 55]
    return Image(voxels[None], affine, axes="zyx"), blobs


@pytest.fixture(scope="module")
def slicer():
    home = need(VIEWERS / "slicer", "slicer-core", large=True)
    with Client([python_of(home), str(Path(__file__).with_name("slicer_client.py"))]) as client:
        yield client


def test_clicks_at_places_in_slicer_become_segments_there(slicer, tmp_path):
    image, blobs = scan()
    np.save(tmp_path / "scan.npy", image.voxels[0])
    slicer.do("volume", npy=str(tmp_path / "scan.npy"), matrix=image.affine[:, [2, 1, 0, 3]].tolist())
    write_image(tmp_path / "scan.nii.gz", image)
    with in_thread(settings(tmp_path / "data", method="geos", read_apart=False)) as server, Monai() as monai:
        monai.do("open", server_url=server.address.split("?")[0], tmpdir=str(tmp_path))
        session = monai.do("create_session", image_in=str(tmp_path / "scan.nii.gz"))["session_id"]
        for number, (blob, inside) in enumerate(zip(blobs, [(5, 10, 8), (9, 22, 18)], strict=True)):
            place = image.to_mm(np.add(inside, 0.3))
            clicked = slicer.do("index", point=place.tolist())
            assert clicked == list(inside[::-1])
            params = {"label": f"blob {number}", "foreground": [clicked], "background": [],
                      "result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False}  # fmt: skip
            path, _ = monai.do("infer", model="segmend", image_id="", session_id=session, params=params)

            ids = slicer.do("segments", path=path, out=str(tmp_path / "masks.npy"))
            (mask,) = np.load(tmp_path / "masks.npy")
            assert len(ids) == 1 and mask.shape == SHAPE and mask[inside] == 1
            with server.config.app.state.shared.sessions.open(
                server.config.app.state.shared.visits.lease(session, "").session
            ) as opened:
                np.testing.assert_array_equal(mask == 1, opened.map() == number + 1)
            assert (mask[blob] == 1).mean() > 0.6


def test_nninteractives_client_marks_in_slicer_where_was_clicked(slicer, tmp_path):
    image, blobs = scan()
    np.save(tmp_path / "scan.npy", image.voxels[0])
    slicer.do("volume", npy=str(tmp_path / "scan.npy"), matrix=image.affine[:, [2, 1, 0, 3]].tolist())
    with (
        in_thread(settings(tmp_path / "data", method="geos", read_apart=False)) as server,
        NnInteractive("2.6.0", tmp_path) as client,
    ):
        client.do("open", server_url=server.address.split("?")[0].rstrip("/"))
        spacing = image.spacing.tolist()  # (k, j, i), as the extension sends it
        client.do("set_image", image=image.voxels.astype(np.int16), image_properties={"spacing": spacing})
        client.do("buffer", shape=SHAPE, dtype="uint8")
        for blob, inside in zip(blobs, [(5, 10, 8), (9, 22, 18)], strict=True):
            clicked = slicer.do("index", point=image.to_mm(np.add(inside, 0.3)).tolist())[::-1]
            client.do("add_point_interaction", coordinates=clicked, include_interaction=True)
            mask = client.mask
            np.save(tmp_path / "mask.npy", mask)
            low, high = slicer.do("fill", npy=str(tmp_path / "mask.npy"), out=str(tmp_path / "filled.npy"))

            np.testing.assert_array_equal(np.load(tmp_path / "filled.npy"), mask)
            assert clicked == list(inside) and mask[inside] == 1 and mask[blob].mean() > 0.6
            places = np.array([image.to_mm(voxel) for voxel in np.argwhere(mask)])
            assert (low <= places.min(0) + 1e-3).all() and (places.max(0) - 1e-3 <= high).all()
            client.do("reset_interactions")
        client.do("close")
