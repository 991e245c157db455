"""A viewer that speaks nnInteractive, written by hand: what its requests are is seen here, byte for byte."""

import json
import struct

import blosc2
import numpy as np

from segmend.server.protocols import nnia
from tests.server.running import http


def packed(array, name=None):
    """Return an array as the client packs it."""
    array = np.ascontiguousarray(array)
    kind = (name or array.dtype.name).encode()
    options = {"typesize": array.dtype.itemsize, "codec": blosc2.Codec.ZSTD, "clevel": 3}
    chunk = blosc2.compress2(array.tobytes(), filters=[blosc2.Filter.NOFILTER], **options)
    head = struct.pack("<4s4B", b"NNIA", 1, 1, array.ndim, len(kind)) + kind
    return head + struct.pack(f"<{array.ndim}qIQQ", *array.shape, 1, array.nbytes, len(chunk)) + chunk


class Viewer:
    """A viewer at a server, with the mask that it shows its person."""

    def __init__(self, address, *, claim=True, **options):
        self.http = http(address, **options)
        if claim:
            self.lease = self.http.post("/claim").json()["lease_token"]
            self.http.headers["X-Lease-Token"] = self.lease
        self.mask = None
        self.box = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.post("/release")
        self.http.close()

    def show(self, voxels, spacing=(3.0, 0.5, 0.8)):
        """Begin with an image [z y x] or [c z y x]."""
        image = voxels if voxels.ndim == 4 else voxels[None]
        reply = self.packed("/set_image", image, image_properties={"spacing": list(spacing)})
        assert reply.status_code == 200, reply.text
        assert reply.json() == {"original_image_shape": list(image.shape)}
        self.mask = np.zeros(image.shape[1:], np.uint8)
        assert self.post("/set_target_buffer", shape=list(self.mask.shape), dtype="uint8").json() == {}

    def post(self, path, **values):
        return self.http.post(path, json=values)

    def packed(self, path, array, **meta):
        headers = {"X-Meta": json.dumps(meta), "Content-Type": "application/octet-stream"}
        return self.http.post(path, content=packed(array), headers=headers)

    def take(self, reply):
        """Lay what came over the mask; return whether anything was predicted."""
        assert reply.status_code == 200, reply.text
        meta = json.loads(reply.headers["x-meta"])
        self.box = meta["bbox"]
        if self.box is None:
            assert reply.content == b""
            return meta["ran_prediction"]
        part = nnia.unpack(reply.content, fits=lambda shape, size: None)
        assert meta["shape"] == list(part.shape) and meta["dtype"] == part.dtype.name
        self.mask[tuple(slice(low, high) for low, high in self.box)] = part
        return meta["ran_prediction"]

    def point(self, *index, positive=True, **values):
        values = {"coordinates": list(index), "include_interaction": positive, **values}
        return self.take(self.post("/add_point_interaction", **values))

    def boxed(self, *ends, positive=True):
        return self.take(self.post("/add_bbox_interaction", bbox_coords=list(ends), include_interaction=positive))

    def drawn(self, kind, voxels, box=None, positive=True, **meta):
        meta = {"include_interaction": positive, "interaction_bbox": box, **meta}
        return self.take(self.packed(f"/add_{kind}_interaction", voxels, **meta))

    def seed(self, mask, **meta):
        self.mask[:] = mask
        return self.take(self.packed("/add_initial_seg_interaction", mask, **meta))

    def next(self):
        self.mask[:] = 0
        assert self.post("/reset_interactions").json() == {}

    def undo(self):
        return self.take(self.post("/undo"))

    def predict(self):
        return self.take(self.post("/predict", force_full_refine=False))
