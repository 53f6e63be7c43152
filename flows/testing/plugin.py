"""The pytest plugin: fixture ``gate``, marker ``gate``, and reports of tests in which a decision was not as asserted.

Loaded by the entry point ``finetune_gate`` of group ``pytest11``, at every start of pytest: nothing is imported before
a test asks for a gate.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from finetune_gate.testing.gated import Gated, Gates

_HOME, _OUT, _URI = "finetune_gate_home", "finetune_gate_out", "finetune_gate_tracking_uri"
_SETTINGS = {
    _HOME: ("--finetune-gate-home", "Folder in which answers of models are kept between runs."),
    _OUT: ("--finetune-gate-out", "Folder for records and reports; a temporary one of pytest where not given."),
    _URI: ("--finetune-gate-tracking-uri", "MLflow server, or sqlite:/// address; else MLFLOW_TRACKING_URI."),
}

_told = pytest.StashKey[dict[int, "Gated"]]()
"""Gates that were run, or compared in vain, since the present test began; by identity."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("finetune-gate", "finetune-gate")
    for name, (flag, help_) in _SETTINGS.items():
        group.addoption(flag, dest=name, default=None, metavar="URI" if name == _URI else "FOLDER", help=help_)
        parser.addini(name, help_, default=None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gate: runs a gate (given by itself to tests that use the fixture `gate`)")
    config.stash[_told] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before ``-m`` selects."""
    for item in items:
        if "gate" in getattr(item, "fixturenames", ()):
            item.add_marker("gate")


@pytest.fixture(scope="session")
def gate(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Gates:
    """Run a gate: ``gate("gate.yaml", version="7").decision``. A dry run, unless ``dry_run=False`` is given.

    It may be used in fixtures of any scope, so that several tests look at one run.
    """
    begun = pytestconfig.invocation_params.dir
    out = _folder(pytestconfig, _OUT) or tmp_path_factory.mktemp("finetune-gate")

    def run(
        path: str | Path,
        *,
        version: str,
        model: str | None = None,
        base: str | None = None,
        dry_run: bool = True,
        home: str | Path | None = None,
        tracking_uri: str | None = None,
    ) -> Gated:
        __tracebackhide__ = True
        from finetune_gate.testing.gated import run_gate

        found = run_gate(
            begun / path,
            version=version,
            model=model,
            base=base,
            dry_run=dry_run,
            home=_folder(pytestconfig, _HOME) if home is None else begun / home,
            out=out,
            tracking_uri=tracking_uri or _setting(pytestconfig, _URI),
        )
        pytestconfig.stash[_told][id(found)] = found
        return found

    return run


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> list[str] | None:
    """Where a word of a decision is on one side of ``==``: what was decided, and why."""
    if op not in ("==", "!=", "in", "not in") or "finetune_gate.testing.gated" not in sys.modules:
        return None
    from finetune_gate.testing.gated import Said

    said = next((one for one in (left, right) if isinstance(one, Said)), None)
    if said is None:
        return None
    config.stash[_told][id(said.gated)] = said.gated
    return [f"{left!r} {op} {right!r}", *said.gated.summary()]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    item.config.stash[_told].clear()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The whole decision, in a section of its own, where the test failed; its title in the JUnit properties."""
    report = yield
    told = item.config.stash[_told]
    if report.failed:
        report.sections += [(f"finetune-gate: {one.title()}", one.rendered()) for one in told.values()]
    if report.when == "call":
        item.user_properties += [("finetune-gate", one.title()) for one in told.values()]
    return report


def _setting(config: pytest.Config, name: str) -> str | None:
    given = config.getoption(name) or config.getini(name)
    return str(given) if given else None


def _folder(config: pytest.Config, name: Literal["finetune_gate_home", "finetune_gate_out"]) -> Path | None:
    """On the command line relative to where pytest was started, in the ini file to that file's folder."""
    if given := config.getoption(name):
        return config.invocation_params.dir / str(given)
    return config.rootpath / str(config.getini(name)) if config.getini(name) else None
