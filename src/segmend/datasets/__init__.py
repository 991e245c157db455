"""Data sets, one layout a file: generic folders, the papers' public sets, and pictures that we draw ourselves."""

from segmend.datasets.folder import LAYOUTS, Case, DataSet, Example, look, sets

__all__ = ["LAYOUTS", "Case", "DataSet", "Example", "look", "sets"]
