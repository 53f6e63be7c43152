"""A list in MLflow that can only grow: a registered model of its own, each row a version of it.

    rows = AppendOnly(connection, Named("finetune-gate.turns.m", "turns of m", "Who gates what.", {}), 60.0)
    number = rows.append({"finetune_gate.turn": "..."}, "in words", written=lambda row: row.tags.get("id") == mine)
    [row.tags for row in rows.read()]

MLflow hands out version numbers of one model uniquely and in order, and sets tags in the creating call: appending is
atomic, whoever else appends on whatever machine.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from finetune_gate.evaluators.errors import Problem, RegistryError

from .mlflow_client import Connection, NotInRegistry, error_code
from .mlflow_types import VersionEntity

PAGE: Final = 250
_MOST_ROWS: Final = 100_000
_SOURCE: Final = "finetune-gate:/ledger"
_CONTENDED: Final = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS")


@dataclass(frozen=True, slots=True)
class Named:
    """The registered model: its name, what messages call it, and what people read on its page in MLflow."""

    name: str
    title: str
    description: str
    tags: Mapping[str, str]


class AppendOnly:
    """``patience_s``: how long to try to append among other writers. Errors of MLflow leave as RegistryError."""

    def __init__(self, connection: Connection, named: Named, patience_s: float) -> None:
        self._connection, self._named, self._patience_s = connection, named, patience_s

    def read(self) -> list[VersionEntity]:
        """All rows by number, in pages; empty if there is no list yet."""
        name = self._named.name
        quote = '"' if "'" in name else "'"
        rows: list[VersionEntity] = []
        token: str | None = None
        with self._connection.doing(f"read the {self._named.title}"):
            while len(rows) < _MOST_ROWS:
                page = self._connection.client.search_model_versions(
                    f"name={quote}{name}{quote}",
                    max_results=PAGE,
                    order_by=["version_number ASC"],  # what is appended meanwhile is on the last page
                    page_token=token,
                )
                rows.extend(page)
                token = page.token
                if not token:
                    return rows
        raise RegistryError(Problem(self._named.title, f"more than {_MOST_ROWS} rows", "a list that can be read"))

    def append(
        self,
        tags: Mapping[str, str],
        description: str,
        *,
        written: Callable[[VersionEntity], bool],
        source: str = _SOURCE,
        run_id: str | None = None,
    ) -> int:
        """The number of the new row. Tried again among other writers; what was written although an error came back is
        found by ``written``."""
        until, pause = time.monotonic() + self._patience_s, 0.1
        while True:
            try:
                with self._connection.doing(f"write to the {self._named.title}"):
                    made = self._connection.client.create_model_version(
                        self._named.name,
                        source,
                        run_id,
                        tags=dict(tags),
                        description=description,
                        await_creation_for=0,
                    )
                return int(made.version)
            except NotInRegistry:
                if time.monotonic() > until:
                    raise
                self._open()
            except RegistryError as error:
                found = [row for row in self.read() if written(row)]
                if found:
                    return int(found[0].version)
                if error_code(error) not in _CONTENDED or time.monotonic() > until:
                    raise
                time.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, 3.0)

    def note(self, number: int, key: str, value: str) -> None:
        """Set a tag on a row."""
        with self._connection.doing(f"note on row {number} of the {self._named.title}"):
            self._connection.client.set_model_version_tag(self._named.name, str(number), key, value)

    def _open(self) -> None:
        try:
            with self._connection.doing(f"create the {self._named.title}"):
                self._connection.client.create_registered_model(
                    self._named.name, tags=dict(self._named.tags), description=self._named.description
                )
        except RegistryError as error:
            if error_code(error) != "RESOURCE_ALREADY_EXISTS":
                raise
