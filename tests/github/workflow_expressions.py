"""The expressions in `${{ }}` of actions and workflows, as far as ours use them, evaluated as GitHub's runner does.

    value("inputs.dry-run == 'true' && 'a' || 'b'", {"inputs": {"dry-run": "true"}}, Status())   # "a"
    text("to ${{ inputs.model }}", ...)                                                          # "to support-bot"

https://docs.github.com/en/actions/reference/workflows-and-actions/expressions. Anything that it does not know is an
error rather than a guess: an expression that is tested nowhere must not be in a shipped file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

Value = None | bool | float | str | Mapping[str, "Value"] | Sequence["Value"]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)|(?P<string>'(?:[^']|'')*')|(?P<name>[A-Za-z_][\w-]*)"
    r"|(?P<sign>==|!=|&&|\|\||[()\[\].,!*]))"
)
_EMBEDDED = re.compile(r"\$\{\{((?:(?!\}\}).)*)\}\}", re.DOTALL)
_STATUS_FUNCTIONS = re.compile(r"\b(always|success|failure|cancelled)\s*\(")


@dataclass(frozen=True, slots=True)
class Status:
    """What the status functions tell: has anything before failed, was the run cancelled, was a needed job skipped?"""

    failed: bool = False
    cancelled: bool = False
    skipped: bool = False


def value(expression: str, contexts: Mapping[str, Value], status: Status) -> Value:
    """Raises ValueError for what is not an expression, or uses what is not known here."""
    parser = _Parser(_tokens(expression), contexts, status)
    found = parser.either()
    parser.expect_end(expression)
    return found


def text(template: str, contexts: Mapping[str, Value], status: Status) -> str:
    return _EMBEDDED.sub(lambda match: as_text(value(match[1], contexts, status)), template)


def filled(template: Value, contexts: Mapping[str, Value], status: Status) -> Value:
    """A value of YAML; a text that is one expression and nothing else keeps the type of its result."""
    if not isinstance(template, str):
        return template
    whole = _EMBEDDED.fullmatch(template.strip())
    return value(whole[1], contexts, status) if whole else text(template, contexts, status)


def holds(condition: Value, contexts: Mapping[str, Value], status: Status) -> bool:
    """An ``if:``. Without a status function in it, ``success() &&`` stands before it."""
    if condition is None:
        return value("success()", contexts, status) is True
    written = condition if isinstance(condition, str) else as_text(condition)
    whole = _EMBEDDED.fullmatch(written.strip())
    expression = whole[1] if whole else written
    if "${{" in expression:
        raise ValueError(f"an if: with an expression inside text is always true: {written!r}")
    if not _STATUS_FUNCTIONS.search(expression) and not _true(value("success()", contexts, status)):
        return False
    return _true(value(expression, contexts, status))


def as_text(found: Value) -> str:
    match found:
        case None:
            return ""
        case bool():
            return "true" if found else "false"
        case int() | float():
            return f"{found:g}"
        case str():
            return found
        case Mapping():
            return "Object"
        case _:
            return "Array"


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at = 0
    while expression[at:].strip():
        match = _TOKEN.match(expression, at)
        if match is None:
            raise ValueError(f"not an expression: {expression!r}, from {expression[at:]!r}")
        tokens.append((cast("str", match.lastgroup), match[match.lastgroup or 0]))
        at = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], contexts: Mapping[str, Value], status: Status) -> None:
        self._tokens, self._contexts, self._status, self._at = tokens, contexts, status, 0

    def expect_end(self, expression: str) -> None:
        if self._at != len(self._tokens):
            raise ValueError(f"not an expression: {expression!r}")

    def either(self) -> Value:
        left = self._both()
        while self._took("||"):
            right = self._both()
            left = left if _true(left) else right
        return left

    def _both(self) -> Value:
        left = self._compared()
        while self._took("&&"):
            right = self._compared()
            left = right if _true(left) else left
        return left

    def _compared(self) -> Value:
        left = self._negated()
        while (equal := self._took("==")) or self._took("!="):
            left = _equal(left, self._negated()) is bool(equal)
        return left

    def _negated(self) -> Value:
        return not _true(self._negated()) if self._took("!") else self._followed()

    def _followed(self) -> Value:
        found, star = self._single(), False
        while True:
            if self._took("."):
                if self._took("*"):
                    found, star = list(found.values()) if isinstance(found, Mapping) else found, True
                    continue
                name = self._next("name")
            elif self._took("["):
                name = as_text(self.either())
                self._must("]")
            else:
                return found
            found = [_member(each, name) for each in cast("Sequence[Value]", found)] if star else _member(found, name)

    def _single(self) -> Value:
        if self._took("("):
            found = self.either()
            self._must(")")
            return found
        kind, token = self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")
        self._at += 1
        if kind == "number":
            return float(token)
        if kind == "string":
            return token[1:-1].replace("''", "'")
        if kind != "name":
            raise ValueError(f"unexpected {token!r}")
        if self._took("("):
            arguments: list[Value] = []
            while not self._took(")"):
                arguments.append(self.either())
                self._took(",")
            return self._called(token, arguments)
        if token in ("true", "false", "null"):
            return json.loads(token)
        if token not in self._contexts:
            raise ValueError(f"no context {token!r} here; there are {', '.join(self._contexts)}")
        return self._contexts[token]

    def _called(self, name: str, arguments: list[Value]) -> Value:
        status = self._status
        functions: dict[str, Callable[..., Value]] = {
            "always": lambda: True,
            "success": lambda: not (status.failed or status.cancelled or status.skipped),
            "failure": lambda: status.failed and not status.cancelled,
            "cancelled": lambda: status.cancelled,
            "format": _format,
            "fromJSON": lambda found: json.loads(as_text(found)),
            "toJSON": lambda found: json.dumps(found, indent=2),
            "contains": _contains,
            "join": lambda found, by=",": as_text(by).join(as_text(each) for each in found),
            "startsWith": lambda found, what: as_text(found).lower().startswith(as_text(what).lower()),
        }
        if name not in functions:
            raise ValueError(f"function {name!r} is not known here")
        return functions[name](*arguments)

    def _took(self, sign: str) -> str:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("sign", sign):
            self._at += 1
            return sign
        return ""

    def _must(self, sign: str) -> None:
        if not self._took(sign):
            raise ValueError(f"{sign!r} is missing")

    def _next(self, kind: str) -> str:
        found, token = self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")
        if found != kind:
            raise ValueError(f"a {kind} is missing where {token!r} is")
        self._at += 1
        return token


def _member(of: Value, name: str) -> Value:
    """What is not there is null, as on GitHub: a misspelt output is the empty text."""
    return of.get(name) if isinstance(of, Mapping) else None


def _format(template: Value, *arguments: Value) -> str:
    return re.sub(r"\{(\d+)\}", lambda match: as_text(arguments[int(match[1])]), as_text(template))


def _contains(within: Value, what: Value) -> bool:
    if isinstance(within, str | None):
        return as_text(what).lower() in as_text(within).lower()
    return any(_equal(each, what) for each in cast("Sequence[Value]", within))


def _true(found: Value) -> bool:
    return not (found is None or found is False or found == 0 or found == "")


def _equal(left: Value, right: Value) -> bool:
    """Texts without regard to case; different types as numbers, of which a text that is none equals nothing."""
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    if isinstance(left, Mapping | list) or isinstance(right, Mapping | list):
        return left is right
    return _number(left) == _number(right)


def _number(found: Value) -> float:
    if found is None or found == "":
        return 0.0
    try:
        return float(cast("str | float", found))
    except ValueError:
        return float("nan")
