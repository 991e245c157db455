"""What outlives the process: SQL for what is said and done, blobs for voxels."""

from segmend.store.records import Case, EventRecord, Project, SavedMask, SessionRecord, User
from segmend.store.store import Store

__all__ = ["Case", "EventRecord", "Project", "SavedMask", "SessionRecord", "Store", "User"]
