"""An image annotated from a program: in this process, on a server, and in a notebook.

Viewers of others build on this: an `Annotation` takes events as a session does, and holds the label map that comes of
them. `LocalAnnotation` answers here, `RemoteAnnotation` asks a server; both are used in the same way.
"""

from segmend.annotating.annotation import Annotation, Mark
from segmend.annotating.local import LocalAnnotation
from segmend.annotating.remote import RemoteAnnotation
from segmend.annotating.view import View, show

__all__ = ["Annotation", "LocalAnnotation", "Mark", "RemoteAnnotation", "View", "show"]
