"""The voxels as NIfTI, read back by nibabel, which knows nothing of us."""

import re
import zlib

import nibabel
import numpy as np
import pytest

from segmend.core.image import Image, scale_affine
from segmend.errors import LimitError, NotFoundError
from segmend.server.cases.volumes import PIECE_BYTES, Volume


def read(image, channel=None):
    volume = Volume(image, channel)
    content = b"".join(bytes(piece) for piece in volume.pieces())
    assert len(content) == volume.size_bytes
    return nibabel.Nifti1Image.from_bytes(content)


def oblique():
    affine = scale_affine((3.0, 0.5, 0.8))
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = [10, -20, 30.5]
    return affine


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", ">i2", ">f4"])
def test_voxels_keep_their_type_and_place(kind):
    voxels = np.arange(2 * 3 * 4).reshape(1, 2, 3, 4).astype(kind)

    file = read(Image(voxels, oblique()))

    assert file.get_data_dtype() == np.dtype(kind).newbyteorder("<")
    np.testing.assert_array_equal(np.asanyarray(file.dataobj), voxels[0].transpose())
    assert file.header["sform_code"] == 1 and file.header["qform_code"] == 1
    np.testing.assert_allclose(file.header.get_qform(), file.header.get_sform(), atol=1e-5)
    assert file.header.get_xyzt_units()[0] == "mm"


def test_half_floats_become_floats():
    voxels = np.array([[[[0.5, 1.5]]]], np.float16)

    assert read(Image(voxels)).get_fdata().ravel().tolist() == [0.5, 1.5]


def test_every_voxel_lies_on_the_same_millimetres():
    image = Image(np.zeros((1, 2, 3, 4), np.int16), oblique())

    file = read(image)

    for z, y, x in [(0, 0, 0), (1, 0, 0), (0, 2, 0), (0, 0, 3), (1, 2, 3)]:
        np.testing.assert_allclose(file.affine @ (x, y, z, 1), [*image.to_mm((z, y, x)), 1], atol=1e-5)
    np.testing.assert_allclose(file.header.get_zooms(), [0.8, 0.5, 3.0], rtol=1e-6)


def test_colours_are_rgb24():
    voxels = np.arange(3 * 2 * 3 * 4, dtype=np.uint8).reshape(3, 2, 3, 4)

    data = np.asanyarray(read(Image(voxels)).dataobj)

    assert data.dtype.names == ("R", "G", "B")
    for channel, name in enumerate("RGB"):
        np.testing.assert_array_equal(data[name], voxels[channel].transpose())


@pytest.mark.parametrize(
    ("kind", "values", "bytes_"),
    [("u2", [0, 32896, 65535], [0, 128, 255]), ("f4", [-1, 0, 1], [0, 128, 255]), ("f4", [7, 7, 7], [0, 0, 0])],
)
def test_deeper_colours_are_brought_to_bytes(kind, values, bytes_):
    voxels = np.array(values, kind).reshape(3, 1, 1, 1)

    assert [int(v) for v in np.asanyarray(read(Image(voxels)).dataobj).ravel()[0]] == bytes_


def test_one_channel_can_be_chosen():
    voxels = np.arange(2 * 1 * 2 * 2, dtype=np.int16).reshape(2, 1, 2, 2)

    assert read(Image(voxels), 1).get_fdata().ravel(order="F").tolist() == [4, 5, 6, 7]
    with pytest.raises(NotFoundError, match=re.escape("channels 0 to 1; there is no 2")):
        Volume(Image(voxels), 2)


def test_what_nifti_cannot_hold_is_refused():
    with pytest.raises(LimitError, match="at most 32767 voxels along an axis"):
        Volume(Image(np.zeros((1, 1, 1, 32768), np.uint8)))


def test_voxels_in_memory_order_are_sent_without_a_copy():
    image = Image(np.zeros((1, 8, 64, 64), np.int16))

    _, *slabs = Volume(image).pieces()

    assert len(slabs) == 1 and np.shares_memory(np.frombuffer(slabs[0], np.int16), image.voxels)


def test_large_volumes_come_in_pieces():
    image = Image(np.zeros((1, 5, 1024, 1024), np.int16))

    sizes = [len(piece) for piece in Volume(image).pieces()]

    assert sizes == [352, *[PIECE_BYTES] * 2, PIECE_BYTES // 2]


def test_the_route_sends_it_once(client, case):
    first = client.get(f"/api/cases/{case}/volume.nii")

    assert first.status_code == 200 and int(first.headers["content-length"]) == len(first.content)
    assert nibabel.Nifti1Image.from_bytes(first.content).shape == (8, 6, 3)
    assert client.get(f"/api/cases/{case}/volume.nii?channel=1").status_code == 404
    assert client.get(f"/api/cases/{case}/volume.nii?channel=-1").status_code == 422


def unpacked(content, kind):
    """The numbers in packed slices."""
    size = np.dtype(kind).itemsize
    planes = np.frombuffer(zlib.decompress(content), np.uint8).reshape(size, -1)
    return np.ascontiguousarray(planes.T).view(kind).ravel()


@pytest.mark.parametrize("kind", ["u1", "<i2", "<f4", "<f8", "<i8"])
def test_slices_are_those_of_the_file_packed_or_not(kind):
    voxels = np.random.default_rng(2).integers(0, 100, (2, 5, 3, 4)).astype(kind)
    volume = Volume(Image(voxels), 1)

    assert np.frombuffer(volume.slices(1, 4), kind).tolist() == voxels[1, 1:4].ravel().tolist()
    assert unpacked(volume.packed(1, 4), kind).tolist() == voxels[1, 1:4].ravel().tolist()
    with pytest.raises(NotFoundError, match="This image has slices 0 to 4; there are no 3 to 5"):
        volume.slices(3, 6)


def test_slices_of_colours_are_red_green_blue():
    voxels = np.random.default_rng(2).integers(0, 255, (3, 4, 2, 3), dtype=np.uint8)

    content = np.frombuffer(zlib.decompress(Volume(Image(voxels)).packed(2, 3)), np.uint8)

    assert content.tolist() == np.moveaxis(voxels[:, 2], 0, -1).ravel().tolist()


def test_three_series_of_a_volume_are_no_colours():
    image = Image(np.zeros((3, 4, 5, 6), np.int16))

    assert nibabel.Nifti1Image.from_bytes(b"".join(map(bytes, Volume(image).pieces()))).get_data_dtype() == np.int16


def test_any_range_of_the_file_is_the_file_there():
    image = Image(np.random.default_rng(1).integers(-9, 9, (1, 6, 1024, 600), dtype=np.int16))
    volume = Volume(image)
    whole = b"".join(map(bytes, volume.pieces()))

    for start, stop in [
        (0, 10),
        (0, 352),
        (300, 400),
        (353, 357),
        (PIECE_BYTES, 2 * PIECE_BYTES),
        (len(whole) - 3, None),
    ]:
        assert b"".join(map(bytes, volume.pieces(start, stop))) == whole[start:stop]


def test_ranges_are_answered_as_http_has_them(client, case):
    asked = f"/api/cases/{case}/volume.nii"
    whole = client.get(asked).content

    part = client.get(asked, headers={"Range": "bytes=340-359"})
    beyond = client.get(asked, headers={"Range": "bytes=999999-"})

    assert (part.status_code, part.content) == (206, whole[340:360])
    assert part.headers["content-range"] == f"bytes 340-359/{len(whole)}"
    assert client.get(asked, headers={"Range": "bytes=-5"}).content == whole[-5:]
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole)}")


def test_the_route_sends_slices(client, case):
    whole = client.get(f"/api/cases/{case}/volume.nii").content[352:]
    asked = f"/api/cases/{case}/slices"

    some = client.get(asked, params={"low": 1, "high": 3}).content

    assert some == whole[len(whole) // 3 :]
    assert zlib.decompress(client.get(asked, params={"low": 1, "high": 3, "packed": True}).content) != b""
    assert client.get(asked, params={"low": 2, "high": 4}).status_code == 404
    assert client.get(asked, params={"low": 0, "high": 3, "channel": 7}).status_code == 404


def test_more_than_a_viewer_asks_for_at_once_is_refused(client, store):
    case = store.add_case("large", Image(np.zeros((1, 9, 2048, 2048), np.int16))).id

    refused = client.get(f"/api/cases/{case}/slices", params={"low": 0, "high": 9})

    assert (refused.status_code, refused.json()["detail"]) == (413, "At most 64 MB of slices are sent at once.")


def test_a_deleted_case_is_not_sent_from_memory(client, case):
    assert client.get(f"/api/cases/{case}/volume.nii").status_code == 200
    client.delete(f"/api/cases/{case}")

    assert client.get(f"/api/cases/{case}/volume.nii").status_code == 404
