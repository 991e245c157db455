"""ITK-SNAP as a client, written by hand: the calls that it makes, at whatever server speaks its dialect."""

import base64
import gzip
import json

import numpy as np

from tests.server.running import http


class Snap:
    """ITK-SNAP at one image, with the segmentation that it shows its person."""

    def __init__(self, address, model="segmend", **options):
        self.http = http(address, **options)
        self.session = self.ask(f"/v2/start_session/{model}").json()["session_id"]
        self.shown = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def ask(self, path, **query):
        return self.http.get(path, params=query or None)

    def show(self, voxels, spacing=(0.8, 0.5, 3.0), **said):
        """Begin with an image [z y x] or [y x], and with [... c] where there are channels; spacing is (x, y, z)."""
        said = self.said(voxels, spacing) | said
        reply = self.form(f"/upload_raw/{self.session}?filename=upload.nii.gz", voxels, said)
        self.shown = np.zeros(said["dimensions"][::-1], bool)
        return reply

    def said(self, voxels, spacing=(0.8, 0.5, 3.0), components=1):
        sides = voxels.shape if components == 1 else voxels.shape[:-1]
        count = len(sides)
        return {
            "dimensions": list(sides[::-1]),
            "spacing": list(spacing[:count]),
            "origin": [-10.0, 5.0, 7.0][:count],
            "direction": np.eye(count).ravel().tolist(),
            "components_per_pixel": components,
            "component_type": "float",
        }

    def form(self, path, voxels, said):
        packed = voxels if isinstance(voxels, bytes) else gzip.compress(np.ascontiguousarray(voxels, "<f4").tobytes())
        metadata = said if isinstance(said, str) else json.dumps(said)
        return self.http.post(
            path,
            files={
                "file": ("image.gz", packed, "application/gzip"),
                "metadata": (None, metadata, "application/json"),
            },
        )

    def take(self, reply):
        """Show the answer, which needs to be a byte for each voxel."""
        assert reply.status_code == 200, reply.text
        values = reply.json()
        assert values["status"] == "success"
        mask = np.frombuffer(gzip.decompress(base64.b64decode(values["result"])), np.int8)
        self.shown = mask.reshape(self.shown.shape) == 1
        assert set(np.unique(mask)) <= {0, 1}
        return self.shown

    def point(self, *numbers, foreground=True):
        said = "true" if foreground else "false"
        query = [*(("point", number) for number in numbers), ("foreground", said)]
        return self.take(self.http.get(f"/v2/process_point_interaction/{self.session}", params=query))

    def drawn(self, kind, mask, foreground=True):
        said = "true" if foreground else "false"
        path = f"/process_{kind}_interaction/{self.session}?foreground={said}"
        return self.take(self.form(path, mask, self.said(mask)))

    def next(self):
        assert self.ask(f"/reset_interactions/{self.session}").json() == {"status": "success"}
