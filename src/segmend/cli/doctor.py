"""`segmend doctor`: what this machine is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from segmend.cli.machine import examine
from segmend.cli.place import data_option
from segmend.cli.words import as_json, device_options, say
from segmend.runtime.budget import DEFAULT_BYTES


@click.command()
@data_option
@device_options
@as_json
def doctor(data: Path, device: str, precision: str, as_json: bool) -> None:
    """Say what this machine is and what will be in the way, and time one interaction on it.

    \b
    Example:
      segmend doctor
    """
    machine = examine(data, device=device, precision=precision)
    features = ", ".join(machine.processor.features) or "no extensions that matter"
    timed = machine.interaction
    engine = f" ({timed.engine})" if timed.engine else ""
    rows = {
        "system": machine.system,
        "processor": f"{machine.processor.name}, {machine.processor.cores} cores: {features}",
        "gpu": ", ".join(machine.gpus) or "none, and none is needed",
        "memory": f"{machine.memory_gib} GiB; the annotator keeps up to {DEFAULT_BYTES >> 20} MiB for what may be "
        "wanted again, or what segmend start --memory says",
        "disk": f"{machine.disk_free_gib} GiB free at {machine.folder}",
        "browser": machine.browser or "none found",
        "versions": ", ".join(f"{name} {version}" for name, version in machine.versions.items() if version),
        "without": ", ".join(name for name, version in machine.versions.items() if version is None) or "nothing",
        "interaction": f"{timed.median_ms} ms on 512 x 512 with {timed.method}{engine}, the median of {timed.later} "
        f"warm ones; {timed.open_ms} ms to open, Dice {timed.dice}",
        "first one": f"{timed.first_ms} ms cold, with all that is loaded for it; the annotator does so when it starts",
    }
    lines = [f"{name:<12} {value}" for name, value in rows.items()]
    say({**asdict(machine), "advice": list(machine.advice)}, [*lines, *machine.advice], as_json=as_json)
