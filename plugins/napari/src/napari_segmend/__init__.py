"""Segmend in napari; `napari.yaml` says what it adds."""
