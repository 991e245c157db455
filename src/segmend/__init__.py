"""Segmend mends medical segmentations: a few marks, and the mask is right."""

__version__ = "0.1.0"
