"""nnInteractive's own server and engine on a small network without training; prints its address, then listens.

The network says that what was marked is the object, so nothing is downloaded and no GPU is needed; everything else,
from the routes to the zooming and undo of the engine, is theirs.
"""

import socket
import sys
from types import ModuleType, SimpleNamespace

import torch
import uvicorn

VIEWERS_AT_ONCE = 2
CHANNELS = {"prev_seg": 0, "bbox2d": (1, 2), "bbox3d": (1, 2), "lasso": (1, 2), "points": (3, 4), "scribble": (5, 6)}


class Marked(torch.nn.Module):
    """Logits of background and object: the mask before and what was marked, without what was marked as not the object.

    A sample has the channels of the image first, then the seven of the mask and the marks.
    """

    def forward(self, sample: torch.Tensor) -> torch.Tensor:  # [b c x y z]
        mask, *marks = sample[:, -7:].unbind(1)
        inside = torch.stack([mask, *marks[0::2]]).amax(0) > 0.5
        outside = torch.stack(marks[1::2]).amax(0) > 0.5
        object_logits = (inside & ~outside).float() - 0.5
        return torch.stack([-object_logits, object_logits], 1)


def main() -> None:
    # The engine takes a class of nnU-Net's training to build networks from plans; ours is built, and training would
    # bring forty packages more.
    training = ModuleType("nnInteractive.trainer.nnInteractiveTrainer")
    training.nnInteractiveTrainer_stub = object  # type: ignore[attr-defined]
    sys.modules[training.__name__] = training
    from nnInteractive.inference.server.app import make_app
    from nnInteractive.interaction.point import PointInteraction_stub

    artifacts = {
        "network": Marked(),
        "configuration_manager": SimpleNamespace(patch_size=[8, 8, 8]),
        "capability_content": {
            "supported_interactions": dict.fromkeys(["points", "bbox2d", "bbox3d", "scribble", "lasso"], True),
            "channel_mapping": CHANNELS,
            "interaction_channels": 6,
        },
        "point_interaction": PointInteraction_stub(1),
        "preferred_scribble_thickness": [1, 1, 1],
        "interaction_decay": 0.98,
        "pad_mode_data": "constant",
        "license": "none",
        **dict.fromkeys(["plans_manager", "dataset_json", "trainer_name", "label_manager"]),
    }
    app = make_app(artifacts, torch.device("cpu"), max_sessions=VIEWERS_AT_ONCE, torch_n_threads=1)
    listening = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])


if __name__ == "__main__":
    main()
