"""The command line: parse, call the library, show the result.

Each command is a file beside this one, imported when it is called, so that `segmend --help` stays
quick. This is the only folder that reads environment variables.
Output for people goes to standard output, or one JSON document with --json; progress and
errors go to standard error. Exit codes: 0 done, 1 some of many cases failed, 2 something given
was wrong or could not be had, 130 interrupted. Only a bug in Segmend shows a traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import cast

import click

from segmend import __version__
from segmend.errors import SegmendError

COMMANDS = {  # a file beside this one, and the function in it, with what the list of commands says of it
    "adapt": "Improve mend's weights with your accepted cases.",
    "audit": "Tell who did what and when, and check that nothing of that was changed.",
    "backup": "Copy everything that is kept to another folder, also while people work.",
    "calibrate": "Find out what the Dice that a method expects of its masks is worth.",
    "check": "Look for damage in what is kept, and mend what can be mended.",
    "compare": "Measure all methods on the same objects, in one table.",
    "convert": "Write an image or a mask in another format, or a data set in another layout.",
    "doctor": "Say what this machine is, and time one interaction.",
    "evaluate": "Measure a method with a robot that annotates.",
    "export": "Write what was annotated: masks, surfaces, tables, reports, folders to train on.",
    "forget": "Delete all cases of a patient for good, with a proof.",
    "import": "Take a data set in as cases, with its masks to go on from.",
    "methods": "List the installed methods.",
    "replay": "Make a mask again from the log of how it was made.",
    "pseudonyms": "Tell whose pseudonyms they are.",
    "pull": "Fetch series from an archive (PACS) as cases.",
    "push": "Send masks to an archive (PACS).",
    "receive": "Receive series that scanners and archives send, as cases.",
    "reproduce": "Run a paper's experiment and judge its claims.",
    "restore": "Put a backup into an empty folder, database or bucket.",
    "retention": "Say how long cases of a project are kept.",
    "samples": "Write sample images with their right masks.",
    "series": "Show other scans beside a case's image: T2 beside T1, PET over CT.",
    "segment": "Segment one object of an image, or all that a task model knows; also of many images.",
    "start": "Open the annotator in a browser.",
    "train": "Train a method on a folder of data sets.",
    "user": "Add, list, disable and remove the people who may log in.",
}
# Names that commands had before.
FORMER = {"verify": "check"}
REFUSED = 2
INTERRUPTED = 130


class Commands(click.Group):
    """The commands of `COMMANDS`; listing them imports none."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        name = FORMER.get(name, name)
        if name not in COMMANDS:
            return None
        called = f"{name}_" if iskeyword(name) else name
        return cast(click.Command, getattr(import_module(f"{__name__}.{called}"), called))

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="segmend", message="%(prog)s %(version)s")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A TOML file with a table of options for each command; what is said on the command line wins.",
)
@click.pass_context
def commands(context: click.Context, config: Path | None) -> None:
    """Mend medical segmentations: a few marks, and the mask is right.

    \b
    Example, the annotator in your browser:
      segmend start
    """
    if config is not None:
        from segmend.cli.config import defaults_of

        context.default_map = defaults_of(config, context)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are one sentence on standard error."""
    try:
        code = commands.main(None if arguments is None else list(arguments), prog_name="segmend", standalone_mode=False)
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
    return code if isinstance(code, int) else 0  # click returns the code that `Context.exit` was given
