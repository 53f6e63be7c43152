"""What a judge wrote: a rationale and what it came to, in one JSON object; or why that cannot be told.

    read_object(Generation('{"rationale": "It is right.", "score": 4}', "stop", 12), "score")   # ("It is right.", 4)

A reply is read whole or not at all. Nothing is searched for inside it: a judge quotes what it judges, and an answer
that holds the words of a verdict must not become one.
"""

from __future__ import annotations

import json
import re
from typing import cast

from ..absent import Unmeasured
from ..asking import Answer, Generation
from ..references import text_of

_FENCED = re.compile(r"```(?:json)?[ \t]*\r?\n(.*?)\r?\n?[ \t]*```", re.DOTALL)
_NOT_JSON = Unmeasured("the judge's reply is not one JSON object")


def read_object(reply: Answer, key: str) -> tuple[str, object] | Unmeasured:
    """Rationale and value of exactly one JSON object with exactly a rationale and ``key``; white space and one Markdown
    fence around it are no part of it. What the value may be is for the caller to say."""
    if isinstance(reply, Generation) and reply.finish == "length":
        return Unmeasured(f"the judge's {key} was truncated")
    text = text_of(reply)
    if isinstance(text, Unmeasured):
        return text
    fenced = _FENCED.fullmatch(text.strip())
    try:
        found: object = json.loads(
            fenced[1] if fenced else text, object_pairs_hook=_without_twins, parse_constant=_refused
        )
    except (ValueError, RecursionError):
        return _NOT_JSON
    if not isinstance(found, dict):
        return _NOT_JSON
    fields = cast("dict[str, object]", found)
    if fields.keys() != {"rationale", key}:
        return Unmeasured(f"the judge's JSON does not hold just a rationale and a {key}")
    rationale = fields["rationale"]
    if not isinstance(rationale, str):
        return Unmeasured("the judge's rationale is no text")
    return rationale, fields[key]


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice: which of them counts would be a guess")
    return found


def _refused(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")
