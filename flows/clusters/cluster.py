"""What the two kinds of clusters have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from prefect import Task
    from prefect.futures import PrefectFuture

LOST_WORKERS: Final = 4
"""So many workers may be lost over one shard; a shard that is too much for every worker is not tried for ever."""

START_SECONDS: Final = 60
"""How long a cluster may take until its first worker answers."""

PATIENCE_HERE: Final = 120.0
PATIENCE_ELSEWHERE: Final = 600.0
"""A cluster that somebody runs may get new machines."""


class Cluster(Protocol):
    """A running cluster behind one of Prefect's task runners: ``workers`` processes, each with ``threads`` of torch."""

    @property
    def workers(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def patience(self) -> float:
        """Seconds without a single living worker until a run gives up."""
        ...

    def submit(self, task: Task[..., Any], parameters: dict[str, Any]) -> PrefectFuture[Any]: ...

    def alive(self) -> int:
        """How many workers (Dask) or machines (Ray) answer; 0 also where the cluster itself does not."""
        ...

    def forget(self, future: PrefectFuture[Any]) -> None:
        """Nobody waits for this any more."""
        ...

    def lost(self, error: Exception) -> bool:
        """Whether this says that workers were lost, rather than that our code failed."""
        ...
