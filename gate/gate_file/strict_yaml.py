"""YAML that means what it says: version 1.2, no duplicate keys, no anchors, no tags, bounded in size.

document = read_yaml(Path("gate.yaml"))
document.value["model"], document.line(("rules", 2, "min"))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from finetune_gate.evaluators.errors import ConfigurationError, Problem

MAX_BYTES = 1 << 20


class Mark(Protocol):
    @property
    def line(self) -> int: ...


class Node(Protocol):
    """A node of ruamel.yaml's graph; ``value`` holds pairs of a mapping, items of a sequence, text of a scalar."""

    @property
    def id(self) -> str: ...

    @property
    def start_mark(self) -> Mark: ...

    @property
    def value(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Document:
    """Plain values, and the line each stands on."""

    path: Path
    content: bytes
    value: object
    root: Node

    def line(self, keys: Sequence[str | int]) -> int:
        """The 1-based line of the value at ``keys``, or of its nearest parent."""
        node = self.root
        line = node.start_mark.line + 1
        for key in keys:
            found = _child(node, key)
            if found is None:
                break
            line, node = found
        return line


def _child(node: Node, key: str | int) -> tuple[int, Node] | None:
    if node.id == "mapping":
        for key_node, value_node in cast("list[tuple[Node, Node]]", node.value):
            if key_node.value == key:
                return key_node.start_mark.line + 1, value_node
    elif node.id == "sequence" and isinstance(key, int):
        items = cast("list[Node]", node.value)
        if key < len(items):
            return items[key].start_mark.line + 1, items[key]
    return None


def read_yaml(path: Path) -> Document:
    """Raises ConfigurationError where the file is missing, too large, or says one thing twice."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        way_out = "`finetune-gate init` writes one"
        raise ConfigurationError(Problem(str(path), error.strerror or str(error), "a gate file", way_out)) from None
    if len(content) > MAX_BYTES:
        raise ConfigurationError(Problem(str(path), "larger than 1 MiB", "a gate file"))
    return parse_yaml(content, path)


def parse_yaml(content: bytes, path: Path) -> Document:
    """Parse bytes already read; ``path`` is only named in errors."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        text = content.decode("utf-8-sig")
        for event in cast("Any", YAML(typ="safe", pure=True)).parse(text):
            _refuse(event, path)
        root: Node | None = cast("Any", YAML(typ="safe", pure=True)).compose(text)
        value: object = cast("Any", YAML(typ="safe", pure=True)).load(text)
    except UnicodeDecodeError as error:
        raise ConfigurationError(Problem(str(path), f"not UTF-8 at byte {error.start}")) from None
    except MarkedYAMLError as raised:
        error = cast("Any", raised)
        mark = cast("Mark | None", error.problem_mark or error.context_mark)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        found = str(error.problem or error.context or "not YAML").split("\n")[0]
        raise ConfigurationError(Problem(where, found, "YAML 1.2, each key once")) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(Problem(str(path), f"not YAML: {error}".split("\n")[0])) from None
    if root is None:
        raise ConfigurationError(Problem(str(path), "empty", "a gate file", "`finetune-gate init` writes one"))
    return Document(path, content, value, root)


@dataclass(frozen=True, slots=True)
class _Whole:
    """The only node of a document that was never text."""

    id: str = "scalar"
    line: int = 0
    value: None = None

    @property
    def start_mark(self) -> Mark:
        return self


def document_of(value: object, path: Path) -> Document:
    """Plain values that were read from elsewhere: all of them stand on line 1."""
    return Document(path, b"", value, _Whole())


def _refuse(event: Any, path: Path) -> None:
    where = f"{path}:{event.start_mark.line + 1}"
    if getattr(event, "anchor", None):
        raise ConfigurationError(Problem(where, "an anchor or alias", "every value written out where it stands"))
    tag = str(getattr(event, "ctag", None) or "None")
    if tag != "None":
        raise ConfigurationError(Problem(where, f"tag {tag}", "plain values without tags"))
    if getattr(event, "value", None) == "<<":
        raise ConfigurationError(Problem(where, "a merge key, <<", "every value written out where it stands"))
    if getattr(event, "version", None) or getattr(event, "tags", None):
        raise ConfigurationError(Problem(where, "a YAML directive", "a gate file without % lines"))
