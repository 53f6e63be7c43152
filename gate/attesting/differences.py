"""Where two values that should be one differ, leaf by leaf.

differences("rules", recorded, computed)    # (Difference("rules[0].checks[1].bound", "0.5", "0.6"),)
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from ..record import canonical_json


@dataclass(frozen=True, slots=True)
class Difference:
    """``found`` is what is kept, ``expected`` what it should be by everything else that is kept; both as JSON, or in
    words. They may hold anything that a record may."""

    where: str
    found: str
    expected: str


def differences(where: str, found: object, expected: object) -> tuple[Difference, ...]:
    """Of two JSON values. Numbers are the same only if they are written the same: 0.0 is not -0.0."""
    return tuple(_differences(where, found, expected))


def _differences(where: str, found: object, expected: object) -> Generator[Difference]:
    ours, theirs = canonical_json(found), canonical_json(expected)
    if ours == theirs:
        return
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        yield from _in_mappings(where, cast("Mapping[str, object]", found), cast("Mapping[str, object]", expected))
    elif isinstance(found, (list, tuple)) and isinstance(expected, (list, tuple)):
        have, want = cast("Sequence[object]", found), cast("Sequence[object]", expected)
        if len(have) != len(want):
            yield Difference(where, f"{len(have)} entries", f"{len(want)} entries")
        for index, (one, other) in enumerate(zip(have, want, strict=False)):
            yield from _differences(f"{where}[{index}]", one, other)
    else:
        yield Difference(where, ours.decode(), theirs.decode())


def _in_mappings(where: str, found: Mapping[str, object], expected: Mapping[str, object]) -> Generator[Difference]:
    for key in dict.fromkeys((*expected, *found)):
        place = f"{where}.{key}"
        if key in found and key in expected:
            yield from _differences(place, found[key], expected[key])
        else:
            yield Difference(place, _shown(found, key), _shown(expected, key))


def _shown(values: Mapping[str, object], key: str) -> str:
    return canonical_json(values[key]).decode() if key in values else "nothing"
