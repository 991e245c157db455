"""A DICOM series lands where its headers say, whatever its files are called."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from segmend import io
from segmend.errors import FileError, LimitError
from segmend.io import dicom
from segmend.io.sizes import Limits, limited
from tests.io.dicoms import enhanced, save, save_all, slices, without_preamble

VOXELS = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)


def positions(*heights: float) -> np.ndarray:
    return np.array([(-10.0, 20.0, h) for h in heights])


def test_a_folder_reads_in_order_of_place_with_its_type_and_millimetres(tmp_path: Path) -> None:
    folder = save_all(slices(VOXELS), tmp_path / "ct")

    image = io.read(folder)

    assert image.voxels.dtype == np.int16
    assert np.array_equal(image.voxels[0], VOXELS)
    assert np.allclose(image.to_mm((0, 0, 0)), (10, -20, 30))
    assert np.allclose(image.to_mm((2, 1, 3)), (10 - 1.5, -20 - 2, 36))
    assert image.notes == ()


def test_slices_stored_head_first_are_sorted_by_place(tmp_path: Path) -> None:
    folder = save_all(slices(VOXELS, step=(0, 0, -3)), tmp_path / "ct")

    image = io.read(folder)

    assert np.array_equal(image.voxels[0], VOXELS[::-1])
    assert np.allclose(image.to_mm((2, 0, 0)), (10, -20, 30))


def test_an_oblique_series_keeps_its_directions(tmp_path: Path) -> None:
    turn = np.linalg.qr(np.array([[1.0, 0.2, 0.1], [0.3, 1.0, 0.0], [0.2, 0.1, 1.0]]))[0]
    row, column = turn[:, 0], turn[:, 1]
    normal = np.cross(row, column)
    folder = save_all(slices(VOXELS, row=row, column=column, step=4 * normal), tmp_path / "mr")

    image = io.read(folder)

    place = np.array((-10, 20, 30)) + 2 * 4 * normal + 1 * 2.0 * column + 3 * 0.5 * row
    assert np.allclose(image.to_mm((2, 1, 3)), place * (-1, -1, 1), atol=1e-5)


def test_a_tilted_gantry_gives_a_sheared_affine_and_the_same_voxels(tmp_path: Path) -> None:
    folder = save_all(slices(VOXELS, step=(0, 1.0, 3.0)), tmp_path / "ct")

    image = io.read(folder)

    assert np.array_equal(image.voxels[0], VOXELS)
    assert np.allclose(image.affine[:3, 0], (0, -1, 3))
    assert image.notes == ()


def test_a_missing_slice_is_interpolated_and_said(tmp_path: Path) -> None:
    stored = np.stack([np.full((4, 5), v, np.int16) for v in (0, 30, 60, 120)])
    folder = save_all(slices(stored, positions=positions(0, 3, 6, 12)), tmp_path / "ct")

    image = io.read(folder)

    assert image.voxels[0, :, 0, 0].tolist() == [0, 30, 60, 90, 120]
    assert image.voxels.dtype == np.int16
    assert np.allclose(image.spacing, (3, 2, 0.5))
    assert image.notes == ("4 slices at uneven distances were interpolated onto 5 slices, 3 mm apart.",)


def test_a_duplicate_slice_is_dropped_and_said(tmp_path: Path) -> None:
    stored = slices(VOXELS)
    folder = save_all([*stored, stored[1]], tmp_path / "ct")

    image = io.read(folder)

    assert np.array_equal(image.voxels[0], VOXELS)
    assert image.notes == ("1 slice at a place that another slice has were dropped.",)


def test_slices_off_the_line_are_refused(tmp_path: Path) -> None:
    places = np.array([(0, 0, 0), (9, 0, 3), (0, 0, 6)], float)
    folder = save_all(slices(VOXELS, positions=places), tmp_path / "ct")

    with pytest.raises(FileError, match="The slices of ct do not lie on one straight line"):
        io.read(folder)


def test_several_series_are_listed_and_one_is_chosen(tmp_path: Path) -> None:
    save_all(slices(VOXELS, series="1.2.3", SeriesDescription="Venous"), tmp_path / "ct", prefix="a")
    save_all(slices(VOXELS[:2] + 1, series="1.2.4", modality="MR"), tmp_path / "ct", prefix="b")

    listed = io.series(tmp_path / "ct")

    assert [(s.uid, s.name, s.modality) for s in listed] == [("1.2.3", "Venous", "CT"), ("1.2.4", "Abdomen", "MR")]
    assert listed[1].description == "4 x 5, 2 slices"
    with pytest.raises(FileError, match=r"ct holds 2 images; choose one: 1\.2\.3 \(Venous, CT, .*; 1\.2\.4 \(Abdomen"):
        io.read(tmp_path / "ct")
    assert io.read(tmp_path / "ct", series="1.2.4").shape == (2, 4, 5)
    assert io.read(tmp_path / "ct", series="Venous").shape == (3, 4, 5)
    with pytest.raises(FileError, match="ct holds no one series '9'"):
        io.read(tmp_path / "ct", series="9")


def test_two_orientations_in_one_series_are_two_volumes(tmp_path: Path) -> None:
    save_all(slices(VOXELS, series="1.2.3"), tmp_path / "ct", prefix="a")
    save_all(slices(VOXELS[:1], series="1.2.3", column=(0, 0, 1)), tmp_path / "ct", prefix="b")

    assert [s.uid for s in io.series(tmp_path / "ct")] == ["1.2.3#1", "1.2.3#2"]
    assert io.read(tmp_path / "ct", series="1.2.3#1").shape == (3, 4, 5)


def test_repeated_volumes_are_told_apart_by_their_time(tmp_path: Path) -> None:
    for t in (0, 1):
        some = slices(VOXELS + 100 * t, series="1.2.3", TemporalPositionIdentifier=t + 1)
        save_all(some, tmp_path / "mr", prefix=f"{t}")

    both = io.read(tmp_path / "mr")
    second = io.read(tmp_path / "mr", fourth="time", frame=1)

    assert both.channels == 2
    assert np.array_equal(both.voxels[1], VOXELS + 100)
    assert np.array_equal(second.voxels[0], VOXELS + 100)
    assert "told apart by TemporalPositionIdentifier" in both.notes[0]
    with pytest.raises(FileError, match="has frames 0 to 1; got frame 2"):
        io.read(tmp_path / "mr", fourth="time", frame=2)


def test_a_zip_and_a_single_file_read_like_the_folder(tmp_path: Path) -> None:
    folder = save_all(slices(VOXELS), tmp_path / "ct")
    with zipfile.ZipFile(tmp_path / "ct.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"inner/{path.name}")

    zipped, single = io.read(tmp_path / "ct.zip"), io.read(folder / "001.dcm")

    assert np.array_equal(zipped.voxels[0], VOXELS)
    assert np.array_equal(single.voxels[0, 0], VOXELS[2])
    assert np.allclose(single.spacing, (3, 2, 0.5))


def test_hounsfield_units_stay_whole_numbers(tmp_path: Path) -> None:
    stored = VOXELS.astype(np.uint16) * 60
    folder = save_all(slices(stored, RescaleSlope="1", RescaleIntercept="-1024"), tmp_path / "ct")

    image = io.read(folder)

    assert image.voxels.dtype == np.int16
    assert np.array_equal(image.voxels[0], stored.astype(int) - 1024)


def test_slopes_that_differ_from_slice_to_slice_give_floats(tmp_path: Path) -> None:
    some = slices(VOXELS)
    for k, ds in enumerate(some):
        ds.RescaleSlope, ds.RescaleIntercept = str(0.5 + k), "1"
    image = io.read(save_all(some, tmp_path / "pt"))

    assert image.voxels.dtype == np.float32
    assert np.allclose(image.voxels[0], VOXELS * np.array([0.5, 1.5, 2.5])[:, None, None] + 1)


def test_white_as_zero_is_inverted(tmp_path: Path) -> None:
    values = np.array([[[0, 1], [4095, 7]]], np.uint16)
    some = slices(values, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)

    image = io.read(save_all(some, tmp_path / "dx"))

    assert image.voxels[0, 0].tolist() == [[4095, 4094], [0, 4088]]
    assert "MONOCHROME1" in image.notes[0]


def test_signed_white_as_zero_is_inverted(tmp_path: Path) -> None:
    some = slices(np.array([[[-5, 0]]], np.int16), PhotometricInterpretation="MONOCHROME1")

    assert io.read(save_all(some, tmp_path / "dx")).voxels.ravel().tolist() == [4, -1]


def test_an_enhanced_file_is_sorted_and_scaled_by_frame(tmp_path: Path) -> None:
    order = [2, 0, 1]
    scales = [(1.0 + k, -k) for k in order]
    path = save(enhanced(VOXELS[order], positions(6, 0, 3), scales=scales), tmp_path / "mr.dcm")

    image = io.read(path)

    assert np.allclose(image.voxels[0], [VOXELS[k] * (1 + k) - k for k in range(3)])
    assert np.allclose(image.spacing, (3, 2, 0.5))
    assert np.allclose(image.to_mm((0, 0, 0)), (10, -20, 0))


def test_frames_without_a_place_are_stacked_and_said(tmp_path: Path) -> None:
    ds = slices(VOXELS[:1])[0]
    del ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing
    ds.NumberOfFrames = 3
    ds.PixelData = VOXELS.tobytes()

    image = io.read(save(ds, tmp_path / "xa.dcm"))

    assert np.array_equal(image.voxels[0], VOXELS)
    assert image.notes == (
        "The 3 slices say no place; they are stacked in order, 3 mm apart.",
        "The file says no size of a pixel; 1 mm is taken.",
    )


def test_colour_frames_become_three_channels(tmp_path: Path) -> None:
    rgb = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(1, 2, 3, 3)

    image = io.read(save(slices(rgb)[0], tmp_path / "us.dcm"))

    assert np.array_equal(image.voxels[:, 0], np.moveaxis(rgb[0], -1, 0))


def test_a_file_without_preamble_and_meta_is_read(tmp_path: Path) -> None:
    path = without_preamble(slices(VOXELS)[1], tmp_path / "old")

    assert np.array_equal(io.read(path).voxels[0, 0], VOXELS[1])


@pytest.mark.parametrize("start", [b"II*\0", b"MM\0*", b"\x1f\x8b\x08", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n"])
def test_whatever_stands_in_the_preamble_a_dicom_file_is_dicom(start: bytes, tmp_path: Path) -> None:
    path = save(slices(VOXELS)[1], tmp_path / "one.dcm")
    path.write_bytes(start + path.read_bytes()[len(start) :])

    assert np.array_equal(io.read(path).voxels[0, 0], VOXELS[1])


@pytest.mark.parametrize(
    ("implicit", "little"),
    [(True, True), (False, True), (False, False)],
    ids=["implicit-little", "explicit-little", "explicit-big"],
)
def test_every_byte_order_without_preamble_and_meta_is_read(implicit: bool, little: bool, tmp_path: Path) -> None:
    bare = Dataset(slices(VOXELS)[1])
    if not little:
        bare.PixelData = VOXELS[1].astype(VOXELS.dtype.newbyteorder(">")).tobytes()
    bare.save_as(tmp_path / "old", implicit_vr=implicit, little_endian=little, enforce_file_format=False)

    assert np.array_equal(io.read(tmp_path / "old").voxels[0, 0], VOXELS[1])


@pytest.mark.parametrize(
    "head",
    [b"\x08\0\x05\0ZZ\x04\0", b"\x08\0\x05\x01CS\x04\0", b"\x10\0\x05\0CS\x04\0", b"\x08\0\x05\0\x05\0\0\0"],
    ids=["no-type", "late-element", "other-group", "odd-length"],
)
def test_what_only_looks_like_a_first_element_is_no_dicom(head: bytes) -> None:
    assert not dicom.is_dicom(head + bytes(200))


def test_a_folder_without_images_and_a_missing_file_say_so(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("nothing")
    (tmp_path / "folder" / "more.txt").write_text("nothing")

    with pytest.raises(FileError, match="folder holds no image among its 2 files"):
        io.read(tmp_path / "folder")
    with pytest.raises(FileError, match=r"There is no file gone\.dcm"):
        io.read(tmp_path / "gone.dcm")


def test_cut_pixels_and_cut_headers_say_which_file(tmp_path: Path) -> None:
    folder = save_all(slices(VOXELS), tmp_path / "ct")
    whole = (folder / "002.dcm").read_bytes()
    (folder / "002.dcm").write_bytes(whole[:-20])

    with pytest.raises(FileError, match=r"002\.dcm"):
        io.read(folder)
    shutil.rmtree(folder)


def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    ds = slices(VOXELS)[0]
    ds.Rows = ds.Columns = 65535

    with pytest.raises(FileError, match="claims 1 x 65535 x 65535 x 1 voxels"):
        io.read(save(ds, tmp_path / "huge.dcm"))


def test_headers_that_are_damaged_say_so(tmp_path: Path) -> None:
    few = enhanced(VOXELS, positions(0, 3, 6))
    few.PerFrameFunctionalGroupsSequence.pop()
    (tmp_path / "meta.dcm").write_bytes(bytes(128) + b"DICM\x02\0\x10\0UI\xff")
    strange = slices(VOXELS[:1])[0]
    strange.add_new("NumberOfFrames", "LO", "many")

    with pytest.raises(FileError, match="says it has 3 frames but describes 2"):
        io.read(save(few, tmp_path / "few.dcm"))
    with pytest.raises(FileError, match=r"strange\.dcm has a damaged DICOM header"):
        io.read(save(strange, tmp_path / "strange.dcm"))
    with pytest.raises(FileError, match=r"meta\.dcm (could not be read as DICOM|is DICOM without an image)"):
        io.read(tmp_path / "meta.dcm")


def test_a_series_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    folder = save_all(slices(np.zeros((4, 30, 40), np.int16)), tmp_path / "ct")

    with limited(Limits(max_bytes=2 * 3 * 30 * 40)), pytest.raises(LimitError, match="The 4 slices of 30 x 40 in"):
        io.read(folder)


def test_ultrasound_says_its_size_in_regions_and_projections_at_the_detector(tmp_path: Path) -> None:
    region = Dataset()
    region.PhysicalUnitsXDirection, region.PhysicalDeltaX, region.PhysicalDeltaY = 3, 0.02, 0.05
    sound, projection = slices(VOXELS[:1])[0], slices(VOXELS[:1])[0]
    for ds in (sound, projection):
        del ds.PixelSpacing, ds.ImagePositionPatient, ds.ImageOrientationPatient
    sound.SequenceOfUltrasoundRegions = [region]
    projection.ImagerPixelSpacing = [0.4, 0.3]

    assert np.allclose(io.read(save(sound, tmp_path / "us.dcm")).spacing[1:], (0.5, 0.2))
    assert np.allclose(io.read(save(projection, tmp_path / "dx.dcm")).spacing[1:], (0.4, 0.3))


def test_a_dose_lies_where_its_offsets_say(tmp_path: Path) -> None:
    ds = slices(VOXELS[:1], modality="RTDOSE")[0]
    ds.NumberOfFrames, ds.GridFrameOffsetVector, ds.DoseGridScaling = 3, [0, 2.5, 5], "0.25"
    ds.PixelData = VOXELS.tobytes()

    image = io.read(save(ds, tmp_path / "dose.dcm"))

    assert np.allclose(image.voxels[0], VOXELS * 0.25)
    assert np.allclose(image.spacing, (2.5, 2, 0.5))


def test_frames_of_an_enhanced_file_are_told_apart_by_their_weighting(tmp_path: Path) -> None:
    ds = enhanced(np.concatenate([VOXELS, VOXELS + 100]), positions(0, 3, 6, 0, 3, 6))
    for k, group in enumerate(ds.PerFrameFunctionalGroupsSequence):
        weighting = Dataset()
        weighting.DiffusionBValue = 0.0 if k >= 3 else 800.0
        group.MRDiffusionSequence = [weighting]

    image = io.read(save(ds, tmp_path / "dwi.dcm"))

    assert np.array_equal(image.voxels, np.stack([VOXELS + 100, VOXELS]))
    assert "told apart by DiffusionBValue" in image.notes[0]


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    ds = slices(np.array([[[0, 1], [2, 1]]], np.uint8), PhotometricInterpretation="PALETTE COLOR")[0]
    table = np.array([[0, 10, 20], [1, 11, 21], [2, 12, 22]], np.uint16) << 8
    for name, values in zip(("Red", "Green", "Blue"), table, strict=True):
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [3, 0, 16])
        setattr(ds, f"{name}PaletteColorLookupTableData", values.tobytes())

    image = io.read(save(ds, tmp_path / "us.dcm"))

    assert image.voxels[:, 0].tolist() == [[[0, 10], [20, 10]], [[1, 11], [21, 11]], [[2, 12], [22, 12]]]
