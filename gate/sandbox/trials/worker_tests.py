"""Tests that are code, inside a sandbox without the program they are about.

Runs inside, as text; see ``worker.py``. What ``candidate`` returns there are plain copies of what the program returned.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
import threading
import types
import typing
from typing import Any

from .encoding import Unplain, decode, encode, pack
from .inside import LONGEST, TEXT, Channel, executed, told


class _Unusable(BaseException):
    """The tests cannot be run at all, whatever the program. Not for them to catch."""


def run_tests(channel: Channel, source: str, reference: str, entry_point: str) -> None:
    program = _Relayed(channel, entry_point)
    try:
        failed = _tested(source, reference, entry_point, program)
        verdict = ["passed", ""] if failed is None else ["failed", failed]
    except _Unusable as error:
        verdict = ["unusable", str(error)]
    except BaseException as error:  # noqa: BLE001 (the border to foreign code: a test that fails raises)
        verdict = ["failed", told(error)[2]]
    channel.send(["verdict", *(verdict if program.cannot is None else ["unusable", program.cannot])])


def _tested(source: str, reference: str, entry_point: str, program: _Relayed) -> str | None:
    """Why the program failed; None where it passed."""
    tests = types.ModuleType("tests")
    sys.modules["tests"] = tests
    names = tests.__dict__
    if reference:
        try:  # in a namespace of its own, so that its functions call each other and not the program
            names.update({k: v for k, v in executed(reference, "reference").__dict__.items() if k[:2] != "__"})
        except BaseException as error:  # noqa: BLE001 (the border to foreign code)
            raise _Unusable(f"the reference solution cannot be loaded: {told(error)[2]}") from None
    names.update({name: program for name in (entry_point, "candidate")})
    _supply(source, names)
    exec(compile(source, "<tests>", "exec", dont_inherit=True), names)  # noqa: S102 (as above)
    if names.get("check") is not None and "check" in _assigned(ast.parse(source)):
        names["check"](program)
    failed = _failed_cases(names)
    if not program.calls:
        raise _Unusable(f"the tests never call {entry_point!r}")
    return failed


class _Relayed:
    """Calls the program, which is elsewhere. ``cannot`` says why that is not possible for these tests: it is kept here
    too, since tests may catch whatever is raised."""

    def __init__(self, channel: Channel, name: str) -> None:
        self._channel = channel
        self._one_at_a_time = threading.Lock()
        self.__name__ = self.__qualname__ = name
        self.calls = 0
        self.cannot: str | None = None

    def __call__(self, *given: Any, **keywords: Any) -> Any:
        self.calls += 1
        try:
            message = ["call", encode(list(given)), encode(keywords)]
            if len(pack(message)) > LONGEST:
                raise Unplain(f"more than {LONGEST} bytes")
        except Unplain as error:
            self.cannot = f"the tests give the program {error}"
            raise _Unusable(self.cannot) from None
        with self._one_at_a_time:
            self._channel.send(message)
            kind, *rest = self._channel.receive()
        if kind == "raised":
            raise _remade(rest[0], decode(rest[1]), rest[2])
        value, after = rest
        if after is not None:
            changed, changed_keywords = decode(after)
            _change([*given, *keywords.values()], [*changed, *(changed_keywords[name] for name in keywords)])
        return decode(value)


def _remade(name: str, made_of: list[Any], said: str) -> Exception:
    try:
        return getattr(builtins, name)(*made_of)
    except Exception:  # noqa: BLE001 (some can only be made of certain things, and raise what they like about others)
        return Exception(said)


def _change(given: list[Any], after: list[Any]) -> None:
    """Make the containers among ``given`` what they are ``after`` the call."""
    for one, changed in zip(given, after):  # noqa: B905 (strict= came with 3.10)
        if type(one) is list:
            one[:] = changed
        elif type(one) in (dict, set):
            one.clear()
            one.update(changed)


def _supply(source: str, names: dict[str, Any]) -> None:
    """The modules and types that tests use and leave to the program to import. Tests that run text as code are refused:
    it might be the program's, and their verdict is believed."""
    tree = ast.parse(source)
    loaded = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    if running := sorted(loaded & {"eval", "exec"}):
        raise _Unusable(f"the tests use {running[0]!r}, and could run what a program returns")
    unknown = sorted(loaded - _assigned(tree) - set(names) - set(dir(builtins)))
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree)):
        return
    for name in unknown:
        if name in typing.__all__:
            names[name] = getattr(typing, name)
            continue
        try:
            names[name] = importlib.import_module(name)
        except ImportError:
            raise _Unusable(
                f"the tests use {name!r}, which neither they nor a reference solution define; the program's own "
                "would be what it is tested by"
            ) from None


def _assigned(tree: ast.AST) -> set[str]:
    """Every name that is given a meaning anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    return names


def _failed_cases(names: dict[str, Any]) -> str | None:
    """What went wrong in the classes of tests among ``names``; None where nothing did, or there are none."""
    if "unittest" not in sys.modules:
        return None
    import unittest

    suite = unittest.TestSuite()
    for kind in names.values():
        if isinstance(kind, type) and issubclass(kind, unittest.TestCase) and kind.__module__ == "tests":
            suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(kind))
    result = unittest.TestResult()
    suite.run(result)
    wrong = [*result.failures, *result.errors]
    if wrong or result.unexpectedSuccesses:
        return str(wrong[0][1]).strip().rsplit("\n", 1)[-1][:TEXT] if wrong else "an expected failure passed"
    return None
