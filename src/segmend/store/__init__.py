"""What outlives the process: SQL for what is said and done, blobs for voxels."""

from segmend.store.records import CaseRecord, EventRecord, LoadedSession, Project, SavedMask, SessionRecord, User
from segmend.store.store import Store

__all__ = ["CaseRecord", "EventRecord", "LoadedSession", "Project", "SavedMask", "SessionRecord", "Store", "User"]
