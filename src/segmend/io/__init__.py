"""Read images and write masks, one format a file; what a file is, its first bytes say, not its name.

>>> from segmend.io import MASK_FORMATS
>>> ".seg.nrrd" in MASK_FORMATS
True
"""

from segmend.io.exchange import open_image, to_nibabel, to_simpleitk
from segmend.io.files import (
    ALIASES,
    FLAT_FORMATS,
    LAYERED_FORMATS,
    MASK_FORMATS,
    dicom_source,
    images,
    mask_names,
    mask_origins,
    mask_writer,
    read,
    read_maps,
    read_mask,
    series,
    suffix_of,
    write_image,
    write_mask,
)
from segmend.io.series import SeriesInfo

__all__ = [
    "ALIASES",
    "FLAT_FORMATS",
    "LAYERED_FORMATS",
    "MASK_FORMATS",
    "SeriesInfo",
    "dicom_source",
    "images",
    "mask_names",
    "mask_origins",
    "mask_writer",
    "open_image",
    "read",
    "read_maps",
    "read_mask",
    "series",
    "suffix_of",
    "to_nibabel",
    "to_simpleitk",
    "write_image",
    "write_mask",
]
