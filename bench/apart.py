"""What it costs to answer in a process of its own: python bench/apart.py [--method ID] [--clicks N] [--people N]

Two servers, one that answers in its own process and one that answers apart, on the same cases.
They are clicked in turns, the same clicks on the same images, so that whatever else the machine does is the same for
both; masks are compared bit for bit. Prints a click's milliseconds in both, the ratio of each pair, and what both weigh
with some people's sessions open, processes included.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np
from websockets.sync.client import connect

from segmend.core.image import Image
from segmend.core.prompts import to_json
from segmend.store import Store
from segmend.users import LargestError
from server import FLAT, SOLID, Mask, Served, Sitting, scene

OBJECTS = 2  # of each kind that are clicked
Cases = dict[str, list[str]]  # their ids, by kind
APART = "answering_processes={}, answering_apart='all'"


def sit(served: Served, case: str, method: str, stack: ExitStack) -> Sitting:
    """Open a new session of a case."""
    state = served.post(f"api/cases/{case}/sessions")
    url = f"{served.address.replace('http', 'ws')}api/sessions/{state['id']}/live"
    socket = stack.enter_context(connect(url, max_size=None, compression=None, open_timeout=60, ping_interval=None))
    return Sitting(socket, state, method)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="mend")
    parser.add_argument("--clicks", type=int, default=10, help="on each object")
    parser.add_argument("--people", type=int, default=50, help="sessions of pictures for the memory; 0: none")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    scenes = {
        "2d": [scene(FLAT, seed) for seed in range(OBJECTS)],
        "3d": [scene(SOLID, seed) for seed in range(OBJECTS)],
    }
    with tempfile.TemporaryDirectory(prefix="segmend-bench-") as one, tempfile.TemporaryDirectory() as two:
        cases: dict[str, Cases] = {}
        for folder in (one, two):
            with Store.local(folder) as store:
                cases[folder] = {k: [store.add_case(k, image).id for image, _ in pairs] for k, pairs in scenes.items()}
                crowd = [scene(FLAT, 10 + n)[0] for n in range(min(options.people, 10))]
                cases[folder]["crowd"] = [store.add_case("crowd", crowd[n % 10]).id for n in range(options.people)]
        with (
            Served(Path(one), options.method, more="answering_processes=0") as here,
            Served(Path(two), options.method, more=APART.format(options.processes)) as there,
        ):
            pairs = [(here, cases[one]), (there, cases[two])]
            for served, _ in pairs:
                served.settle()
                print(f"at rest, MB: {sum(served.megabytes_of_all()):.0f} {served.megabytes_of_all()}")
            for kind in scenes:
                clicked(kind, scenes[kind], pairs, options.method, options.clicks)
            for served, known in pairs:
                with ExitStack() as stack:
                    sittings = [sit(served, case, options.method, stack) for case in known["crowd"]]
                    for number, sitting in enumerate(sittings):
                        place = [0, FLAT[1] // 2 + number % 9, FLAT[2] // 2]
                        prompt = {"kind": "click", "index": place, "positive": True}
                        sitting.ask({"event": "prompted", "prompt": prompt, "label": 1, "method": options.method})
                    sizes = served.megabytes_of_all()
                    print(f"with {options.people} sessions, MB: {sum(sizes):.0f} {sizes}")


def clicked(
    kind: str, seen: Sequence[tuple[Image, Mask]], pairs: Sequence[tuple[Served, Cases]], method: str, clicks: int
) -> None:
    """Click on all objects of a kind in both servers, in turns, and print what it took."""
    whole: tuple[list[float], list[float]] = ([], [])
    first: tuple[list[float], list[float]] = ([], [])
    with ExitStack() as stack:
        for n, (_, truth) in enumerate(seen):
            sittings = [sit(served, known[kind][n], method, stack) for served, known in pairs]
            for number in range(clicks):
                prompt = LargestError(seed=0)(truth, sittings[0].map == 1)
                if prompt is None:
                    break
                event = {"event": "prompted", "prompt": to_json(prompt), "label": 1, "method": method}
                order = (0, 1) if number % 2 == 0 else (1, 0)
                for i in order:
                    early, late = sittings[i].ask(event)
                    if number:  # the first one opens the image
                        first[i].append(early)
                        whole[i].append(late)
                np.testing.assert_array_equal(sittings[0].map, sittings[1].map)
    for name, times in (("first box", first), ("answered", whole)):
        ratio = median(there / here for here, there in zip(*times, strict=True))
        more = median(there - here for here, there in zip(*times, strict=True))
        print(
            f"{kind}, {name}: {median(times[0]):.1f} ms here, {median(times[1]):.1f} ms apart; of each pair "
            f"{ratio:.3f} x, {more:+.1f} ms"
        )


if __name__ == "__main__":
    main()
