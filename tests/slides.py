"""Slides for tests: pictures in which every place can be told from every other, written with a pyramid of tiles."""

import io

import numpy as np
import tifffile
from PIL import Image as Pillow
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, generate_uid

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
PLAIN = ExplicitVRLittleEndian
PACKERS = {JPEGBaseline8Bit: ("JPEG", {"quality": 95, "subsampling": 0}), JPEG2000Lossless: ("JPEG2000", {})}


def picture(height=2100, width=2601, seed=0):
    """Return smooth colours [y x 3] that differ from place to place."""
    small = np.random.default_rng(seed).integers(20, 236, (height // 40, width // 40, 3), np.uint8)
    return np.asarray(Pillow.fromarray(small).resize((width, height), Pillow.Resampling.BILINEAR))


def halved(pixels):
    """Return a picture with half the sides, as the levels of a pyramid are."""
    size = -(-pixels.shape[1] // 2), -(-pixels.shape[0] // 2)
    return np.asarray(Pillow.fromarray(pixels).resize(size, Pillow.Resampling.BOX))


def write_slide(path, pixels, *, levels=2, step=1, um=0.5, tile=256, inner=True, description=None, **packing):
    """Write a picture as a slide whose levels halve `step` times each; `inner` ones are SubIFDs, others pages."""
    options = {"tile": (tile, tile), "photometric": "rgb", "metadata": None, **packing}
    if um is not None:
        options |= {"resolution": (10_000 / um, 10_000 / um), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(pixels, subifds=levels - 1 if inner else None, description=description, **options)
        for _ in range(levels - 1):
            for _ in range(step):
                pixels = halved(pixels)
            writer.write(pixels, subfiletype=1, **options)
    return path


def write_dicom_slide(folder, pixels, *, levels=2, um=0.5, tile=256, syntax=PLAIN, sparse=False, missing=(), parts=1):
    """Write a picture as a series of whole-slide images, with a picture of the label; return the files.

    `missing` are tiles that were not scanned, by their number, of a `sparse` series. `parts` are the files of a level.
    """
    series, paths = generate_uid(), []
    for level in range(levels):
        tiles, columns = _tiles_of(pixels, tile), -(-pixels.shape[1] // tile)
        kept = [place for place in range(len(tiles)) if place not in missing]
        together = generate_uid()
        for part, places in enumerate(np.array_split(kept, parts)):
            data = _instance(
                series, pixels.shape, tile, um * 2**level, syntax, ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
            )
            _set_tiles(data, [tiles[place] for place in places], syntax)
            data.InstanceNumber = level + 1
            if parts > 1:
                data.ConcatenationUID, data.ConcatenationFrameOffsetNumber = together, int(places[0])
            data.DimensionOrganizationType = "TILED_SPARSE" if sparse else "TILED_FULL"
            if sparse:
                data.PerFrameFunctionalGroupsSequence = [_place(place, columns, tile) for place in places]
            paths.append(folder / f"level{level}.{part}.dcm")
            data.save_as(paths[-1], enforce_file_format=True)
        pixels = halved(pixels)
    label = _instance(series, (256, 256), tile, um, PLAIN, ["ORIGINAL", "PRIMARY", "LABEL", "NONE"])
    _set_tiles(label, [np.full((tile, tile, 3), 7, np.uint8)], PLAIN)
    paths.append(folder / "label.dcm")
    label.save_as(paths[-1], enforce_file_format=True)
    return paths


def _tiles_of(pixels, tile):
    rows, columns = (-(-side // tile) for side in pixels.shape[:2])
    padded = np.pad(pixels, ((0, rows * tile - pixels.shape[0]), (0, columns * tile - pixels.shape[1]), (0, 0)))
    return [padded[y * tile :, x * tile :][:tile, :tile] for y in range(rows) for x in range(columns)]


def _instance(series, size, tile, um, syntax, kind):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = WHOLE_SLIDE, generate_uid()
    meta.TransferSyntaxUID = syntax
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = WHOLE_SLIDE, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID, data.Modality = generate_uid(), series, "SM"
    data.PatientName, data.PatientID, data.SeriesDescription = "Doe^Jane", "12345", "Biopsy 9"
    data.ImageType = kind
    data.TotalPixelMatrixRows, data.TotalPixelMatrixColumns = size[:2]
    data.Rows = data.Columns = tile
    data.SamplesPerPixel, data.PlanarConfiguration = 3, 0
    data.PhotometricInterpretation = {JPEGBaseline8Bit: "YBR_FULL", JPEG2000Lossless: "YBR_RCT"}.get(syntax, "RGB")
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [um / 1000] * 2, 0.005
    shared.PixelMeasuresSequence = [measures]
    data.SharedFunctionalGroupsSequence = [shared]
    return data


def _set_tiles(data, tiles, syntax):
    data.NumberOfFrames = len(tiles)
    if syntax not in PACKERS:
        data.PixelData = np.stack(tiles).tobytes()
        return
    kind, options = PACKERS[syntax]
    packed = []
    for tile in tiles:
        file = io.BytesIO()
        Pillow.fromarray(np.ascontiguousarray(tile)).save(file, kind, **options)
        packed.append(file.getvalue())
    data.PixelData = encapsulate(packed)
    data["PixelData"].VR = "OB"


def _place(place, columns, tile):
    at, group = Dataset(), Dataset()
    at.RowPositionInTotalImagePixelMatrix = int(place) // columns * tile + 1
    at.ColumnPositionInTotalImagePixelMatrix = int(place) % columns * tile + 1
    group.PlanePositionSlideSequence = [at]
    return group
