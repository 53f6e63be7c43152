"""Writes to the registry, most of which are read back: tags, a description, an alias, a legacy stage.

writer = Writer(registry)
writer.point_alias("support-bot", "champion", "7")
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from typing import TypeVar

from finetune_gate.evaluators.errors import Problem, RegistryError

from .registered import RegisteredVersion
from .registry import Registry

T = TypeVar("T")


class Writer:
    """Changes the registry. Every method may be called again after a kill at any point, and ends in the same state.

    ``deadline_s``: how long a write may take to be seen by reading. Raises RegistryError after that.
    """

    def __init__(self, registry: Registry, deadline_s: float = 10.0) -> None:
        self._registry = registry
        self._deadline_s = deadline_s

    def set_tags(self, version: RegisteredVersion, tags: Mapping[str, str]) -> None:
        """Those that differ, and then read back."""
        connection = self._registry.connection
        differing = {key: value for key, value in tags.items() if version.tags.get(key) != value}
        for key, value in differing.items():
            with connection.doing(f"set tag {key!r} of {version.label}"):
                connection.client.set_model_version_tag(version.name, version.version, key, value)

        def read() -> dict[str, str | None]:
            found = self._registry.version(version.name, version.version).tags
            return {key: found.get(key) for key in tags}

        if differing:
            self.read_back(f"tags of {version.label}", {key: version.tags.get(key) for key in tags}, dict(tags), read)

    def describe(self, version: RegisteredVersion, text: str) -> None:
        """Not read back: nothing rests on it."""
        if version.description == text:
            return
        connection = self._registry.connection
        with connection.doing(f"describe {version.label}"):
            connection.client.update_model_version(version.name, version.version, text)

    def point_alias(self, model: str, alias: str, to: str | None) -> None:
        """Not read back here: another, later move may be made at once, and only the ledger can tell."""
        connection = self._registry.connection
        try:
            with connection.doing(f"point alias {alias!r} of {model} to {f'version {to}' if to else 'nothing'}"):
                if to is None:
                    connection.client.delete_registered_model_alias(model, alias)
                else:
                    connection.client.set_registered_model_alias(model, alias, to)
        except RegistryError:
            # two first writers at once: MLflow refuses one of them, which may have wanted the same
            if self._registry.alias_version(model, alias) != to:
                raise

    def set_stage(self, version: RegisteredVersion, stage: str) -> None:
        """Move ``version`` to ``stage``, and what is there to Archived."""
        if version.stage == stage:
            return
        connection = self._registry.connection
        with connection.doing(f"move {version.label} to stage {stage}"), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # that stages are deprecated is known, and asked for
            connection.client.transition_model_version_stage(
                version.name, version.version, stage, archive_existing_versions=stage != "Archived"
            )
        self.read_back(
            f"stage of {version.label}",
            version.stage,
            stage,
            lambda: self._registry.version(version.name, version.version).stage,
        )

    def read_back(
        self, what: str, old: object, wanted: T, read: Callable[[], T], over: Callable[[], bool] = lambda: False
    ) -> None:
        """Until it reads as it was written, or the deadline is over: a replica may lag behind. ``over``: whether it
        need not read so any more, because a later write was made."""
        until, pause = time.monotonic() + self._deadline_s, 0.05
        while (found := read()) != wanted and not over():
            if time.monotonic() + pause > until:
                raise RegistryError(
                    Problem(
                        where=what,
                        found=f"{found!r} after {wanted!r} was written (before: {old!r})",
                        expected=repr(wanted),
                        way_out="another writer, or a server that drops writes: see who moved it, and run again",
                    )
                )
            time.sleep(pause)
            pause = min(pause * 2, 1.0)
