"""DICOM masks refer to their source, name their labels, and say nothing of the patient unless asked."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom import Dataset, dcmread
from pydicom.data import get_charset_files
from pydicom.sr.codedict import codes
from pydicom.uid import UID, JPEGLSLossless, RLELossless

from segmend import io
from segmend.core.image import Image
from segmend.core.marks import fill_polygon
from segmend.core.session import Label
from segmend.errors import FileError, GeometryError
from segmend.io.rtstruct import outlines
from tests.io.dicoms import NAME, enhanced, save, save_all, slices
from tests.io.polygons import filled_by_winding

VOXELS = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
LABELS = [Label(2, "liver", (230, 75, 60)), Label(7, "a\\lesion ", (60, 160, 230))]
SECRETS = (b"Doe", b"Jane", b"ID-4711", b"19600102", b"ACC-17", b"Ref^Doc", b"20200203")
DICOM = (".dcm", ".rtstruct.dcm", ".rtss.dcm")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_all(slices(VOXELS, series="1.2.3", study="1.2", frame="1.2.9"), tmp_path / "ct")


@pytest.fixture
def mask() -> np.ndarray:
    label_map = np.zeros(VOXELS.shape, np.uint16)
    label_map[0, 1:3, 1:4] = 2
    label_map[2, 0, 0] = 7
    return label_map


def sop_uid(folder: Path, z: int) -> str:
    return next(ds.SOPInstanceUID for p in folder.iterdir() if (ds := dcmread(p)).InstanceNumber == z + 1)


@pytest.mark.parametrize("suffix", DICOM)
def test_a_mask_reads_back_on_its_image_and_belongs_to_the_study(
    suffix: str, folder: Path, mask: np.ndarray, tmp_path: Path
) -> None:
    image, path = io.read(folder), tmp_path / f"mask{suffix}"

    io.write_mask(path, mask, image, LABELS, source=folder)

    ds = dcmread(path)
    assert np.array_equal(io.read_mask(path, image), mask)
    assert (ds.StudyInstanceUID, ds.FrameOfReferenceUID) == ("1.2", "1.2.9")
    assert ds.SeriesInstanceUID != "1.2.3"


def test_without_highdicom_a_segmentation_is_refused_and_an_rtstruct_is_written(
    folder: Path, mask: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "highdicom", None)  # as if it were not installed
    image = io.read(folder)

    with pytest.raises(FileError, match=r"needs highdicom, which is not installed: pip install --no-deps highdicom"):
        io.write_mask(tmp_path / "mask.dcm", mask, image, LABELS, source=folder)
    io.write_mask(tmp_path / "mask.rtstruct.dcm", mask, image, LABELS, source=folder)

    assert [path.name for path in tmp_path.glob("mask*")] == ["mask.rtstruct.dcm"]


def test_a_segmentation_refers_slice_by_slice_and_highdicom_loads_it(
    folder: Path, mask: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "mask.dcm"

    io.write_mask(path, mask, io.read(folder), LABELS, source=folder)

    segmentation = highdicom.seg.segread(path)
    numbers = {s.SegmentLabel: s.SegmentNumber for s in segmentation.SegmentSequence}
    pixels = segmentation.get_pixels_by_source_instance(
        [sop_uid(folder, z) for z in range(3)], combine_segments=True, ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )  # fmt: skip
    assert numbers == {"liver": 1, "a/lesion": 2}
    assert np.array_equal(pixels, np.where(mask == 7, 2, np.where(mask == 2, 1, 0)))
    assert segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.3"
    assert len(segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 3
    assert list(segmentation.SegmentSequence[0].RecommendedDisplayCIELabValue) != [0, 0, 0]


def test_a_structure_set_refers_slice_by_slice_with_names_and_colours(
    folder: Path, mask: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "mask.rtstruct.dcm"

    io.write_mask(path, mask, io.read(folder), LABELS, source=folder)

    ds = dcmread(path)
    names = {r.ROINumber: r.ROIName for r in ds.StructureSetROISequence}
    liver = ds.ROIContourSequence[0]
    study = ds.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    assert names == {2: "liver", 7: "a/lesion"}
    assert list(liver.ROIDisplayColor) == [230, 75, 60]
    assert liver.ContourSequence[0].ContourImageSequence[0].ReferencedSOPInstanceUID == sop_uid(folder, 0)
    assert study.ReferencedSOPInstanceUID == "1.2"
    assert study.RTReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.3"
    assert len(study.RTReferencedSeriesSequence[0].ContourImageSequence) == 3
    assert ds.RTROIObservationsSequence[1].ReferencedROINumber == 7


@pytest.mark.parametrize("suffix", DICOM)
def test_nothing_of_the_patient_is_copied_unless_asked(
    suffix: str, folder: Path, mask: np.ndarray, tmp_path: Path
) -> None:
    image = io.read(folder)

    io.write_mask(tmp_path / f"none{suffix}", mask, image, LABELS, source=folder)
    io.write_mask(tmp_path / f"named{suffix}", mask, image, LABELS, source=folder, anonymous=False)

    anonymous, named = dcmread(tmp_path / f"none{suffix}"), dcmread(tmp_path / f"named{suffix}")
    written = (tmp_path / f"none{suffix}").read_bytes()
    assert [secret for secret in SECRETS if secret in written] == []
    assert anonymous.PatientIdentityRemoved == "YES"
    assert (named.PatientName, named.PatientID, named.AccessionNumber) == (NAME, "ID-4711", "ACC-17")
    assert "PatientIdentityRemoved" not in named


@pytest.mark.parametrize("suffix", DICOM)
def test_a_mask_with_its_patient_has_all_that_an_archive_files_by(
    suffix: str, mask: np.ndarray, tmp_path: Path
) -> None:
    kept = {
        "PatientName": NAME, "PatientID": "ID-4711", "PatientBirthDate": "19600102", "PatientSex": "F",
        "StudyInstanceUID": "1.2", "StudyID": "9", "StudyDate": "20200203", "StudyTime": "101112",
        "AccessionNumber": "ACC-17", "ReferringPhysicianName": "Ref^Doc", "IssuerOfPatientID": "Clinic",
        "StudyDescription": "Abdomen, native", "PatientAge": "060Y", "PatientIdentityRemoved": "NO",
    }  # fmt: skip
    added = {k: kept[k] for k in ("IssuerOfPatientID", "StudyDescription", "PatientAge", "PatientIdentityRemoved")}
    folder = save_all(slices(VOXELS, study="1.2", **added), tmp_path / "ct")

    io.write_mask(tmp_path / f"m{suffix}", mask, io.read(folder), LABELS, source=folder, anonymous=False)

    ds = dcmread(tmp_path / f"m{suffix}")
    assert {name: ds.get(name) for name in kept} == kept


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("chrH31.dcm", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("chrFren.dcm", "Buc^Jérôme"),
        ("chrX1.dcm", "Wang^XiaoDong=王^小東"),
    ],
)
def test_names_of_any_script_are_kept_beside_labels_of_any_other(
    file: str, name: str, mask: np.ndarray, tmp_path: Path
) -> None:
    theirs = dcmread(get_charset_files(file)[0])
    tags = {"PatientName": theirs.PatientName, "SpecificCharacterSet": theirs.SpecificCharacterSet}
    folder = save_all(slices(VOXELS, **tags), tmp_path / "ct")
    labels = [Label(2, "печень, 肝", (230, 75, 60)), LABELS[1]]

    for suffix in DICOM:
        io.write_mask(tmp_path / f"m{suffix}", mask, io.read(folder), labels, source=folder, anonymous=False)

        assert str(dcmread(tmp_path / f"m{suffix}").PatientName).startswith(name)
        assert io.mask_names(tmp_path / f"m{suffix}")[2] == "печень, 肝"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("m.dcm", "A mask with its patient needs the DICOM series that its image came from; there is none"),
        ("m.rtss.dcm", "A mask with its patient needs the DICOM series that its image came from; there is none"),
        ("m.nii.gz", r"Only a DICOM mask \(\.dcm, \.rtstruct\.dcm\) can keep its patient; got m\.nii\.gz"),
    ],
)
def test_a_patient_that_is_not_there_is_not_kept(name: str, words: str, mask: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=words):
        io.write_mask(tmp_path / name, mask, Image(VOXELS[None]), LABELS, anonymous=False)


def test_all_that_can_be_refused_is_refused_before_there_is_a_mask(folder: Path, tmp_path: Path) -> None:
    image, sheared = io.read(folder), np.array([[0, 0, 1, 0], [0, 1, 0.5, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    (tmp_path / "notes.txt").write_text("nothing")

    for name, of, options, words in (
        ("m.stl", image, {}, "needs a name that ends in"),
        ("gone/m.nii", image, {}, "could not be written: No such file or directory"),
        ("m.png", image, {}, "A PNG holds one slice and this has 3"),
        ("m.dcm", Image(VOXELS[None], sheared), {}, "needs rows and columns at right angles"),
        ("m.dcm", image, {"source": tmp_path / "notes.txt"}, "holds no DICOM series to refer to"),
        ("m.rtss.dcm", Image(VOXELS[None]), {"source": folder}, "holds no series on the grid of this image"),
    ):
        with pytest.raises((FileError, GeometryError), match=words):
            io.mask_writer(tmp_path / name, of, **options)
    assert not list(tmp_path.glob("m*"))


def test_of_two_series_on_one_grid_the_one_that_is_named_is_referred_to(mask: np.ndarray, tmp_path: Path) -> None:
    for number, name in (("1", "first"), ("2", "second")):
        datasets = slices(VOXELS, series=f"1.2.{number}", study="1.2", frame="1.2.9", SeriesDescription=name)
        folder = save_all(datasets, tmp_path / "both", prefix=number)

    for asked, found in (("1.2.2", "1.2.2"), ("second", "1.2.2"), ("1.2.1", "1.2.1")):
        image = io.read(folder, series=asked)
        io.mask_writer(tmp_path / "m.dcm", image, source=folder, series=asked)(mask, LABELS)
        assert dcmread(tmp_path / "m.dcm").ReferencedSeriesSequence[0].SeriesInstanceUID == found


def test_what_is_dicom_can_be_referred_to(folder: Path, tmp_path: Path) -> None:
    io.write_image(tmp_path / "scan.nii", Image(VOXELS[None]))

    assert io.dicom_source(folder) == folder
    assert io.dicom_source(tmp_path / "scan.nii") is None
    with pytest.raises(FileError, match="There is no file gone"):
        io.dicom_source(tmp_path / "gone")


def test_a_refusal_does_not_quote_the_patient(tmp_path: Path) -> None:
    ds = slices(VOXELS)[0]
    ds.PixelData = b"\0\0"

    with pytest.raises(FileError) as refused:
        io.read(save(ds, tmp_path / "one.dcm"))

    assert not [secret for secret in SECRETS if secret.decode() in str(refused.value)]


@pytest.mark.parametrize("suffix", DICOM)
def test_without_a_source_the_identifiers_are_fresh_and_nothing_is_referred_to(
    suffix: str, mask: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / f"mask{suffix}"

    io.write_mask(path, mask, Image(VOXELS[None]), LABELS)

    text = str(dcmread(path))
    assert "Referenced Instance Sequence" not in text
    assert "Contour Image Sequence" not in text
    assert "Derivation Image Sequence" not in text
    assert dcmread(path).StudyInstanceUID


@pytest.mark.parametrize("suffix", DICOM)
def test_on_an_evened_grid_only_the_slices_that_were_scanned_are_referred_to(suffix: str, tmp_path: Path) -> None:
    places = np.array([(-10.0, 20.0, h) for h in (0, 3, 9)])
    folder = save_all(slices(VOXELS, positions=places), tmp_path / "ct")
    image = io.read(folder)
    mask = np.zeros(image.shape, np.uint16)
    mask[:, 1:3, 1:3] = 2
    path = tmp_path / f"mask{suffix}"

    io.write_mask(path, mask, image, LABELS[:1], source=folder)

    ds = dcmread(path)
    if suffix == ".dcm":
        groups = ds.PerFrameFunctionalGroupsSequence
        referred = {g.PlanePositionSequence[0].ImagePositionPatient[2]: "DerivationImageSequence" in g for g in groups}
    else:
        contours = ds.ROIContourSequence[0].ContourSequence
        referred = {c.ContourData[2]: "ContourImageSequence" in c for c in contours}
    assert image.shape[0] == 4
    assert referred == {0: True, 3: True, 6: False, 9: True}
    assert np.array_equal(io.read_mask(path, image), mask)


@pytest.mark.parametrize("suffix", DICOM)
def test_frames_of_an_enhanced_source_are_referred_to_by_number(suffix: str, tmp_path: Path) -> None:
    places = np.array([(0.0, 0.0, h) for h in (6, 0, 3)])
    source = save(enhanced(VOXELS, places), tmp_path / "mr.dcm")
    image, path = io.read(source), tmp_path / f"mask{suffix}"
    mask = np.zeros(image.shape, np.uint16)
    mask[0, 1, 1] = 2

    io.write_mask(path, mask, image, LABELS[:1], source=source)

    items = [
        e.value[0] for e in dcmread(path).iterall() if e.keyword in ("SourceImageSequence", "ContourImageSequence")
    ]
    numbers = [item.ReferencedFrameNumber for item in items if "ReferencedFrameNumber" in item]
    assert numbers == [2]


@pytest.mark.parametrize("suffix", DICOM)
def test_a_zip_is_a_source_too(suffix: str, folder: Path, mask: np.ndarray, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ct.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)

    io.write_mask(tmp_path / f"mask{suffix}", mask, io.read(folder), LABELS, source=tmp_path / "ct.zip")

    assert dcmread(tmp_path / f"mask{suffix}").StudyInstanceUID == "1.2"


@pytest.mark.parametrize("suffix", DICOM)
def test_a_source_of_another_grid_or_without_dicom_is_refused(
    suffix: str, folder: Path, mask: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / f"mask{suffix}"
    (tmp_path / "empty").mkdir()

    with pytest.raises(GeometryError, match="ct holds no series on the grid of this image"):
        io.write_mask(path, mask, Image(VOXELS[None]), LABELS, source=folder)
    with pytest.raises(FileError, match="empty holds no DICOM series to refer to"):
        io.write_mask(path, mask, Image(VOXELS[None]), LABELS, source=tmp_path / "empty")
    assert not path.exists()


def test_a_mask_without_labels_is_refused_by_dicom(tmp_path: Path) -> None:
    empty = np.zeros(VOXELS.shape, np.uint16)

    with pytest.raises(FileError, match="A DICOM segmentation needs at least one label"):
        io.write_mask(tmp_path / "mask.dcm", empty, Image(VOXELS[None]), [])
    with pytest.raises(FileError, match="A DICOM structure set needs at least one label"):
        io.write_mask(tmp_path / "mask.rtstruct.dcm", empty, Image(VOXELS[None]), [])


@pytest.mark.parametrize("suffix", DICOM)
def test_a_label_without_voxels_is_kept_by_name(suffix: str, tmp_path: Path) -> None:
    empty, image = np.zeros(VOXELS.shape, np.uint16), Image(VOXELS[None])

    io.write_mask(tmp_path / f"mask{suffix}", empty, image, LABELS)

    assert not io.read_mask(tmp_path / f"mask{suffix}", image).any()
    assert "liver" in str(dcmread(tmp_path / f"mask{suffix}"))


def test_dicom_masks_are_no_images(mask: np.ndarray, tmp_path: Path) -> None:
    for suffix, kind in ((".dcm", "segmentation"), (".rtstruct.dcm", "structure set")):
        io.write_mask(tmp_path / f"mask{suffix}", mask, Image(VOXELS[None]), LABELS)
        with pytest.raises(FileError, match=f"is a DICOM {kind}, not an image; it is read as a mask of its image"):
            io.read(tmp_path / f"mask{suffix}")


def test_segmentations_of_others_read_by_segment_number_and_labelmaps_by_value(
    mask: np.ndarray, tmp_path: Path
) -> None:
    image, path = Image(VOXELS[None]), tmp_path / "mask.dcm"
    io.write_mask(path, mask, image, LABELS)
    ds = dcmread(path)
    for segment in ds.SegmentSequence:
        del segment.TrackingID, segment.TrackingUID
    ds.save_as(path)

    assert np.array_equal(io.read_mask(path, image), np.where(mask == 7, 2, np.where(mask == 2, 1, 0)))


def edited(path: Path, change: str) -> Dataset:
    ds = dcmread(path)
    match change:
        case "frames":
            ds.PerFrameFunctionalGroupsSequence.pop()
        case "value":
            ds.SegmentSequence[0].TrackingID = "Label 70000"
        case "region":
            ds.ROIContourSequence[0].ReferencedROINumber = 0
        case "outside":
            ds.ROIContourSequence[0].ContourSequence[0].ContourData = [900, 0, 0, 901, 0, 0, 901, 5, 0]
        case "endless":
            ds.ROIContourSequence[0].ContourSequence[0].ContourData = ["inf", 0, 0, 1, 0, 0, 1, 1, 0]
    ds.save_as(path)
    return ds


@pytest.mark.parametrize(
    ("suffix", "change", "words"),
    [
        (".dcm", "frames", "says it has 2 frames but describes 1"),
        (".dcm", "value", "A segment needs a label of 1 to 65535; got 70000"),
        (".rtstruct.dcm", "region", "has region 0; a label is 1 to 65535"),
        (".rtstruct.dcm", "outside", "has a contour that reaches outside the image"),
        (".rtstruct.dcm", "endless", "A contour needs finite positions"),
    ],
)
@pytest.mark.filterwarnings("ignore:Value 'inf':UserWarning")
def test_damaged_dicom_masks_say_what_is_wrong(
    suffix: str, change: str, words: str, mask: np.ndarray, tmp_path: Path
) -> None:
    image, path = Image(VOXELS[None]), tmp_path / f"mask{suffix}"
    io.write_mask(path, mask, image, LABELS)
    edited(path, change)

    with pytest.raises((FileError, GeometryError), match=words):
        io.read_mask(path, image)


@settings(deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_outlines_give_the_mask_back_by_either_way_of_filling(mask: np.ndarray) -> None:
    rings = outlines(mask)

    odd = np.zeros_like(mask)
    wound = np.zeros_like(mask)
    for ring in rings:
        odd ^= fill_polygon(ring, *mask.shape)
        wound |= filled_by_winding(ring, *mask.shape)
    assert np.array_equal(odd, mask)
    assert np.array_equal(wound, mask)


def test_an_outline_has_the_area_of_its_pixels_and_a_hole_is_taken_off() -> None:
    mask = np.ones((5, 6), bool)
    mask[2, 2:4] = False

    (ring,) = outlines(mask)

    y, x = ring.T
    assert abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2) == 28


def others_segmentation(folder: Path, values: np.ndarray, kind: str, **options: Any) -> Dataset:
    """Return a segmentation of a series as highdicom writes it for any other program."""
    tissue = codes.SCT.Tissue
    segments = [
        highdicom.seg.SegmentDescription(
            number, f"organ {number}", tissue, tissue, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for number in range(1, 3)
    ]
    return highdicom.seg.Segmentation(
        source_images=sorted((dcmread(p) for p in folder.iterdir()), key=lambda ds: ds.InstanceNumber),
        pixel_array=values, segmentation_type=kind, segment_descriptions=segments,
        series_instance_uid="1.2.5", series_number=7, sop_instance_uid="1.2.5.1", instance_number=1,
        manufacturer="Other", manufacturer_model_name="Tool", software_versions="1", device_serial_number="2",
        **options,
    )  # fmt: skip


def test_what_a_segmentation_says_of_its_making_is_passed_on(folder: Path, mask: np.ndarray, tmp_path: Path) -> None:
    image, first, second = io.read(folder), tmp_path / "first.dcm", tmp_path / "second.dcm"
    io.write_mask(first, mask, image, LABELS, source=folder)
    data = dcmread(first)
    data.SegmentSequence[0].SegmentAlgorithmType = "MANUAL"
    del data.SegmentSequence[0].SegmentAlgorithmName
    data.SegmentSequence[0].SegmentDescription = "Drawn twice."
    data.SegmentSequence[1].SegmentAlgorithmType = "AUTOMATIC"
    data.SegmentSequence[1].SegmentAlgorithmName = "Other 3"
    data.SegmentSequence[1].SegmentationAlgorithmIdentificationSequence = highdicom.AlgorithmIdentificationSequence(
        "Other", codes.DCM.ArtificialIntelligence, "3.1", source="Elsewhere", parameters={"folds": "5"}
    )
    data.save_as(first)

    write = io.mask_writer(second, image, source=folder)
    write(io.read_mask(first, image), LABELS, io.mask_origins(first))

    read = highdicom.seg.segread(second)
    drawn, made = read.get_segment_description(1), read.get_segment_description(2)
    assert (drawn.algorithm_type.value, drawn.SegmentDescription) == ("MANUAL", "Drawn twice.")
    assert "SegmentAlgorithmName" not in drawn and drawn.algorithm_identification is None
    assert (made.algorithm_type.value, made.SegmentAlgorithmName) == ("AUTOMATIC", "Other 3")
    told = made.algorithm_identification
    assert (told.name, told.version, told.source, told.parameters) == ("Other", "3.1", "Elsewhere", {"folds": "5"})
    assert told.family == codes.DCM.ArtificialIntelligence


def test_a_segmentation_of_unknown_origin_says_so(folder: Path, mask: np.ndarray, tmp_path: Path) -> None:
    image, path = io.read(folder), tmp_path / "mask.dcm"

    io.write_mask(path, mask, image, LABELS, source=folder)

    for number in (1, 2):
        segment = highdicom.seg.segread(path).get_segment_description(number)
        assert (segment.algorithm_type.value, segment.SegmentAlgorithmName) == ("SEMIAUTOMATIC", "unknown")
        assert (
            segment.SegmentDescription == "How it was made is not known." and segment.algorithm_identification is None
        )


ORGANS = np.zeros(VOXELS.shape, np.uint8)
ORGANS[0, 1:3, 1:4] = 1
ORGANS[2, 0, 0] = 2


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("omitted", [True, False], ids=["without-empty-frames", "with-empty-frames"])
def test_segmentations_of_other_programs_are_read(kind: str, omitted: bool, folder: Path, tmp_path: Path) -> None:
    ds = others_segmentation(folder, ORGANS, kind, omit_empty_frames=omitted)
    ds.save_as(tmp_path / "other.dcm")

    assert np.array_equal(io.read_mask(tmp_path / "other.dcm", io.read(folder)), ORGANS)
    assert io.mask_names(tmp_path / "other.dcm") == {1: "organ 1", 2: "organ 2"}


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless], ids=["rle", "jpeg-ls"])
def test_packed_labelmaps_of_other_programs_are_read(syntax: UID, folder: Path, tmp_path: Path) -> None:
    ds = others_segmentation(folder, ORGANS, "LABELMAP", transfer_syntax_uid=syntax)
    ds.save_as(tmp_path / "other.dcm")

    assert np.array_equal(io.read_mask(tmp_path / "other.dcm", io.read(folder)), ORGANS)


@pytest.mark.parametrize("fractional", ["PROBABILITY", "OCCUPANCY"])
def test_fractional_segmentations_hold_what_is_above_half(fractional: str, folder: Path, tmp_path: Path) -> None:
    shares = np.zeros((*ORGANS.shape, 2))
    shares[..., 0] = np.where(ORGANS == 1, 0.75, 0.25)
    shares[..., 1] = np.where(ORGANS == 2, 1.0, 0.0)
    ds = others_segmentation(
        folder, shares, "FRACTIONAL", fractional_type=fractional, max_fractional_value=200, omit_empty_frames=False
    )
    ds.save_as(tmp_path / "other.dcm")

    assert np.array_equal(io.read_mask(tmp_path / "other.dcm", io.read(folder)), ORGANS)


def test_a_background_that_is_not_0_is_background(folder: Path, tmp_path: Path) -> None:
    ds = others_segmentation(folder, ORGANS, "LABELMAP", omit_empty_frames=False)
    frames = ds.pixel_array
    ds.PixelData = np.where(frames == 0, 9, frames).astype(np.uint8).tobytes()
    ds.PixelPaddingValue = ds.SegmentSequence[0].SegmentNumber = 9
    ds.save_as(tmp_path / "other.dcm")

    assert np.array_equal(io.read_mask(tmp_path / "other.dcm", io.read(folder)), ORGANS)
    assert io.mask_names(tmp_path / "other.dcm") == {1: "organ 1", 2: "organ 2"}
