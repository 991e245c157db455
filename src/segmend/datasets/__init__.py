"""Data sets, one kind a file: folders of annotated cases, and pictures that we draw ourselves."""
