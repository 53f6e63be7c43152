"""The plugin in a pytest of its own, over gates of real, tiny models: what users read when a decision is another."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import pytest
from workshop import MODEL, PASSES, Workshop, open_workshop

from finetune_gate.testing import Gated

BLOCKS = "{metric: perplexity.bits_per_byte, max: 0.01}"

PLUGIN = ("-p", "finetune_gate.testing.plugin")

TESTS = """
import pytest
from finetune_gate.testing import ConfigurationError, EvaluationError


def test_may_go_live(gate):
    found = gate("gate.yaml", version="1", model="tiny-router")
    assert found.decision == "promote"
    assert found.rules == {"perplexity.bits_per_byte <= 40": "passed"}
    assert found.reason == found.record.sentence
    assert found.dry_run and found.report.is_file() and (found.folder / "decision-record.json").is_file()
    assert found.record.run.trigger == "pytest"


def test_is_blocked(gate):
    assert gate("strict.yaml", version="2").decision == "promote"


def test_no_such_version(gate):
    gate("gate.yaml", version="99")


@pytest.mark.xfail(raises=AssertionError, strict=True)
def test_what_could_not_be_judged_is_no_failed_assertion(gate):
    assert gate("gate.yaml", version="99").decision == "promote"


def test_no_server(gate):
    with pytest.raises(EvaluationError):
        gate("gate.yaml", version="1", tracking_uri="http://127.0.0.1:9")


def test_another_model_is_refused(gate):
    with pytest.raises(ConfigurationError):
        gate("gate.yaml", version="1", model="another")


@pytest.fixture(scope="module")
def decided(gate):
    return gate("strict.yaml", version="1", base="models:/tiny-base/1")


def test_shared_first(decided):
    assert decided.decision != "promote"


def test_a_rule_by_itself(decided):
    assert decided.rules["perplexity.bits_per_byte <= 0.01"] == "passed"


def test_shared_later(decided):
    assert "promote" == decided.decision


def test_really(gate):
    assert gate("gate.yaml", version="2", dry_run=False).decision == "promote"


def test_without_a_gate():
    assert "block" == "promote"
"""


DOCS = Path(__file__).parent.parent.parent / "docs" / "pytest.md"


def documented_test() -> str:
    """The first test of the docs, under a name of its own, about a version that there is here."""
    block = DOCS.read_text().split("```python\n")[1].split("```")[0]
    assert "def test_may_go_live(gate):" in block
    return block.replace("test_may_go_live", "test_of_the_docs").replace('version="7"', 'version="1"')


@dataclass(frozen=True, slots=True)
class Session:
    """A run of pytest that has ended. ``cases``: outcome by test, from its JUnit file."""

    status: int
    output: str
    cases: dict[str, str]
    properties: dict[str, list[str]]

    def told(self, test: str) -> str:
        """What was reported of a failed ``test``."""
        return self.output.split(f"_ {test} _", 1)[1].split("\n____", 1)[0]


def run_pytest(folder: Path, *arguments: str) -> Session:
    """No plugin but ours: what else is installed must not matter."""
    junit = folder / "junit.xml"
    junit.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN, "-c", "pytest.ini", "--junitxml", str(junit), *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "COLUMNS": "120",
            "CI": "",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    cases: dict[str, str] = {}
    properties: dict[str, list[str]] = {}
    for case in ET.parse(junit).iter("testcase"):
        name = str(case.get("name"))
        cases[name] = next((one.tag for one in case if one.tag in ("failure", "error", "skipped")), "passed")
        properties[name] = [str(one.get("value")) for one in case.iter("property")]
    return Session(done.returncode, done.stdout + done.stderr, cases, properties)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    made = open_workshop(tmp_path_factory.mktemp("plugin"))
    made.gate(PASSES, classify=False)
    made.gate(BLOCKS, classify=False, name="strict.yaml")
    (made.folder / "test_gates.py").write_text(documented_test() + TESTS)
    (made.folder / "pytest.ini").write_text(
        "[pytest]\naddopts = --strict-markers --strict-config -W error\n"
        f"finetune_gate_home = answers\nfinetune_gate_tracking_uri = {made.uri}\n"
    )
    return made


@pytest.fixture(scope="module")
def session(workshop: Workshop) -> Session:
    ended = run_pytest(workshop.folder, "--finetune-gate-out", "kept", "test_gates.py")
    assert ended.status == 1, ended.output
    return ended


@pytest.mark.slow
def test_decisions_are_outcomes_of_tests(session: Session) -> None:
    assert {name for name, outcome in session.cases.items() if outcome == "failure"} == {
        "test_is_blocked",
        "test_a_rule_by_itself",
        "test_no_such_version",
        "test_what_could_not_be_judged_is_no_failed_assertion",
        "test_shared_later",
        "test_without_a_gate",
    }, session.output
    assert len(session.cases) == 12


@pytest.mark.slow
def test_a_decision_that_is_another_is_shown_as_in_a_terminal(session: Session) -> None:
    told = session.told("test_is_blocked")
    assert "AssertionError: assert 'block' == 'promote'" in told
    assert f"{MODEL} v2: block" in told
    assert "failed: perplexity.bits_per_byte is not at most 0.01" in told
    assert f"- finetune-gate: {MODEL} v2: block -" in told
    assert "✗ BLOCK" in told
    assert "report.html" in told
    assert "failed: perplexity.bits_per_byte is not at most 0.01" in session.told("test_a_rule_by_itself")


@pytest.mark.slow
def test_a_run_that_several_tests_look_at_is_shown_where_one_fails(session: Session) -> None:
    assert f"- finetune-gate: {MODEL} v1: block -" in session.told("test_shared_later")
    assert "finetune-gate" not in session.told("test_without_a_gate")


@pytest.mark.slow
def test_what_could_not_be_judged_is_told_without_our_frames(session: Session) -> None:
    told = session.told("test_no_such_version")
    assert "ConfigurationError: candidate '99': registered model 'tiny-router' has no version 99" in told
    assert "expected: one of versions 1, 2" in told
    assert "gated.py" not in told


@pytest.mark.slow
def test_only_an_explicit_run_changes_the_registry(session: Session, workshop: Workshop) -> None:
    assert workshop.champion() == "2"
    assert not any(tag.startswith("finetune_gate.") for tag in workshop.tags("1"))
    assert list((workshop.folder / "answers").iterdir())
    assert list((workshop.folder / "kept").iterdir())


@pytest.mark.slow
def test_ci_finds_decisions_in_the_junit_file(session: Session) -> None:
    assert session.properties["test_may_go_live"] == [f"{MODEL} v1: promote"]
    assert session.properties["test_is_blocked"] == [f"{MODEL} v2: block"]
    assert session.properties["test_without_a_gate"] == []


def test_tests_with_a_gate_are_selected_by_the_marker(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text("def test_gated(gate): ...\ndef test_other(): ...\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    assert set(run_pytest(tmp_path, "-m", "gate").cases) == {"test_gated"}


def test_who_gates_nothing_loads_nothing(tmp_path: Path) -> None:
    """Neither a library nor another part of this project, at the start or for a comparison that fails."""
    (tmp_path / "test_it.py").write_text(
        "import sys, pytest\n"
        "def test_it():\n"
        "    with pytest.raises(AssertionError):\n"
        "        assert 'block' == 'promote'\n"
        "    loaded = {name for name in sys.modules if name.startswith('finetune_gate.')}\n"
        "    assert loaded == {'finetune_gate.testing', 'finetune_gate.testing.plugin'}\n"
        "    heavy = {'torch', 'mlflow', 'transformers', 'prefect', 'numpy', 'pydantic', 'click', 'rich'}\n"
        "    assert not heavy & set(sys.modules)\n"
        "    import finetune_gate.testing as testing\n"
        "    assert {getattr(testing, name).__name__ for name in testing.__all__} == set(testing.__all__)\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    ended = run_pytest(tmp_path)
    assert ended.cases == {"test_it": "passed"}, ended.output


def test_what_others_wrote_does_not_act_on_whoever_reads_the_test_report() -> None:
    from sample_records import hostile_record

    gated = Gated(hostile_record(), Path("out"))
    shown = "\n".join([repr(gated), gated.title(), *gated.summary(), gated.rendered()])
    assert [one for one in shown if not one.isprintable() and one != "\n"] == []
    assert "\\x1b[31mred" in shown
    assert "\n" not in gated.title()


def test_it_is_registered_once_under_its_name() -> None:
    (found,) = importlib.metadata.entry_points(group="pytest11", name="finetune_gate")
    assert found.value == "finetune_gate.testing.plugin"


@pytest.mark.skipif(not os.environ.get("FINETUNE_GATE_LONG_TESTS"), reason="FINETUNE_GATE_LONG_TESTS=1 runs it")
def test_workers_of_xdist_tell_as_much(workshop: Workshop) -> None:
    ended = run_pytest(workshop.folder, "-p", "xdist", "-n", "2", "-k", "is_blocked or may_go_live or by_itself")
    assert ended.cases == {
        "test_may_go_live": "passed",
        "test_is_blocked": "failure",
        "test_a_rule_by_itself": "failure",
    }, ended.output
    assert f"- finetune-gate: {MODEL} v2: block -" in ended.output
