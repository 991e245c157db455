"""The real servers that the store is tested with: PostgreSQL's own, and moto's for S3."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import pg8000.native


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Return when the process listens; fail when it ends or takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port} after {seconds} s")


def postgres_folder() -> Path | None:
    """Return where PostgreSQL's programs are, None when it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    named = shutil.which("initdb")
    if named:
        found.append(Path(named).resolve())
    return found[0].parent if found else None


class Postgres:
    """A PostgreSQL server of our own, in a temporary folder; never run as root, for it refuses that."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="segmend-postgres-"))
        self.port = free_port()
        self._placed: set[str] = set()  # databases on disks of their own
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            user = next(u for u in pwd.getpwall() if u.pw_name in ("postgres", "nobody"))
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            setpriv = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
            self._as_user = setpriv
        self._run("initdb", "-D", str(self.data), "-U", "segmend", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        place = ["-D", str(self.data), "-p", str(self.port), "-k", str(self.folder)]
        command = [*self._as_user, str(self.programs / "postgres"), *place, "-c", "listen_addresses=127.0.0.1", "-F"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        wait_for(self.port, self.process)
        end = time.monotonic() + 120
        while subprocess.run(
            [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        ).returncode:
            assert time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop at once, as in a crash: every connection is lost."""
        assert self.process is not None
        self._run("pg_ctl", "stop", "-D", str(self.data), "-m", "immediate")
        self.process.wait(30)
        self.process = None

    def freeze(self) -> None:
        """Stop all of the server's processes in their tracks, so that it answers nothing more."""
        for process in self._processes():
            os.kill(process, signal.SIGSTOP)

    def thaw(self) -> None:
        for process in self._processes():
            os.kill(process, signal.SIGCONT)

    def _processes(self) -> list[int]:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def close(self) -> None:
        if self.process is not None:
            self.stop()
        shutil.rmtree(self.folder)

    def database(self, *, on: Path | None = None) -> str:
        """Return the URL of a new, empty database, which may lie on a disk of its own."""
        name = f"segmend_{uuid4().hex}"
        if on is None:
            self._say(f"CREATE DATABASE {name}")
        else:
            shutil.chown(on, self.folder.owner())
            self._say(f"CREATE TABLESPACE place_{name} LOCATION '{on}'")
            self._say(f"CREATE DATABASE {name} TABLESPACE place_{name}")
            self._placed.add(name)
        return f"postgresql://segmend@127.0.0.1:{self.port}/{name}"

    def drop(self, url: str) -> None:
        """Delete a database that `database` made, which takes 7 MB."""
        name = url.rpartition("/")[2]
        self._say(f"DROP DATABASE {name} WITH (FORCE)")
        if name in self._placed:
            self._say(f"DROP TABLESPACE place_{name}")

    def _say(self, sentence: str) -> None:
        place = {"host": "127.0.0.1", "port": self.port, "ssl_context": False}
        connection = pg8000.native.Connection("segmend", database="postgres", **place)
        try:
            connection.run(sentence)
        finally:
            connection.close()

    def _run(self, program: str, *options: str) -> None:
        command = [*self._as_user, str(self.programs / program), *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/")
        assert done.returncode == 0, done.stdout + done.stderr


class S3:
    """moto's server in a process of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def storage(self) -> dict[str, str]:
        """Return the options that reach this server."""
        endpoint = f"http://127.0.0.1:{self.port}"
        return {"endpoint_url": endpoint, "key": "test", "secret": "test", "region": "eu-central-1"}

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.port, self.process)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None

    def bucket(self) -> str:
        """Return the URL of a folder in a new, empty bucket."""
        import s3fs

        name = f"segmend-{uuid4().hex}"
        options = dict(self.storage)
        files = s3fs.S3FileSystem(client_kwargs={"region_name": options.pop("region")}, **options)
        files.mkdir(name)
        return f"s3://{name}/blobs"
