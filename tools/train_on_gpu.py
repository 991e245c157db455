"""Trains mend_slabs on a GPU that is there for some minutes: python tools/train_on_gpu.py COMMAND --help

    pack     here: as much data as fits beside the repository into what may travel
    wheels   here: the packages that are missing there
    run      there: train until the time is up, export, evaluate, and put all results into a folder
    unpack   here: put the results together again

Nothing is fetched there. docs/training.md has the whole procedure.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MIB = 2**20
# What training imports, by the names on the package index; torch is the machine's own.
NEEDS = ("click", "numpy", "onnx", "onnxruntime", "pillow", "scipy", "threadpoolctl", "tifffile", "matplotlib")
PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in (35, 34, 31, 28, 27, 24, 17)), "manylinux2014_x86_64")
STEADY_SHARE = 0.68  # of the time: with the full rate, and to learn the pace; the rate falls in what is left
ENDLESS = 10**7  # steps that no such run reaches
EXPORT_SECONDS = 45.0  # to export and to pack the results, besides evaluation
PART_BYTES = 15 * MIB  # of the archive of results: what a file that comes back may have, and a little less
MOST_PARTS = 4
MOMENTS = ("exp_avg", "exp_avg_sq")  # the optimiser's state, which travels in half the bits
CHECKPOINT = "checkpoint.pt"
ARCHIVE = "results.tar"

Say = Callable[[str], None]


def pack(data: Path, out: Path, *, limit: float, beside: Sequence[Path], val: int, unseen: int) -> dict[str, int]:
    """Copy sets that may ship, and few cases of others to check on, until `limit` MiB are full; never a test split.

    Sets that are learned from get about the same room each, small cases first, so that each kind is there. Returns how
    many cases of each set there are.
    """
    used = sum(path.stat().st_size for path in tracked(ROOT)) + sum(size_of(path) for path in beside)
    room = limit * MIB - used
    licences = json.loads((data / "licences.json").read_text(encoding="utf-8"))
    sets = {folder.name: folder for folder in sorted(data.iterdir()) if (folder / "split.json").is_file()}
    splits = {name: json.loads((folder / "split.json").read_text(encoding="utf-8")) for name, folder in sets.items()}
    learned = [name for name in sets if licences.get(name, {}).get("may_ship") is True]
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    keep(out / "licences.json", {name: licences[name] for name in sets if name in licences})
    chosen: dict[str, dict[str, list[str]]] = {}

    def take(name: str, split: str, case: str) -> int:
        nonlocal room
        files = files_of(sets[name], case)
        size = sum(path.stat().st_size for path in files)
        if size > room:
            return 0
        room -= size
        for path in files:
            there = out / path.relative_to(data)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, there)
        chosen.setdefault(name, {}).setdefault(split, []).append(case)
        return size

    def by_size(name: str, split: str) -> list[str]:
        cases = splits[name].get(split, [])
        return sorted(cases, key=lambda case: sum(path.stat().st_size for path in files_of(sets[name], case)))

    for name in (name for name, folder in sets.items() if (folder / "images").is_dir()):
        for case in by_size(name, "val")[: val if name in learned else unseen]:
            take(name, "val", case)
    waiting = {name: by_size(name, "train") for name in learned}
    taken = dict.fromkeys(learned, 0.0)  # bytes to learn from, of each set
    while any(waiting.values()):
        name = min((name for name in learned if waiting[name]), key=taken.__getitem__)
        size = take(name, "train", waiting[name].pop(0))
        taken[name] += size
        if not size:
            waiting[name] = []
    for name, parts in chosen.items():
        kept = {key: value for key, value in splits[name].items() if key not in ("train", "val", "test")}
        keep(out / name / "split.json", {**kept, **parts})
    return {f"{name} {split}": len(cases) for name, parts in chosen.items() for split, cases in parts.items()}


def files_of(folder: Path, case: str) -> list[Path]:
    """Return the files of a case: those called so, or so with the ending of one of its images."""
    told = json.loads((folder / "split.json").read_text(encoding="utf-8"))
    names = [template.replace("{id}", case) for template in told.get("images_per_case", ["{id}"])]
    images = [path for name in names for path in (folder / "images").glob(glob_of(name))]
    return [*images, *(folder / "labels").glob(glob_of(case))]


def glob_of(name: str) -> str:
    """Return a pattern for a file of this name with any ending."""
    return "".join(f"[{letter}]" if letter in "[]*?" else letter for letter in name) + ".*"


def tracked(repository: Path) -> list[Path]:
    """Return the repository's files that git does not ignore."""
    told = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        check=True,
        text=True,
    )
    return [path for name in told.stdout.split("\0") if name and (path := repository / name).is_file()]


def size_of(path: Path) -> int:
    """Return the bytes of a file or a folder."""
    return sum(one.stat().st_size for one in ([path] if path.is_file() else path.rglob("*")) if one.is_file())


def wheels(out: Path, *, there: Sequence[str], python: str) -> list[str]:
    """Download what training needs and the other machine lacks; `there` are the packages that it has."""
    has = {name.partition("==")[0].strip().lower().replace("_", "-") for name in there}
    missing = [name for name in NEEDS if name not in has]
    if missing:
        platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
        options = ["--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", python]
        pip = [sys.executable, "-m", "pip", "download", "--quiet", *options]
        subprocess.run([*pip, *platforms, "--dest", str(out), *missing], check=True)
    return missing


def run(
    data: Path, out: Path, *, minutes: float, changes: Sequence[str], start: Path | None, wheels: Path | None, most: int
) -> None:
    """Train, export, evaluate and bring back; whatever goes wrong, what there is by then lies in `out`."""
    begun = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="segmend-"))
    with (out / "log.txt").open("w", encoding="utf-8") as log, watch(out / "gpu.csv"):

        def say(line: str) -> None:
            stamped = f"{time.monotonic() - begun:6.1f} s  {line}"
            print(stamped, flush=True)
            log.write(stamped + "\n")
            log.flush()

        try:
            prepare(wheels)
            end = begun + 60 * minutes
            train(data, work, out, end=end, changes=changes, start=start, most=most, say=say)
        except BaseException:
            say(traceback.format_exc())
            raise
        finally:
            say(bring(work, out))


def prepare(wheels: Path | None) -> None:
    """Make the sources and the wheels importable.

    A virtual environment would not see the packages of another one, which is where a machine's torch may be.
    """
    if wheels is not None and any(wheels.glob("*.whl")):
        place = wheels.parent / (wheels.name + ".installed")
        options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--upgrade", "--target", str(place)]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, *map(str, wheels.glob("*.whl"))], check=True)
        sys.path.insert(0, str(place))
    sys.path.insert(0, str(ROOT / "src"))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def train(
    data: Path, work: Path, out: Path, *, end: float, changes: Sequence[str], start: Path | None, most: int, say: Say
) -> None:
    """Train at the full rate to learn the pace, then so many steps with a falling rate as there is time for.

    What there is after the first part is brought to `out` at once, in case that the second is cut short.
    """
    import torch

    from segmend.cli.train import settings_of
    from segmend.errors import ModelError
    from segmend.learning import loop
    from segmend.learning.precision import training_device
    from segmend.learning.progress import Lines
    from segmend.mend.learning import slab_recipe as how

    device, count = training_device("auto"), os.cpu_count() or 1
    say(f"Python {sys.version.split()[0]}, torch {torch.__version__}, {device}, {count} processors")
    quick = device.type != "cpu"
    told: dict[str, Any] = {"steps": ENDLESS, "batch": 128 if quick else 16, "warm": 200, "unseen": only_to_check(data)}
    told |= settings_of(changes)
    robots = count // 4 if count >= 8 else 0
    of_loop: dict[str, Any] = {"threads": 4 if quick else 1, "workers": max(1, count - 2), "robots": robots}
    of_loop |= {"every": 500, "exam": 128, **{name: told.pop(name) for name in [*told] if name in loop.LOOP}}
    settings = loop.settings_from(how, told)
    training, validation = how.subjects(data, "train", settings), how.subjects(data, "val", settings)
    say(f"{len(training)} cases to learn from, {len(validation)} to check on; {settings}; {of_loop}")
    folder = work / "run"
    checkpoint = begin_with(start, work) if start is not None else None
    if start is not None and checkpoint is None:
        settings = replace(settings, start=str(start))

    def learn(until: float) -> loop.Finished:
        minutes = max(until - time.monotonic(), 1.0) / 60
        options: dict[str, Any] = {"device": str(device), "progress": Lines(say), **of_loop, "minutes": minutes}
        return loop.run(how, training, validation, settings, folder, **options)

    until = end - EXPORT_SECONDS - most / (40.0 if quick else 4.0)
    part = STEADY_SHARE if settings.steps == ENDLESS else 1.0
    while True:
        began = time.monotonic()
        try:
            finished = learn(began + part * (until - began))
            break
        except torch.cuda.OutOfMemoryError:
            settings = replace(settings, batch=settings.batch // 2)
            shutil.rmtree(folder)
            say(f"too little memory on the GPU; a batch is {settings.batch} from now on")
        except ModelError as refused:
            if checkpoint is None:
                raise
            say(f"{refused} So its weights are taken alone.")
            shutil.rmtree(folder)
            settings, checkpoint = replace(settings, start=str(weights_of(checkpoint, settings, work))), None
    before = 0 if checkpoint is None else int(torch.load(checkpoint, "cpu", weights_only=True)["step"])
    pace = (finished.steps - before) / max(time.monotonic() - began, 1e-9)
    if settings.steps == ENDLESS:
        settings = replace(settings, steps=finished.steps + max(int(pace * (until - time.monotonic())), 1))
        say(f"{pace:.2f} steps/s; the rate falls until step {settings.steps}. {bring(work, out)}")
        finished = learn(until)
    sampler = how.Sampler(validation, replace(how.to_check(settings), seed=settings.seed + 2))
    network: Any = finished.network.to(device)
    scores = how.validate(network, [sampler[number] for number in range(most)])
    say("evaluation  " + "  ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    keep(folder / "scores.json", scores)


def begin_with(start: Path, work: Path) -> Path | None:
    """Lay a checkpoint where the run goes on from it; None where `start` holds weights alone."""
    checkpoint = start / CHECKPOINT if start.is_dir() else start
    if not checkpoint.is_file():
        return None
    (work / "run").mkdir(parents=True)
    shutil.copyfile(checkpoint, work / "run" / CHECKPOINT)
    return checkpoint


def weights_of(checkpoint: Path, settings: Any, work: Path) -> Path:
    """Export the averaged weights of a checkpoint, and return their folder."""
    import torch

    from segmend.mend.learning import slab_recipe as how

    network = how.build(settings)
    network.load_state_dict(torch.load(checkpoint, "cpu", weights_only=True)["average"])
    folder = work / "start"
    folder.mkdir(parents=True)
    how.export(network, settings, folder)
    return folder


def only_to_check(data: Path) -> tuple[str, ...]:
    """Return the names of the sets from which nothing is learned."""
    return tuple(
        folder.parent.name
        for folder in sorted(data.glob("*/split.json"))
        if "train" not in json.loads(folder.read_text(encoding="utf-8"))
    )


def bring(work: Path, out: Path) -> str:
    """Put what a run left into few files of a size that comes back: an archive in parts, and what is read at once.

    Returns a sentence on it.
    """
    folder = work / "run"
    if not folder.is_dir():
        return "There is nothing to bring back."
    for name in ("scores.json", "curve.png"):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
    names = ["scores.json", "run.json", "curve.csv", "curve.svg", "index.html"]
    files = [folder / name for name in names] + sorted(folder.glob("*.onnx")) + sorted(folder.glob("*.npz"))
    files += sorted((folder / "pictures").glob("*.png"))[-2:]
    slim = lighten(folder / CHECKPOINT, work / CHECKPOINT) if (folder / CHECKPOINT).is_file() else None
    there = [path for path in files if path.is_file()]
    room = MOST_PARTS * PART_BYTES - sum(size_of(path) for path in there) - MIB
    whole = slim is not None and size_of(slim) <= room
    archive = work / ARCHIVE
    with tarfile.open(archive, "w") as packed:
        for path in there:
            packed.add(path, path.relative_to(folder))
        if slim is not None and whole:
            packed.add(slim, CHECKPOINT)
    for old in out.glob(f"{ARCHIVE}.*"):
        old.unlink()
    with archive.open("rb") as whole_archive:
        for number in itertools.count():
            part = whole_archive.read(PART_BYTES)
            if not part:
                break
            (out / f"{ARCHIVE}.{number}").write_bytes(part)
    what = "with its checkpoint" if whole else "without a checkpoint, which is too large or not there"
    return f"The run is in {out.name}, {what}."


def lighten(checkpoint: Path, out: Path) -> Path:
    """Write a checkpoint with the optimiser's moments in half the bits, and that is of no machine's folder."""
    import torch

    kept = torch.load(checkpoint, "cpu", weights_only=True)
    for moments in kept["optimiser"]["state"].values():
        moments |= {name: moments[name].bfloat16() for name in MOMENTS}
    kept["settings"]["start"] = ""
    torch.save(kept, out)
    return out


def unpack(results: Path, out: Path) -> list[str]:
    """Put the parts of the archive together and unpack it; the names of what was in it."""
    out.mkdir(parents=True, exist_ok=True)
    whole = out / ARCHIVE
    with whole.open("wb") as joined:
        for number in itertools.count():
            part = results / f"{ARCHIVE}.{number}"
            if not part.is_file():
                break
            joined.write(part.read_bytes())
    with tarfile.open(whole) as packed:
        names = packed.getnames()
        packed.extractall(out, filter="data")
    whole.unlink()
    return names


@contextmanager
def watch(file: Path) -> Iterator[None]:
    """Write every five seconds how busy the GPU is and how much of its memory is taken, where there is one."""
    if shutil.which("nvidia-smi") is None:
        yield
        return
    asked = ["--query-gpu=timestamp,utilization.gpu,memory.used", "--format=csv", "--loop=5"]
    with file.open("wb") as told, subprocess.Popen(["nvidia-smi", *asked], stdout=told) as watching:
        try:
            yield
        finally:
            watching.terminate()


def keep(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as JSON."""
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("pack", help="choose data that may travel")
    one.add_argument("data", type=Path, help="a folder of sets with images/, labels/ and split.json, and licences.json")
    one.add_argument("out", type=Path, help="the folder to make; what was in it goes")
    one.add_argument("--limit", type=float, default=62, help="MiB that may travel in all [62]")
    one.add_argument("--beside", type=Path, action="append", default=[], help="what else travels: wheels, weights")
    one.add_argument("--val", type=int, default=2, help="cases to check on of each set that is learned from [2]")
    one.add_argument("--unseen", type=int, default=2, help="and of each other set [2]")
    one = commands.add_parser("wheels", help="download packages that are missing there")
    one.add_argument("out", type=Path)
    one.add_argument("--there", default="", help="the packages that are there, with commas between")
    one.add_argument("--python", default="3.12", help="the version of Python there [3.12]")
    one = commands.add_parser("run", help="train and bring back")
    one.add_argument("data", type=Path)
    one.add_argument("out", type=Path)
    one.add_argument("--minutes", type=float, default=9, help="for all of it [9]")
    one.add_argument("--start", type=Path, help="a checkpoint, or a folder with one or with weights, to go on from")
    one.add_argument("--wheels", type=Path, help="a folder of wheels to install")
    one.add_argument("--evaluate", type=int, default=384, help="samples to evaluate on at the end [384]")
    one.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the run")
    one = commands.add_parser("unpack", help="put the results together")
    one.add_argument("results", type=Path)
    one.add_argument("out", type=Path)
    return parser.parse_args()


def main() -> None:
    """Do what the command line says."""
    told = arguments()
    match told.command:
        case "pack":
            cases = pack(told.data, told.out, limit=told.limit, beside=told.beside, val=told.val, unseen=told.unseen)
            for name, count in cases.items():
                print(f"{count:4d} {name}")
            print(f"{size_of(told.out) / MIB:.1f} MiB")
        case "wheels":
            missing = wheels(told.out, there=told.there.split(","), python=told.python)
            print("missing there: " + (", ".join(missing) or "none"))
        case "run":
            run(
                told.data.resolve(),
                told.out.resolve(),
                minutes=told.minutes,
                changes=told.set,
                start=told.start and told.start.resolve(),
                wheels=told.wheels and told.wheels.resolve(),
                most=told.evaluate,
            )
        case "unpack":
            print("\n".join(unpack(told.results, told.out)))


if __name__ == "__main__":
    main()
