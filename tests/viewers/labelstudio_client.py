"""Label Studio's own packing of masks, by its SDK: one line of JSON in, one out."""

import json
import sys

import numpy as np


def unpack(rle, height, width):
    """Return the mask that the SDK finds in some numbers."""
    from label_studio_sdk.converter import brush

    return np.reshape(brush.decode_rle(rle), (height, width, 4))[:, :, 3].tolist()


def pack(mask):
    """Return the numbers that the SDK makes of a mask."""
    from label_studio_sdk.converter import brush

    return brush.mask2rle(np.array(mask, np.uint8))


if __name__ == "__main__":
    for line in sys.stdin:
        name, arguments = json.loads(line)
        sys.stdout.write("JSON " + json.dumps({"value": {"pack": pack, "unpack": unpack}[name](**arguments)}) + "\n")
        sys.stdout.flush()
