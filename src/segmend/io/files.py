"""The one door to files: which reader a file needs, and which writer a name asks for."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np

from segmend.core.geometry import onto
from segmend.core.image import Image, LabelMap
from segmend.core.session import PALETTE, Label
from segmend.errors import FileError, SettingsError, ShapeError
from segmend.io import analyze, dicom, dicomseg, folders, metaimage, mgh, nifti, nrrd, pixels, rtstruct
from segmend.io.dicomseg import Origin, Told
from segmend.io.folders import explain_errors, open_files
from segmend.io.intensities import Numbers, whole_labels
from segmend.io.reference import Reference, find_reference
from segmend.io.series import SeriesInfo, printable

MASK_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        ".nii.gz": "NIfTI, packed",
        ".nii": "NIfTI",
        ".seg.nrrd": "3D Slicer segmentation, with names and colours",
        ".nrrd": "NRRD label map",
        ".mha": "MetaImage label map",
        ".dcm": "DICOM segmentation (SEG)",
        ".rtstruct.dcm": "DICOM structure set (RTSTRUCT)",
        ".tif": "TIFF, a page a slice",
        ".png": "PNG, in the labels' colours",
    }
)
FLAT_FORMATS = (".png",)  # that hold a picture, of one slice, and no volume
LAYERED_FORMATS = (".seg.nrrd", ".dcm", ".rtstruct.dcm")  # that hold labels which share voxels; others one a voxel
IMAGE_FORMATS = (".nii.gz", ".nii", ".nrrd", ".mha", ".tif", ".tiff", ".png")
# Other endings of the same formats.
ALIASES = {".rtss.dcm": ".rtstruct.dcm", ".tiff": ".tif"}
DICOM_ENDINGS = (".dcm", ".rtstruct.dcm")
# Bytes of a file by which its format is known.
HEAD = 4096


def sniff_format(path: Path) -> str:
    """Return the format that a file's first bytes say: 'nifti', 'dicom', 'zip', ..., or '' for none we know."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if dicom.has_preamble(head):
        return "dicom"
    if head.startswith(nifti.GZIP):
        try:
            head = zlib.decompressobj(47).decompress(head, HEAD)
        except zlib.error:
            return ""
        return _sniff_medical(head)
    tests: dict[str, bool] = {
        "zip": head.startswith(folders.ZIP),
        "nrrd": head.startswith(nrrd.MAGIC),
        "png": head.startswith(pixels.PNG),
        "jpeg": head.startswith(pixels.JPEG),
        "tiff": head.startswith(pixels.TIFF),
        "bmp": pixels.is_bmp(head),
        "dicom": dicom.is_dicom(head),
        "metaimage": metaimage.is_metaimage(head),
    }
    return _sniff_medical(head) or next((kind for kind, found in tests.items() if found), "")


def _sniff_medical(head: bytes) -> str:
    """Return which of the formats that gzip may pack starts so: 'nifti', 'analyze', 'mgh', or ''."""
    tests = {"nifti": nifti.is_nifti(head), "analyze": analyze.is_analyze(head), "mgh": mgh.is_mgh(head)}
    return next((kind for kind, found in tests.items() if found), "")


def _header_of_pair(path: Path) -> Path:
    """Return the header of a pair for the .img file in it, any other path as it is."""
    header = nifti.header_file(path) if path.is_file() else None
    return header if header and sniff_format(header) in ("nifti", "analyze") else path


def read(path: str | Path, *, series: str | None = None, fourth: str = "channels", frame: int = 0) -> Image:
    """Return the image in a file, a folder of DICOM files, or a zip file of either.

    `series` chooses one of several (a `SeriesInfo.uid` or its name). `fourth` says what a
    fourth axis is: "channels" keeps all of it, "time" takes the one `frame`.
    """
    if fourth not in ("channels", "time"):
        raise SettingsError(f"A fourth axis is read as 'channels' or 'time'; got {fourth!r}.")
    with _contents(Path(path)) as contents:
        if series is None and len(contents.found) > 1:
            raise FileError(f"{contents.name} holds {len(contents.found)} images; choose one: {contents.listing}.")
        wanted = [e for e in contents.found if series in (None, e.info.uid)]
        wanted = wanted or [e for e in contents.found if series == e.info.name]
        if len(wanted) != 1:
            raise FileError(f"{contents.name} holds no one series {series!r}; it holds: {contents.listing}.")
        return wanted[0].read(fourth, frame)


def images(path: str | Path, *, refused: bool = False) -> Iterator[tuple[SeriesInfo, Callable[[], Image]]]:
    """Yield all images that a path holds, each with what reads it; the path is looked through once.

    What an archive holds can be read until the next one is asked for. With `refused` the files that hold none come
    last: what would read them raises the FileError that says why.
    """
    with _contents(Path(path)) as contents:
        for entry in contents.found:
            yield entry.info, partial(_read_entry, entry, contents.name)
        for other, kind in contents.others if refused else ():
            yield SeriesInfo(other.name, other.name, "", ""), partial(_refuse, other, kind)


def _read_entry(entry: _Entry, name: str) -> Image:
    with explain_errors(name):
        return entry.read("channels", 0)


def series(path: str | Path) -> tuple[SeriesInfo, ...]:
    """Return what a path holds: one entry for an image file, one a series for DICOM folders and zip files."""
    with _contents(Path(path)) as contents:
        return tuple(entry.info for entry in contents.found)


class _Entry:
    def __init__(self, info: SeriesInfo, read: Callable[[str, int], Image]) -> None:
        self.info, self.read = info, read


class _Contents:
    def __init__(self, name: str, found: list[_Entry], others: list[tuple[Path, str]]) -> None:
        self.name, self.found = name, found
        self.others = others  # files that hold no image and belong to none, with their formats

    @property
    def listing(self) -> str:
        shown = "; ".join(str(entry.info) for entry in self.found[:20])
        return shown + (f"; and {len(self.found) - 20} more" if len(self.found) > 20 else "")


@contextmanager
def _contents(path: Path) -> Iterator[_Contents]:
    """Give what a path holds; a zip file lies unpacked in a folder of its own meanwhile."""
    with explain_errors(path.name), open_files(_header_of_pair(path)) as paths:
        yield _look_through(paths, path.name)


def _look_through(paths: Sequence[Path], name: str) -> _Contents:
    kinds = {path: sniff_format(path) for path in paths}
    volumes = dicom.volumes([path for path, kind in kinds.items() if kind == "dicom"])
    found = [_Entry(volume.info, _dicom_reader(volume)) for volume in volumes]
    found += [_Entry(_file_info(p, kind), _file_reader(p, kind)) for p, kind in kinds.items() if kind in READERS]
    if found:
        used = {plane.path for volume in volumes for plane in volume.planes}
        headers = {_stem(path) for path, kind in kinds.items() if kind in WITH_DATA}
        rest = [(path, kind) for path, kind in kinds.items() if kind not in READERS and path not in used]
        others = [(path, kind) for path, kind in rest if kind or _stem(path) not in headers]
        others = [(path, kind) for path, kind in others if kind != "dicom" or not dicom.lists_files(path)]
        return _Contents(name, found, others)
    if len(paths) == 1:
        raise FileError(_refusal(paths[0], kinds[paths[0]]))
    raise FileError(f"{name} holds no image among its {len(paths)} files.")


def _stem(path: Path) -> Path:
    """Return the name that a header and the file with its voxels share."""
    name = path.name.lower().removesuffix(".gz")
    return path.with_name(name.rpartition(".")[0] or name)


def _refuse(path: Path, kind: str) -> Image:
    raise FileError(_refusal(path, kind))


def _refusal(path: Path, kind: str) -> str:
    size = path.stat().st_size
    if size == 0:
        return f"{path.name} is empty."
    if kind == "dicom":
        return f"{path.name} is {_describe_imageless(dicom.modality_of(path), dicom.lists_files(path))}."
    known = "NIfTI, Analyze, MGH, NRRD, MetaImage, DICOM, PNG, JPEG, TIFF, BMP and zip"
    return f"{path.name} is no image that is known; {known} are read, whatever their names end in."


def _describe_imageless(modality: str, listing: bool) -> str:
    """Return what a DICOM file without an image is."""
    if listing:
        return "a DICOMDIR, which lists other files; give the folder that they lie in"
    if modality in DICOM_MASKS:
        kind = "segmentation" if modality == "SEG" else "structure set"
        return f"a DICOM {kind}, not an image; it is read as a mask of its image"
    return f"DICOM{f' of modality {printable(modality)[:16]}' if modality else ''} without an image"


# Readers of DICOM masks by modality.
DICOM_MASKS: dict[str, Callable[[Path, Image, bool], LabelMap]] = {
    "SEG": lambda path, image, layered: dicomseg.read_segmentation(path, image, layered=layered),
    "RTSTRUCT": lambda path, image, layered: rtstruct.read_structures(path, image, layered=layered),
}
# Readers of the names in a mask, by format or DICOM modality.
NAME_READERS: dict[str, Callable[[Path], dict[int, str]]] = {
    "nrrd": nrrd.segment_names,
    "SEG": dicomseg.segment_names,
    "RTSTRUCT": rtstruct.region_names,
}
# Formats whose voxels may lie in a file of their own beside the header.
WITH_DATA = ("nifti", "analyze", "nrrd", "metaimage")
Reader = Callable[[Path, str, int], Image]
READERS: dict[str, Reader] = {
    "nifti": lambda path, fourth, frame: nifti.read_nifti(path, fourth=fourth, frame=frame),
    "analyze": lambda path, fourth, frame: analyze.read_analyze(path, fourth=fourth, frame=frame),
    "mgh": lambda path, fourth, frame: mgh.read_mgh(path, fourth=fourth, frame=frame),
    "nrrd": lambda path, fourth, frame: nrrd.read_nrrd(path, fourth=fourth, frame=frame),
    "metaimage": lambda path, fourth, frame: metaimage.read_metaimage(path, fourth=fourth, frame=frame),
    "png": lambda path, fourth, frame: pixels.read_png(path),
    "jpeg": lambda path, fourth, frame: pixels.read_jpeg(path),
    "tiff": lambda path, fourth, frame: pixels.read_tiff(path, fourth=fourth, frame=frame),
    "bmp": lambda path, fourth, frame: pixels.read_bmp(path),
}


def _dicom_reader(volume: dicom.Volume) -> Callable[[str, int], Image]:
    return lambda fourth, frame: dicom.read_volume(volume, fourth=fourth, frame=frame)


def _file_reader(path: Path, kind: str) -> Callable[[str, int], Image]:
    return lambda fourth, frame: READERS[kind](path, fourth, frame)


def _file_info(path: Path, kind: str) -> SeriesInfo:
    titles = {"nifti": "NIfTI", "analyze": "Analyze 7.5", "nrrd": "NRRD", "metaimage": "MetaImage"}
    return SeriesInfo(path.name, path.name, "", titles.get(kind, kind.upper()))


def suffix_of(path: Path, known: Sequence[str]) -> str:
    """Return the longest known ending of a file's name; FileError names them when none fits.

    >>> suffix_of(Path("liver.seg.nrrd"), list(MASK_FORMATS))
    '.seg.nrrd'
    """
    name = path.name.lower()
    fitting = [suffix for suffix in known if name.endswith(suffix)]
    if not fitting:
        raise FileError(f"{path.name} needs a name that ends in {', '.join(known)}.")
    return max(fitting, key=len)


def write_mask(
    path: str | Path,
    label_map: LabelMap,
    image: Image,
    labels: Sequence[Label],
    *,
    source: str | Path | None = None,
    anonymous: bool = True,
) -> None:
    """Write a label map on its image's grid, in the format that the name's ending asks for.

    `source` is the folder, zip or file of the DICOM series the image came from; DICOM masks
    refer to it. Without `anonymous=False` nothing that names the patient is copied from it.
    Labels that the map uses and nobody named get a name of their number. Formats of `LAYERED_FORMATS` take maps
    [layer z y x], too, in which labels share voxels.
    """
    mask_writer(path, image, source=source, anonymous=anonymous)(label_map, labels)


class MaskWriter(Protocol):
    """Writes masks of one image to one file; `origins` says by label what made them, for a DICOM segmentation."""

    def __call__(
        self, label_map: LabelMap, labels: Sequence[Label], origins: Mapping[int, Origin | Told] | None = None
    ) -> None: ...


def mask_writer(
    path: str | Path,
    image: Image,
    *,
    source: str | Path | None = None,
    series: str | None = None,
    anonymous: bool = True,
) -> MaskWriter:
    """Return what writes masks of an image to a file, as `write_mask` does, after all that can be refused is checked.

    So whoever computes a mask first learns before that, and not after it, that the format cannot hold it. Of several
    series in `source` on the image's grid, `series` says which one the image is, by uid or name.
    """
    target = Path(path)
    suffix = suffix_of(target, [*MASK_FORMATS, *ALIASES])
    suffix = ALIASES.get(suffix, suffix)
    if not anonymous and suffix not in DICOM_ENDINGS:
        raise FileError(f"Only a DICOM mask ({', '.join(DICOM_ENDINGS)}) can keep its patient; got {target.name}.")
    if not target.parent.is_dir():
        raise FileError(f"{target.name} could not be written: No such file or directory.")
    if suffix == ".png":
        pixels.check_flat(image.shape[0])
    if suffix == ".dcm":
        dicomseg.check_writable(image)
    reference = find_reference(image, source, anonymous=anonymous, series=series) if suffix in DICOM_ENDINGS else None

    def write(label_map: LabelMap, labels: Sequence[Label], origins: Mapping[int, Origin | Told] | None = None) -> None:
        _write(target, suffix, label_map, image, labels, reference, origins or {})

    return write


def _write(
    target: Path,
    suffix: str,
    label_map: LabelMap,
    image: Image,
    labels: Sequence[Label],
    reference: Reference | None,
    origins: Mapping[int, Origin | Told],
) -> None:
    if label_map.shape[-3:] != image.shape:
        raise ShapeError(f"A mask needs its image's shape {image.shape}; got {label_map.shape}.")
    if label_map.ndim == 4 and suffix not in LAYERED_FORMATS:
        raise ShapeError(f"{suffix} holds one label a voxel, and this mask has {len(label_map)} layers.")
    named = _complete_labels(label_map, labels)
    if reference is not None:
        if suffix == ".dcm":
            dicomseg.write_segmentation(target, label_map, image, named, reference, origins)
        else:
            rtstruct.write_structures(target, label_map, image, named, reference)
        return
    small = label_map.astype(np.uint8 if label_map.max() < 256 else np.uint16)
    small = small[None] if small.ndim == 3 else small
    match suffix:
        case ".nii.gz" | ".nii":
            nifti.write_nifti(target, small, image.affine)
        case ".seg.nrrd":
            nrrd.write_nrrd(target, small, image.affine, nrrd.segment_keys(label_map, named))
        case ".nrrd":
            nrrd.write_nrrd(target, small, image.affine)
        case ".mha":
            metaimage.write_metaimage(target, small, image.affine)
        case ".tif":
            pixels.write_tiff(target, small, image.spacing.tolist())
        case ".png" if small.dtype == np.uint8:
            colours = {label.value: label.colour for label in named if label.value < 256}
            pixels.write_png_labels(target, small[0], colours, image.spacing.tolist())
        case ".png":  # a palette has 256 colours
            pixels.write_png(target, small, image.spacing.tolist())


def dicom_source(path: str | Path) -> Path | None:
    """Return the path when DICOM files are what lies there, so that masks can refer to them, else None."""
    place = Path(path)
    with explain_errors(place.name), open_files(place) as files:
        return place if any(sniff_format(file) == "dicom" for file in files) else None


def _complete_labels(label_map: LabelMap, labels: Sequence[Label]) -> list[Label]:
    """Return the labels given and one for every other value in the map, by value."""
    known = {label.value: label for label in labels if label.value != 0}
    present = np.zeros(2**16, bool)
    planes = label_map.reshape(-1, *label_map.shape[-2:])
    for plane in planes:  # one at a time: numbers of a whole CT would take eight times its memory
        present |= np.bincount(plane.ravel(), minlength=2**16) > 0
    for value in np.flatnonzero(present).tolist():
        if value and value not in known:
            known[value] = Label(value, f"label {value}", PALETTE[(value - 1) % len(PALETTE)])
    return [known[value] for value in sorted(known)]


def write_image(path: str | Path, image: Image) -> None:
    """Write an image as NIfTI, NRRD, MetaImage, TIFF or PNG, in the format that the name's ending asks for."""
    target = Path(path)
    match ALIASES.get(suffix := suffix_of(target, IMAGE_FORMATS), suffix):
        case ".nii.gz" | ".nii":
            nifti.write_nifti(target, image.voxels, image.affine)
        case ".nrrd":
            nrrd.write_nrrd(target, image.voxels, image.affine)
        case ".mha":
            metaimage.write_metaimage(target, image.voxels, image.affine)
        case ".tif":
            pixels.write_tiff(target, image.voxels, image.spacing.tolist())
        case ".png":
            pixels.write_png(target, image.voxels, image.spacing.tolist())


def read_mask(path: str | Path, image: Image) -> LabelMap:
    """Return the label map in a file, laid on the image's grid.

    A mask that is turned, mirrored, cropped or padded by whole voxels is put in its place;
    GeometryError when its voxels are not the image's. Where segments overlap, the later
    one holds; `read_maps` keeps both. PNG and TIFF say no place: they need the image's shape.
    """
    return _read_mask(path, image, layered=False)


def read_maps(path: str | Path, image: Image) -> LabelMap:
    """Return the label map in a file as `read_mask` does, or, where its objects share voxels, maps [layer z y x].

    Of the formats that masks come in .seg.nrrd, DICOM-SEG and RTSTRUCT have objects that overlap.
    """
    return _read_mask(path, image, layered=True)


def _read_mask(path: str | Path, image: Image, *, layered: bool) -> LabelMap:
    source = Path(path)
    if not source.is_file():
        raise FileError(f"There is no file {source.name}.")
    with explain_errors(source.name):
        source = _header_of_pair(source)
        kind = sniff_format(source)
        if kind == "nrrd":
            maps, affine = nrrd.read_segments(source, layered=layered)
            if maps.ndim == 4:
                return np.stack([onto(one, affine, image.shape, image.affine) for one in maps])
            return onto(maps, affine, image.shape, image.affine)
        if kind == "dicom" and (modality := dicom.modality_of(source)) in DICOM_MASKS:
            return DICOM_MASKS[modality](source, image, layered)
        if kind not in READERS:
            raise FileError(_refusal(source, kind))
        mask = pixels.read_png(source, indices=True) if kind == "png" else READERS[kind](source, "channels", 0)
        values = _single_layer(mask.voxels, source.name)
        if kind not in ("png", "jpeg", "tiff", "bmp"):
            return onto(values, mask.affine, image.shape, image.affine)
        if values.shape != image.shape:
            raise ShapeError(f"{source.name} needs the image's shape {image.shape}; it has {values.shape}.")
        return values


def mask_names(path: str | Path) -> dict[int, str]:
    """Return what the objects of a mask file are called, by their values in its label map, as far as it says.

    Of the formats that masks come in .seg.nrrd, DICOM-SEG and RTSTRUCT say it.
    """
    source = Path(path)
    with explain_errors(source.name):
        kind = sniff_format(source)
        names = NAME_READERS.get(dicom.modality_of(source) if kind == "dicom" else kind)
        found = names(source) if names else {}
        return {value: name for value, text in found.items() if (name := " ".join(text.split()))}


def mask_origins(path: str | Path) -> dict[int, Told]:
    """Return what a mask file says of how its objects were made, by their values in its label map; a DICOM-SEG does."""
    source = Path(path)
    with explain_errors(source.name):
        is_seg = sniff_format(source) == "dicom" and dicom.modality_of(source) == "SEG"
        return dicomseg.segment_origins(source) if is_seg else {}


def _single_layer(voxels: Numbers, name: str) -> LabelMap:
    if len(voxels) != 1:
        raise FileError(f"{name} has {len(voxels)} channels; a mask has one.")
    return whole_labels(voxels[0], name)
