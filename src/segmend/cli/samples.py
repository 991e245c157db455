"""`segmend samples`: images to try things on."""

from __future__ import annotations

from pathlib import Path

import click

from segmend.cli.words import as_json, check_free, force_option, say
from segmend.samples import paths_in, write_folder


@click.command()
@click.argument("folder")
@click.option("--cases", default=1, show_default=True, type=click.IntRange(min=1), help="How many of each kind.")
@click.option("--seed", default=0, show_default=True, help="Other seeds, other images.")
@click.option("--kind", "kinds", multiple=True, help="Only this kind. Repeat for more.")
@click.option("--skip-existing", is_flag=True, help="Leave cases that are there as they are, and write the others.")
@force_option
@as_json
def samples(
    folder: str, cases: int, seed: int, kinds: tuple[str, ...], skip_existing: bool, force: bool, as_json: bool
) -> None:
    """Write sample images with their right masks to FOLDER, one data set a kind.

    \b
    They are drawn anew each time: an abdomen in 3D, a head and a photograph in 2D. The folder
    is laid out as `segmend evaluate` and `segmend train` read it.

    \b
    Example:
      segmend samples demo --cases 4
    """
    check_free([*paths_in(Path(folder), cases=cases, kinds=kinds or None)], force=force or skip_existing)
    keep = skip_existing and not force
    written = write_folder(Path(folder), cases=cases, seed=seed, kinds=kinds or None, keep=keep)
    say([str(path) for path in written], [str(path) for path in written], as_json=as_json)
