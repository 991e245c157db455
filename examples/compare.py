"""Two methods on the same drawn pictures, played by the same robot."""

from pathlib import Path
from tempfile import TemporaryDirectory

from segmend.evaluation.compare import compare
from segmend.samples import write_folder


def main() -> None:
    with TemporaryDirectory() as folder:
        write_folder(Path(folder), cases=1, kinds=["skin"], shapes={"skin": (1, 48, 64)})
        found = compare(Path(folder), ["graphcut", "randomwalker"], interactions=2, split="all")
    for one in found.standings("pictures"):
        print(f"{one.method:<16} {one.values['dice']['1']:.3f} {one.values['dice']['2']:.3f}")


if __name__ == "__main__":  # each method's process begins by reading this file
    main()
