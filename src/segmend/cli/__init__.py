"""The command line: parse, call the library, show the result.

Each command is a file beside this one. They import the library inside the command, so that
`segmend --help` stays quick, and this is the only room that reads environment variables.
Output for people goes to standard output, or one JSON document with --json; progress and
errors go to standard error. Exit codes: 0 done, 2 something given was wrong or could not be
had, 130 interrupted. Only a bug in Segmend shows a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from segmend import __version__
from segmend.cli.adapt import adapt
from segmend.cli.compare import compare
from segmend.cli.convert import convert
from segmend.cli.doctor import doctor
from segmend.cli.evaluate import evaluate
from segmend.cli.export import export
from segmend.cli.methods import methods
from segmend.cli.place import USUAL, has_data_folder, keep_machine_code
from segmend.cli.reproduce import reproduce
from segmend.cli.samples import samples
from segmend.cli.segment import segment
from segmend.cli.start import start
from segmend.cli.train import train
from segmend.errors import SegmendError

REFUSED = 2
INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="segmend", message="%(prog)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Mend medical segmentations: a few marks, and the mask is right.

    \b
    Example, the annotator in your browser:
      segmend start
    """
    command = commands.commands.get(context.invoked_subcommand or "")
    if command is not None and not has_data_folder(command):
        keep_machine_code(Path(os.environ.get("SEGMEND_FOLDER", USUAL)))


for command in (adapt, compare, convert, doctor, evaluate, export, methods, reproduce, samples, segment, start, train):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are one sentence on standard error."""
    try:
        commands.main(None if arguments is None else list(arguments), prog_name="segmend", standalone_mode=False)
    except SegmendError as error:
        click.echo(" ".join(str(error).split()), err=True)
        return REFUSED
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as wrong:
        wrong.show()
        return wrong.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    return 0
