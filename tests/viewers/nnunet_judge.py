"""What nnU-Net itself says of raw data sets: nnunet_judge.py SCRATCH DATASET... prints a line of JSON for each.

Its processes are copies of this one, in place of new ones that load PyTorch each, and it looks at fewer voxels.
"""

import json
import multiprocessing
import os
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

COPIES = multiprocessing.get_context("fork")
multiprocessing.get_context = lambda method=None: COPIES  # type: ignore[assignment]
VOXELS = 1000


def judge(folder: Path, prepared: Path) -> dict[str, Any]:
    """Return what nnU-Net finds in a data set that it does not refuse, and what it plans for it."""
    os.environ.update(nnUNet_raw=str(folder.parent), nnUNet_preprocessed=str(prepared), nnUNet_results=str(prepared))
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

    said = StringIO()
    with redirect_stdout(said):
        verify_dataset_integrity(str(folder), 1)
        looking = DatasetFingerprintExtractor(folder.name, 1)
        looking.show_progress_bar = False
        looking.num_foreground_voxels_for_intensitystats = VOXELS
        looking.run()
        plan = ExperimentPlanner(folder.name).plan_experiment()
    return {
        "cases": sorted(looking.dataset),
        "said": [line for line in said.getvalue().splitlines() if line.startswith(("Warning", "Error"))],
        "reader": plan["image_reader_writer"],
        "spacing": plan["original_median_spacing_after_transp"],
        "size": plan["original_median_shape_after_transp"],
        "configurations": {
            name: one["normalization_schemes"] for name, one in plan["configurations"].items() if len(one) > 1
        },
    }


if __name__ == "__main__":
    scratch = Path(sys.argv[1])
    for number, one in enumerate(map(Path, sys.argv[2:])):
        prepared = scratch / str(number)
        prepared.mkdir()
        try:
            found = judge(one, prepared)
        except Exception as error:
            found = {"refused": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(found, default=float) + "\n")
