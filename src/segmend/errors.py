"""What can go wrong, as one tree; every message says what was needed and what came.

SegmendError
  UserError           something a person gave is wrong (CLI: exit code 2, server: 4xx)
    ShapeError          an array or index has the wrong size
    GeometryError       two grids that must agree in millimetres do not
    PromptError         a prompt that this image, label or method cannot take
    FileError           a file that cannot be read, or a format that cannot hold this
    SettingsError       an option, method or label name that does not exist
    NotFoundError       an id that is not in the store
    ConflictError       the thing exists already, or changed meanwhile
    LimitError          larger or more than this server allows
    ForbiddenError      this person may not do this
    ServerError         a server of Segmend that cannot be reached, or refuses
  StoreError          the disk or the database refused; nothing already saved is lost
    DiskFullError       there is no space left
    ReadOnlyError       nothing can be written here; what is there can be read
  MethodError         a method that failed, ended or did not come back; what it was asked for was taken back
  ModelError          weights that are missing, damaged, or of another method or version
  LibraryError        the compiled part of Segmend is missing or does not belong to it
"""


class SegmendError(Exception):
    """Anything that Segmend itself refuses; the text is one sentence for a person."""


class UserError(SegmendError, ValueError):
    """Something a person gave is wrong."""


class ShapeError(UserError):
    """An array or index has the wrong size."""


class GeometryError(UserError):
    """Two grids that must agree in millimetres do not."""


class PromptError(UserError):
    """A prompt that this image, label or method cannot take."""


class FileError(UserError):
    """A file that cannot be read, or a format that cannot hold what it is given."""


class SettingsError(UserError):
    """An option, method or label name that does not exist."""


class NotFoundError(UserError):
    """An id that is not in the store."""


class ConflictError(UserError):
    """The thing exists already, or changed meanwhile."""


class LimitError(UserError):
    """Larger or more than this server allows."""


class ForbiddenError(UserError):
    """This person may not do this."""


class BusyError(SegmendError):
    """More was asked for than can be worked out now; ask again in a moment. Nothing was stored."""


class RateError(SegmendError):
    """Somebody asks for more at once than they may; nothing was done."""

    def __init__(self, sentence: str, seconds: int) -> None:
        super().__init__(sentence)
        self.seconds = seconds  # after which they may ask again


class QuotaError(SegmendError):
    """Somebody, or a project, keeps as much as it may; nothing was stored."""


class ArchiveError(UserError):
    """An archive of images that cannot be reached, refuses, or says what no archive says."""


class ServerError(UserError):
    """A server of Segmend that cannot be reached, or refuses."""


class StoreError(SegmendError):
    """The disk or the database refused; nothing already saved is lost."""


class DiskFullError(StoreError):
    """There is no space left; nothing already saved is lost."""


class ReadOnlyError(StoreError):
    """Nothing can be written here; what is there can be read."""


class MethodError(SegmendError):
    """A method that failed, ended or did not come back; what it was asked for was taken back."""


class ModelError(SegmendError):
    """Weights that are missing, damaged, or of another method or version."""


class LibraryError(SegmendError):
    """The compiled part of Segmend is missing or does not belong to it."""
