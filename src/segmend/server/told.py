"""What a client is told of an error: its sentence, without the folders of the server's disk.

The sentences of the library name files by their whole paths, which people at the command line want to know, and who
asks over the network need not: account names and the layout of disks are in them. Of a path, the last name is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import gettempdir

# A path from the root of a disk, with its last name apart; addresses such as s3://bucket/blobs are none.
ABSOLUTE = re.compile(
    r"""(?<![\w.:/\\~-])          # where a word begins
        (?:[A-Za-z]:)?[/\\]       # the root
        (?:[^\s'"/\\:;,()]+[/\\])+  # folders
        ([^\s'"/\\:;,()]*)        # the last name
    """,
    re.VERBOSE,
)
Told = Callable[[BaseException], str]


def told_by(places: Iterable[Path]) -> Told:
    """Return the function from an error to what a client is told; these places may have spaces in their names.

    >>> tell = told_by([Path("/home/Ada Lovelace/scans")])
    >>> tell(ValueError("The blobs at /home/Ada Lovelace/scans/blobs could not take cases/1/image.npy: Is a folder."))
    'The blobs at blobs could not take cases/1/image.npy: Is a folder.'
    >>> tell(ValueError("The file /mnt/x/run.json is damaged; see https://segmend.org/weights/run.json."))
    'The file run.json is damaged; see https://segmend.org/weights/run.json.'
    """
    known = {str(form) for place in [*places, Path.home(), Path(gettempdir())] for form in _forms(place)}
    folders = sorted((place for place in known if len(Path(place).parts) > 1), key=len, reverse=True)

    def tell(error: BaseException) -> str:
        text = str(error)
        for folder in folders:
            text = re.sub(rf"{re.escape(folder)}[/\\]", "", text)
            text = re.sub(rf"{re.escape(folder)}(?![\w-])", Path(folder).name.replace("\\", ""), text)
        return ABSOLUTE.sub(lambda found: found[1] or "a folder", text)

    return tell


def _forms(place: Path) -> list[Path]:
    """Return a path as it was given and as it may be named elsewhere."""
    try:
        return [place.absolute(), place.resolve()]
    except (OSError, RuntimeError):  # a loop of links
        return [place.absolute()]
