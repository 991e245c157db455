"""What Segmend's module for 3D Slicer is made of, without its window: the server's client, and what is in the scene."""
