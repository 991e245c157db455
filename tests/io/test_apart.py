"""Files read in another process: the same images, and an end for what hangs, crashes or takes all memory."""

import os
import signal
import sys

import numpy as np
import pytest

from segmend import io
from segmend.core.image import Image, scale_affine
from segmend.core.session import Label
from segmend.errors import FileError, LimitError
from segmend.io import apart, files
from segmend.io.apart import Apart, Kept
from segmend.io.nifti import nifti_header
from tests.io.children import children

COPIES = [pytest.param(True, marks=pytest.mark.skipif(sys.platform != "linux", reason="forks")), False]
VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(1, 2, 3, 4)
IMAGE = Image(VOXELS, scale_affine((3.0, 0.5, 0.8)))


def write_empty_scan(path):
    """Write a NIfTI file of half a gigabyte that takes no room on the disk; return its path."""
    sides = (1024, 1024, 512)
    path.write_bytes(nifti_header(sides, np.dtype(np.uint8), np.eye(4)))
    os.truncate(path, path.stat().st_size + 1024 * 1024 * 512)
    return path


@pytest.fixture(params=COPIES, ids=["copy", "started"])
def reader(request, tmp_path):
    """What reads apart, whose folder is empty at the end."""
    (tmp_path / "apart").mkdir()
    yield Apart(tmp_path / "apart", forked=request.param)
    assert list((tmp_path / "apart").iterdir()) == []


def test_an_image_is_the_one_that_is_read_here(reader, tmp_path):
    io.write_image(tmp_path / "a.nii.gz", IMAGE)

    here, there = io.read(tmp_path / "a.nii.gz"), reader.image(tmp_path / "a.nii.gz")

    np.testing.assert_array_equal(there.voxels, VOXELS)
    assert there.voxels.dtype == here.voxels.dtype and there.affine.tolist() == here.affine.tolist()
    assert there.notes == here.notes
    assert reader.series(tmp_path / "a.nii.gz") == io.series(tmp_path / "a.nii.gz")


def test_of_a_fourth_axis_one_moment_is_taken(reader, tmp_path):
    io.write_image(tmp_path / "four.nrrd", Image(np.stack([VOXELS[0], 2 * VOXELS[0]])))

    second = reader.image(tmp_path / "four.nrrd", fourth="time", frame=1)

    np.testing.assert_array_equal(second.voxels, 2 * VOXELS)


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
class TestCopies:
    """What ends a copy of this process, which takes no time to start."""

    @pytest.fixture(params=[False, True], ids=["each", "kept"])
    def copies(self, request, tmp_path):
        kept = Kept() if request.param else None
        yield Apart(tmp_path, forked=True, kept=kept)
        if kept is not None:
            kept.end()

    @pytest.fixture
    def scan(self, tmp_path):
        io.write_image(tmp_path / "scan.nii.gz", IMAGE)
        return tmp_path / "scan.nii.gz"

    def test_a_mask_comes_with_its_names(self, copies, tmp_path):
        mask = np.zeros(IMAGE.shape, np.uint16)
        mask[1, 2, 3] = 7
        io.write_mask(tmp_path / "mask.seg.nrrd", mask, IMAGE, [Label(7, "bar", (1, 2, 3))])

        found, names = copies.mask(tmp_path / "mask.seg.nrrd", IMAGE)

        np.testing.assert_array_equal(found, mask)
        assert names == {7: "bar"}

    def test_a_reader_that_crashes_is_a_damaged_file(self, copies, scan, monkeypatch):
        monkeypatch.setitem(files.READERS, "nifti", lambda *_: os._exit(3))

        with pytest.raises(FileError, match=r"^scan\.nii\.gz is damaged: what reads it ended without an answer\.$"):
            copies.image(scan)

    def test_what_the_system_kills_needs_too_much_memory(self, copies, scan, monkeypatch):
        monkeypatch.setitem(files.READERS, "nifti", lambda *_: os.kill(os.getpid(), signal.SIGKILL))

        with pytest.raises(LimitError, match="needs more memory to be read than there is"):
            copies.image(scan)

    def test_memory_is_limited(self, copies, tmp_path, monkeypatch):
        empty = write_empty_scan(tmp_path / "empty.nii")
        monkeypatch.setattr(apart, "free_memory", lambda: 0)
        monkeypatch.setattr(apart, "BESIDE", 8 << 20)

        with pytest.raises(FileError, match=r"^empty\.nii needs more memory than there is\.$"):
            copies.image(empty)

    def test_this_process_keeps_its_own_limits(self, copies, scan):
        import resource

        before = resource.getrlimit(resource.RLIMIT_AS), signal.getitimer(signal.ITIMER_PROF)
        copies.image(scan)

        assert (resource.getrlimit(resource.RLIMIT_AS), signal.getitimer(signal.ITIMER_PROF)) == before

    def test_one_is_kept_for_the_next_files_until_one_is_refused(self, tmp_path, scan, monkeypatch):
        """Which one read a file is seen by the number that it leaves behind."""
        read, numbers = files.READERS["nifti"], tmp_path / "numbers"

        def note_and_read(*arguments):
            with numbers.open("a") as file:
                file.write(f"{os.getpid()} ")
            if arguments[0].name == "slow.nii.gz":
                while True:
                    pass
            return read(*arguments)

        monkeypatch.setitem(files.READERS, "nifti", note_and_read)
        monkeypatch.setattr(apart, "MOST_FILES", 4)
        for name in ("slow.nii.gz", "other.nii.gz"):
            (tmp_path / name).write_bytes(scan.read_bytes())
        (tmp_path / "none.nii.gz").write_bytes(b"no image")
        before = set(children())
        kept = Kept()
        reader = Apart(tmp_path, forked=True, kept=kept, seconds=0.2)
        try:
            for path in (scan, tmp_path / "other.nii.gz"):
                np.testing.assert_array_equal(reader.image(path).voxels, VOXELS)
            with pytest.raises(FileError):
                reader.image(tmp_path / "none.nii.gz")
            reader.image(scan)
            with pytest.raises(LimitError, match="could not be read within"):  # its own seconds, not those of all
                reader.image(tmp_path / "slow.nii.gz")
            for _ in range(5):
                reader.image(scan)
        finally:
            kept.end()
        first, second, third, slow, *rest = numbers.read_text().split()
        assert first == second != third == slow and slow not in rest
        assert rest[0] == rest[1] == rest[2] == rest[3] != rest[4]
        assert set(children()) <= before  # none is left
