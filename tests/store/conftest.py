"""A fresh store of each kind: SQLite or PostgreSQL, with blobs in a folder or in S3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from segmend.store import Store
from tests.store.servers import S3, Postgres, postgres_folder


@dataclass(frozen=True)
class Place:
    """Where a store is, so that a test can open it again, or twice."""

    database: str
    blobs: str
    storage: dict[str, str] = field(default_factory=dict)

    def open(self, *, timeout_seconds: float = 5.0) -> Store:
        return Store.open(self.database, self.blobs, storage=self.storage, timeout_seconds=timeout_seconds)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    programs = postgres_folder()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    server = Postgres(programs)
    yield server
    server.close()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    server = S3()
    yield server
    server.stop()


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    return Place(f"sqlite:///{tmp_path}/data/segmend.db", str(tmp_path / "data" / "blobs"))


@pytest.fixture
def postgres_place(tmp_path: Path, postgres: Postgres) -> Iterator[Place]:
    url = postgres.database()
    yield Place(url, str(tmp_path / "blobs"))
    postgres.drop(url)


@pytest.fixture
def s3_place(tmp_path: Path, s3: S3) -> Place:
    return Place(f"sqlite:///{tmp_path}/segmend.db", s3.bucket(), s3.storage)


@pytest.fixture(params=["sqlite_place", "postgres_place", "s3_place"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened
