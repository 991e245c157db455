"""`segmend adapt`: a site's accepted cases improve the weights, if a robot finds that they did."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from segmend.cli.place import open_store
from segmend.cli.train import settings_of
from segmend.cli.words import as_json, say
from segmend.errors import FileError, SettingsError
from segmend.learning.progress import Bar
from segmend.runtime.versions import undo


@click.command()
@click.option("--store", type=click.Path(path_type=Path), metavar="DIR", help="The annotator's folder: locked labels.")
@click.option("--database", metavar="URL", envvar="SEGMEND_DATABASE", show_envvar=True, help="Its database elsewhere.")
@click.option("--blobs", metavar="URL", envvar="SEGMEND_BLOBS", show_envvar=True, help="Its voxels elsewhere.")
@click.option("--project", metavar="NAME", help="Only the cases of one project of the annotator.")
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="Instead: a folder of images and labels.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Where the weights to use are kept.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="What an empty --out begins with.  [default: the weights in the package]",
)
@click.option(
    "--replay", type=click.Path(path_type=Path), metavar="DIR", help="Data sets learned from before, to keep in mind."
)
@click.option("--steps", type=click.IntRange(min=1), help="Of learning, for each kind of network.  [default: 300]")
@click.option("--minutes", type=float, help="Of learning, instead of steps.")
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="A setting, such as rate=0.0001.")
@click.option("--undo", type=click.Path(path_type=Path), metavar="DIR", help="Bring the weights before the last back.")
@as_json
def adapt(
    store: Path | None,
    database: str | None,
    blobs: str | None,
    project: str | None,
    data: Path | None,
    out: Path | None,
    weights: Path | None,
    replay: Path | None,
    steps: int | None,
    minutes: float | None,
    changes: tuple[str, ...],
    undo: Path | None,
    as_json: bool,
) -> None:
    """Let mend learn from the cases that you accepted, and use what it learned if it is better.

    \b
    Cases come from the annotator, where locking a label accepts its object
    (--store, the folder that `segmend start` keeps), or from a folder with
    images/ and labels/ (--data). About a third are not learned from: on them
    a robot compares the new weights with the old ones, and on drawn scenes,
    to see what was forgotten. Only if the new ones are better are they used.
    Nothing is lost: the weights before are kept, and --undo brings them back.
    A report says what was decided and why. Ending with 0 means that the check
    was made, whatever it found; --json says so in "installed".

    \b
    A run that was stopped goes on when the same command is given again.
    Needs torch: pip install 'segmend[train]'.

    \b
    Example, the annotator's own cases, then annotating with what was learned:
      segmend adapt --store ~/.segmend --out site
      segmend start --weights site
      segmend adapt --undo site
    """
    if undo is not None:
        say(*_undone(undo), as_json=as_json)
        return
    if out is None:
        raise SettingsError("Adapting needs a folder to keep the weights in, for example --out site; got none.")
    if (data is None) == (store is None and database is None):
        raise SettingsError("Adapting needs cases: either --store DIR, the annotator's folder, or --data DIR.")
    if steps is not None and minutes is not None:
        raise SettingsError("Adapting needs --steps or --minutes, not both.")
    options = {**settings_of(changes), **({} if steps is None else {"steps": steps})}
    from segmend.continual.improve import cases_in, improve

    how: dict[str, Any] = {"weights": weights, "replay": replay, "minutes": minutes, "options": options, "log": _tell}
    if sys.stderr.isatty():
        how["progress"] = Bar(sys.stderr)
    if data is not None:
        found = improve(cases_in(data), out, **how)
    else:
        from segmend.store.accepted import accepted_cases

        with _store(store, database, blobs) as opened:
            found = improve(accepted_cases(opened, project), out, **how)
    before = "This was decided before; accept more cases, or change the settings. " if found.again else ""
    values = {"installed": found.installed, "again": found.again, "folder": str(found.folder), **found.report}
    say(values, [f"{before}{found.said}", f"The report is {found.folder / 'report.html'}."], as_json=as_json)


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _store(folder: Path | None, database: str | None, blobs: str | None) -> Any:
    place = Path("~/.segmend" if folder is None else folder).expanduser()
    if database is None and not (place / "segmend.db").is_file():
        raise FileError(f"There is no annotator's folder {place}: it has no segmend.db.")
    return open_store(place, database, blobs)


def _undone(folder: Path) -> tuple[dict[str, Any], list[str]]:
    current = undo(folder).current
    return {"version": current}, [f"Version {current} of {folder} is in use again."]
