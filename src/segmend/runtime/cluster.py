"""Work shared out to the processes of a Ray cluster, on this machine or many; one that dies is replaced.

Each process makes ready once, which loads the model, and then does one item after the other, on its share of the cores
of its machine. What an item carries, such as an image, is put where every process of a machine maps it from, so that it
travels to a machine once, however often it is tried. An item is done when its result is here, and then never again; one
whose process died goes to another process, and after some deaths comes back as the reason. Ray is imported here alone,
when a cluster is asked for.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, Generic, TypeVar

from segmend.errors import SettingsError
from segmend.runtime.cores import claim_cores

Item = TypeVar("Item")
State = TypeVar("State")
Result = TypeVar("Result")

# How often an item is tried whose process dies.
ATTEMPTS = 3
_connecting = Lock()  # a process is connected once
NEEDED = "A cluster needs Ray; install it with: pip install 'segmend[ray]'."


class LostError(Exception):
    """An item during which process after process died."""


@dataclass(frozen=True)
class Cluster:
    """Where work goes: "ray" for this machine, or the cluster that it belongs to; else the address of one.

    >>> Cluster("slurm")
    Traceback (most recent call last):
    ...
    segmend.errors.SettingsError: A cluster needs to be ray, or an address such as ray://head:10001; got 'slurm'.
    """

    address: str = "ray"
    workers: int = 1
    beside: int = 0  # processes of others that work at the same time, which have their shares, too

    def __post_init__(self) -> None:
        if self.address != "ray" and not self.address.startswith("ray://"):
            raise SettingsError(
                f"A cluster needs to be ray, or an address such as ray://head:10001; got {self.address!r}."
            )
        if self.workers < 1:
            raise SettingsError(f"A cluster needs 1 worker or more; got {self.workers}.")

    def spread(
        self, items: Iterable[Item], prepare: Callable[[], State], do: Callable[[State, Item], Result]
    ) -> Iterator[tuple[Item, Result | LostError]]:
        """Yield each item with what `do` makes of it in a process that was made ready by `prepare`, as they are done.

        Both are functions that can be pickled. What they raise is raised here. Items are asked for one by one, and no
        sooner than a process is free for them, or about to be.
        """
        ray = _connected(self.address, self.workers)
        machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        cores = cores_each(machines, self.workers + self.beside)
        crew = _Crew(ray, ray.put((prepare, do, cores)), self.workers)
        waiting, todo, unread = deque[_Sent[Item]](), iter(items), True
        try:
            while True:
                while unread and len(waiting) < len(crew.free):
                    item = next(todo, None)
                    unread = item is not None
                    if item is not None:
                        waiting.append(_Sent(item, ray.put(item)))
                while waiting and crew.free:
                    crew.give(waiting.popleft())
                if not crew.busy:
                    return
                sent, result = crew.wait()
                if isinstance(result, LostError) and sent.attempts < ATTEMPTS:
                    waiting.appendleft(sent)
                else:
                    yield sent.item, result
        finally:
            crew.end()


def cores_each(machines: Sequence[int], workers: int) -> int:
    """Return how many cores each worker may have, so that there are enough for all on machines of so many.

    >>> cores_each([8, 8], 1), cores_each([8, 8], 3), cores_each([8, 8], 16)
    (8, 4, 1)
    """
    enough = (n for n in range(max(machines), 0, -1) if sum(cores // n for cores in machines) >= workers)
    return next(enough, 1)


@dataclass(eq=False)
class _Sent(Generic[Item]):
    """An item, where it lies for all processes, and how often it was tried."""

    item: Item
    reference: Any
    attempts: int = 0


class _Crew:
    """The processes, each an actor of Ray's."""

    def __init__(self, ray: Any, work: Any, count: int) -> None:
        self._ray, self._work = ray, work
        # On as many machines as there are: each worker has more cores than the one that Ray counts for it.
        self._actor = ray.remote(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")(Worker)
        self.free = [self._actor.remote(work) for _ in range(count)]
        self.busy: dict[Any, tuple[Any, _Sent[Any]]] = {}

    def give(self, sent: _Sent[Any]) -> None:
        worker = self.free.pop(0)
        sent.attempts += 1
        self.busy[worker.do.remote(sent.reference)] = (worker, sent)

    def wait(self) -> tuple[_Sent[Any], Any]:
        """Return the next item that is done with its result, or with an error where its process died."""
        (done,), _ = self._ray.wait(list(self.busy), num_returns=1)
        worker, sent = self.busy.pop(done)
        try:
            result = self._ray.get(done)
        except self._ray.exceptions.RayActorError:
            self.free.append(self._actor.remote(self._work))
            return sent, LostError(f"its process died {ATTEMPTS} times; it may have run out of memory")
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        self.free.append(worker)
        return sent, result

    def end(self) -> None:
        for worker in [*self.free, *(worker for worker, _ in self.busy.values())]:
            with suppress(Exception):  # the cluster may be gone
                self._ray.kill(worker)


class Worker:
    """A process of a cluster, made ready when it gets its first item."""

    def __init__(self, work: tuple[Callable[[], Any], Callable[[Any, Any], Any], int]) -> None:
        self._prepare, self._do, cores = work
        claim_cores(cores)
        self._ready: list[Any] = []

    def do(self, item: Any) -> Any:
        """Return what comes of an item."""
        if not self._ready:
            self._ready.append(self._prepare())
        return self._do(self._ready[0], item)


def _connected(address: str, workers: int) -> Any:
    """Return Ray, connected to a cluster; on this machine one is started where there is none."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it tells its makers what machine this is
    try:
        import ray
    except ImportError:
        raise SettingsError(NEEDED) from None
    with _connecting:
        _connect(ray, address)
    there = int(ray.cluster_resources().get("CPU", 0))
    if workers > there:
        raise SettingsError(f"The cluster has {there} processors, for {there} workers at most; got {workers}.")
    return ray


def _connect(ray: Any, address: str) -> None:
    if not ray.is_initialized():
        quiet = {"log_to_driver": False, "configure_logging": False}
        try:
            if address == "ray":
                ray.init(include_dashboard=False, **quiet)
            else:
                ray.init(address, **quiet)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise SettingsError(f"There is no cluster at {address}: {' '.join(str(error).split())[:200]}.") from None
