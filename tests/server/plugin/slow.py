"""Flood, but each slice takes a while."""

import time

import flood

from segmend.core.segmenter import Method, Segmenter

METHOD = Method("slow", "Slow", "none", ("click",), (3,), "none needed")


class SlowWorkspace(flood.FloodWorkspace):
    def pause(self):
        time.sleep(0.02)


class Slow(Segmenter):
    def open(self, image):
        return SlowWorkspace(image)


def load():
    return Slow()
