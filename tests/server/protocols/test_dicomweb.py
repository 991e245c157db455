"""The server as a DICOMweb source: lists, what files say, files and frames, and masks as segmentations of the study."""

import json
import time

import httpx
import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_fragments
from pydicom.uid import ExplicitVRBigEndian, RLELossless
from python_multipart.multipart import MultipartParser, parse_options_header

from segmend.core.prompts import Mask
from segmend.core.session import GIVEN, PALETTE, Defined, Label, Prompted
from segmend.io import images, read, read_mask
from segmend.io.dicomweb import Archive
from tests.io import dicoms
from tests.server.running import Client, in_thread, rooms, settings

STORED = {"Accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"}
VOXELS = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5) - 7
SLANTED = {"row": (0.8, 0.6, 0), "column": (-0.6, 0.8, 0), "step": (0, 0.5, 2.5)}


def parts(reply):
    """Return the parts of a reply, each its type and its bytes."""
    assert reply.status_code == 200, reply.text
    kind, options = parse_options_header(reply.headers["content-type"])
    assert kind == b"multipart/related"
    found, value = [], bytearray()

    def begin():
        found.append([b"", b""])
        value.clear()

    def end():
        found[-1][1] = bytes(value)

    def named(data, start, stop):
        found[-1][0] += data[start:stop]

    parser = MultipartParser(
        options[b"boundary"],
        {
            "on_part_begin": begin,
            "on_header_value": named,
            "on_part_data": lambda data, start, stop: value.extend(data[start:stop]),
            "on_part_end": end,
        },
    )
    parser.write(reply.content)
    parser.finalize()
    return [(kind.decode(), content) for kind, content in found]


class Source:
    def __init__(self, server, folder):
        self.server, self.folder = server, folder
        self.store = server.config.app.state.shared.store
        self.http = httpx.Client(base_url=server.address.split("?")[0], timeout=60)
        self.numbers = iter(range(1000))

    def add(self, files, name="scan"):
        """Add the cases of DICOM files; return them, and the first file."""
        folder = self.folder / f"{name}-{next(self.numbers)}"
        folder.mkdir()
        for number, one in enumerate(files):
            dicoms.save(one, folder / f"{name} {number}.dcm")
        cases = [
            self.store.add_case(self.store.free_name(name), image(), modality=info.modality, source=folder)
            for info, image in images(folder)
        ]
        return [case.id for case in cases], files[0]

    def get(self, path, **options):
        return self.http.get(f"/dicom-web/{path.lstrip('/')}", **options)

    def list(self, path, **query):
        reply = self.get(path, params=query)
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-type"] == "application/dicom+json"
        return reply.json()

    def mark(self, case, masks, user=""):
        """Give a case masks in a session of their own; return it."""
        session = self.store.add_session(case, user=user).id
        for value, inside in enumerate(masks, 1):
            position = len(self.store.session(session).events)
            self.store.append(session, position, Defined(Label(value, f"organ {value}", PALETTE[value])))
            self.store.append(session, position + 1, Prompted(Mask(inside, (0, 0, 0)), value, GIVEN))
        with self.server.config.app.state.shared.sessions.open(session) as opened:
            while opened.session.pending:
                time.sleep(0.02)
        return session


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    with in_thread(settings(tmp_path_factory.mktemp("source"))) as server:
        one = Source(server, tmp_path_factory.mktemp("files"))
        yield one
        one.http.close()


def values(found, tag):
    return [one[tag]["Value"][0] for one in found]


def of(file):
    return f"studies/{file.StudyInstanceUID}/series/{file.SeriesInstanceUID}"


def test_cases_are_listed_as_studies_and_series(source):
    _, first = source.add(dicoms.slices(VOXELS, PatientName="Roe^Richard", PatientID="1"))
    source.add(dicoms.slices(VOXELS + 1, study=first.StudyInstanceUID, modality="MR", PatientName="Roe^Richard"))
    source.store.add_case("no DICOM", rooms())

    (study,) = source.list("studies", StudyInstanceUID=first.StudyInstanceUID)
    assert study["00100010"]["Value"] == [{"Alphabetic": "Roe^Richard"}]
    assert study["00080061"]["Value"] == ["CT", "MR"] and values([study], "00201208") == [6]
    found = source.list(f"studies/{first.StudyInstanceUID}/series")
    assert values(found, "00080060") == ["CT", "MR"] and values(found, "00201209") == [3, 3]
    assert {first.SeriesInstanceUID} < set(values(source.list("series"), "0020000E"))
    assert len(source.list(of(first) + "/instances")) == 3


def test_studies_are_filtered_and_come_by_pages(source):
    for number in range(3):
        source.add(dicoms.slices(VOXELS[:1], PatientName=f"Page^{number}", PatientID=f"P{number}",
                                 StudyDate=f"2021010{number + 1}"))  # fmt: skip

    for query, wanted in (
        ({"PatientName": "page*"}, ["P2", "P1", "P0"]),
        ({"00100010": "*1", "00100020": "P?"}, ["P1"]),
        ({"PatientName": "1 pag", "fuzzymatching": "true"}, ["P1"]),
        ({"PatientID": "P*", "StudyDate": "20210102-"}, ["P2", "P1"]),
        ({"PatientID": "P*", "limit": "1", "offset": "1"}, ["P1"]),
        ({"PatientID": "P*", "ModalitiesInStudy": "US"}, []),
        ({"PatientID": "[P]*"}, []),
    ):
        assert values(source.list("studies", **query), "00100020") == wanted, query
    said = source.get("studies", params={"PatientID": "P*", "limit": 1, "Laterality": "L"}).headers["warning"]
    assert "not supported: Laterality" in said and "2 additional results" in said


def test_what_files_say_and_the_files_themselves(source, tmp_path):
    _, first = source.add(dicoms.slices(VOXELS, **SLANTED))

    found = source.list(of(first) + "/metadata")
    assert values(found, "00200013") == [1, 2, 3]
    assert found[0]["00200037"]["Value"] == [0.8, 0.6, 0, -0.6, 0.8, 0] and "7FE00010" not in found[0]
    assert found[0]["00083002"]["Value"] == ["1.2.840.10008.1.2.1"]
    assert source.list(of(first) + f"/instances/{first.SOPInstanceUID}/metadata") == found[:1]
    assert source.list(f"studies/{first.StudyInstanceUID}/metadata") == found
    archive = Archive(source.server.address.split("?")[0] + "dicom-web")
    archive.fetch(first.StudyInstanceUID, first.SeriesInstanceUID, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    np.testing.assert_array_equal(read(tmp_path).voxels[0], VOXELS)
    assert archive.find_series(first.SeriesInstanceUID).instances == 3
    ((kind, content),) = parts(source.get(of(first) + f"/instances/{first.SOPInstanceUID}"))
    assert kind == "application/dicom" and content[128:132] == b"DICM"


@pytest.mark.parametrize("stored", ["plain", "RLE", "big endian", "frames", "packed frames"])
def test_frames_come_as_they_are_stored_or_unpacked(source, stored):
    if "frames" in stored:
        many = dicoms.slices(VOXELS[:1])[0]
        many.NumberOfFrames = 3
        dicoms.set_pixels(many, VOXELS)
        files = [many]
    else:
        files = dicoms.slices(VOXELS)
    for one in files:
        if stored in ("RLE", "packed frames"):
            one.compress(RLELossless, generate_instance_uid=False)
        elif stored == "big endian":
            one.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
            one.PixelData = np.frombuffer(one.PixelData, "<i2").astype(">i2").tobytes()
    if stored == "big endian":  # which pydicom writes when it is told to
        for one in files:
            one.set_original_encoding(False, False, "iso8859")
    _, first = source.add(files, stored)
    at = [(files[0], 1), (files[0], 3)] if len(files) == 1 else [(files[0], 1), (files[2], 1)]

    for (file, number), wanted in zip(at, VOXELS[[0, 2]], strict=True):
        path = of(file) + f"/instances/{file.SOPInstanceUID}/frames/{number}"
        ((kind, content),) = parts(source.get(path))
        assert kind == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
        np.testing.assert_array_equal(np.frombuffer(content, "<i2").reshape(4, 5), wanted)
        ((kind, packed),) = parts(source.get(path, headers=STORED))
        if first.file_meta.TransferSyntaxUID == RLELossless:
            assert kind.endswith(RLELossless)
            assert packed == list(generate_fragments(file.PixelData))[number]  # the first one is a table
        else:
            assert packed == content
    file, number = at[0]
    both = parts(source.get(of(file) + f"/instances/{file.SOPInstanceUID}/frames/1,1"))
    assert len(both) == 2 and both[0] == both[1]


def test_a_series_that_is_two_volumes_is_one_series(source):
    files = dicoms.slices(VOXELS)
    tilted = dicoms.slices(VOXELS[:2], series=files[0].SeriesInstanceUID, study=files[0].StudyInstanceUID, **SLANTED)
    cases, first = source.add([*files, *tilted])

    assert len(cases) == 2
    assert len(source.list(of(first) + "/metadata")) == 5


def test_each_session_with_a_mask_is_a_segmentation(source, tmp_path):
    (case,), first = source.add(dicoms.slices(VOXELS, **SLANTED))
    image = source.store.image(case)
    masks = np.zeros((2, 3, 4, 5), bool)
    masks[0, :2, 1:3, 1:4], masks[1, 2, :, 4] = True, True
    session = source.mark(case, masks, user="ada")
    source.store.add_session(case)  # in which nothing is marked

    study = f"studies/{first.StudyInstanceUID}"
    assert source.list("studies", StudyInstanceUID=first.StudyInstanceUID)[0]["00080061"]["Value"] == ["CT", "SEG"]
    images_, made = source.list(study + "/series")
    assert values([made], "00080060") == ["SEG"] and values([made], "0008103E") == ["Segmentation by ada"]
    assert values([made], "00100020") == values([images_], "00100020") == ["ID-4711"]
    path = f"{study}/series/{made['0020000E']['Value'][0]}"
    (about,) = source.list(path + "/metadata")
    uid = about["00080018"]["Value"][0]
    assert source.list(path + "/instances")[0]["00080018"]["Value"] == [uid]
    ((_, content),) = parts(source.get(f"{path}/instances/{uid}"))
    (tmp_path / "mask.dcm").write_bytes(content)
    back = pydicom.dcmread(tmp_path / "mask.dcm")
    assert (back.SOPInstanceUID, back.SeriesInstanceUID) == (uid, about["0020000E"]["Value"][0])
    assert (back.StudyInstanceUID, back.PatientID) == (first.StudyInstanceUID, "ID-4711")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.dcm", image), masks[0] + 2 * masks[1])
    assert source.list(path + "/metadata") == [about]  # the same file as long as the mask is the same

    with Client(source.server.address, session) as client:
        client.do({"event": "removed", "of": 3})
    (changed,) = source.list(path + "/metadata")
    assert changed["00080018"] != about["00080018"] and changed["0020000E"] == about["0020000E"]
    assert parts(source.get(f"{path}/instances/{uid}"))[0][1] == content  # who has just listed it still gets it
    with Client(source.server.address, session) as client:
        client.do({"event": "removed", "of": 1})
    assert len(source.list(study + "/series")) == 1
    assert source.get(path + "/metadata").status_code == 404


def test_what_is_not_there_is_not_found(source):
    _, first = source.add(dicoms.slices(VOXELS))
    here, file = of(first), f"/instances/{first.SOPInstanceUID}"
    other = f"2.25.{int('f' * 32, 16)}"

    for path in (
        "studies/1.2/series", "studies/1.2/metadata", f"studies/1.2/series/{first.SeriesInstanceUID}/metadata",
        here + "/instances/1.2", here + file + "/frames/2", f"studies/{first.StudyInstanceUID}/series/{other}/metadata",
        f"studies/{first.StudyInstanceUID}/series/2.25.{'9' * 60}", here + "/instances/..%2f..%2fscan 0.dcm",
    ):  # fmt: skip
        assert source.get(path).status_code == 404, path
    for path in (here + file + "/frames/x", here + file + "/frames/1,", "studies?limit=-1"):
        reply = source.get(path)
        assert reply.status_code == 400 and reply.json()["detail"].endswith("."), path


def test_files_that_lie_about_themselves_harm_no_list(source):
    files = dicoms.slices(VOXELS, StudyDescription="x")
    _, first = source.add(files)
    damaged, _ = source.add(dicoms.slices(VOXELS))
    folder = source.store._blobs.path(f"cases/{damaged[0]}/source")
    next(folder.iterdir()).write_bytes(b"another file")

    assert first.StudyInstanceUID in values(source.list("studies"), "0020000D")
    assert len(source.list("studies", StudyInstanceUID="1.2.3")) == 0


def test_a_deleted_case_is_gone(source):
    (case,), first = source.add(dicoms.slices(VOXELS))
    assert len(source.list(of(first) + "/metadata")) == 3
    source.http.delete(f"/api/cases/{case}")

    assert source.list("studies", StudyInstanceUID=first.StudyInstanceUID) == []
    assert source.get(of(first) + "/metadata").status_code == 404


def test_numbers_that_are_none_are_left_out(source):
    files = dicoms.slices(VOXELS[:1])
    files[0].add_new("RescaleSlope", "DS", "1")
    files[0].add_new(0x00189087, "FD", float("nan"))
    _, first = source.add(files)

    text = source.get(of(first) + "/metadata").text
    assert "NaN" not in text and json.loads(text)[0]["00189087"]["Value"] == [None]
