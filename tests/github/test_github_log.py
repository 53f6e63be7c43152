"""Commands in the log: ours arrive as they are meant, and foreign text makes none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from runner_files import Command, commands_of

from finetune_gate.evaluators.errors import Problem
from finetune_gate.flows.github.log_commands import (
    MOST,
    annotation,
    command,
    masks,
    problem_annotations,
    rule_annotations,
)

sys.path.append(str(Path(__file__).parent.parent / "reports"))

from sample_records import hostile_record, record_of

NASTY = st.text(st.sampled_from("ab:,;%0A25D\n\r =#[]:\u2028\u202e\x1b"), max_size=60)


@given(NASTY, NASTY)
def test_a_command_is_one_command_and_means_what_it_was_given(message: str, title: str) -> None:
    line = command("error", message, title)
    found = commands_of(f"before\n{line}\nafter\n")
    assert [one.name for one in found] == ["error"]
    assert "\n" not in line
    assert "\r" not in line


@given(st.text(st.sampled_from("ab:,%0A\n =x"), max_size=40))
def test_texts_come_back_whole(text: str) -> None:
    (found,) = commands_of(command("error", text, "t" + text))
    assert found.message == text
    assert found.properties["title"] == ("t" + text).rstrip(" ")


@given(NASTY)
def test_an_annotation_is_a_single_line(text: str) -> None:
    (found,) = commands_of(annotation("warning", text))
    assert found.name == "warning"
    assert "\n" not in found.message


def test_rules_of_a_hostile_record_make_annotations_and_nothing_else() -> None:
    found = commands_of("\n".join(rule_annotations(hostile_record())))
    assert found
    assert {one.name for one in found} <= {"error", "warning"}
    assert all("\n" not in one.message and "\x1b" not in one.message for one in found)


def test_a_rule_that_passed_is_no_annotation() -> None:
    assert rule_annotations(record_of("promote")) == []


def test_what_blocks_is_an_error_and_what_is_open_a_warning() -> None:
    block = commands_of("\n".join(rule_annotations(record_of("block"))))
    assert "error" in {one.name for one in block}
    hold = commands_of("\n".join(rule_annotations(record_of("hold"))))
    assert {one.name for one in hold} == {"warning"}


def test_there_are_never_more_than_github_shows() -> None:
    record = record_of("block")
    many = record.model_copy(update={"rules": tuple(rule for rule in record.rules for _ in range(20))})
    found = commands_of("\n".join(rule_annotations(many)))
    counts = {kind: [one for one in found if one.name == kind] for kind in ("error", "warning")}
    assert len(counts["error"]) == MOST
    assert "more" in counts["error"][-1].message
    assert len(counts["warning"]) <= MOST
    problems = [Problem(f"rule {index}", "wrong") for index in range(30)]
    assert len(problem_annotations(problems)) == MOST


def test_a_problem_is_said_in_one_line() -> None:
    (found,) = commands_of(problem_annotations([Problem("gate.yaml:3", "min: x", "a number", "write 0.5")])[0])
    assert found == Command(
        "error", {"title": "no decision: gate.yaml:3"}, "min: x; expected: a number; way out: write 0.5"
    )


def test_secrets_are_masked_where_a_runner_hides_the_mask() -> None:
    environ = {
        "GITHUB_ACTIONS": "true",
        "OPENAI_API_KEY": "sk-1234",
        "GITHUB_TOKEN": "ghs_%0A,1",
        "PREFECT_API_AUTH_STRING": "admin:pa%ss",
        "MLFLOW_TRACKING_URI": "http://me:s%40cret@mlflow.example/",
        "HF_TOKEN": "one\n  two-2",
        "MY_KEY": "mine",
        "MLFLOW_TRACKING_PASSWORD": "abc",
        "OTHER": "not a secret",
    }
    found = commands_of("\n".join(masks(environ, ("MY_KEY",))))
    assert {one.name for one in found} == {"add-mask"}
    hidden = {one.message for one in found}
    assert {"sk-1234", "ghs_%0A,1", "admin:pa%ss", "pa%ss", "s%40cret", "s@cret", "two-2", "mine"} <= hidden
    assert "not a secret" not in hidden
    assert "abc" not in hidden
    assert masks({**environ, "GITHUB_ACTIONS": ""}) == []


def test_no_command_gets_through_while_they_are_held_off() -> None:
    foreign = ["::error::x", "##[error]x", "  ::add-mask::y", "no end of line ::", "::stop-commands::x", "::x::"]
    script = (
        "import sys\n"
        "from finetune_gate.flows.github.log_commands import commands_held_off, one_stream, say\n"
        "with one_stream():\n"
        "    for line in sys.argv[1:]:\n"
        "        with commands_held_off():\n"
        "            print('::set-output name=a::b')\n"
        "            print(line, file=sys.stderr)\n"
        "            print(line, end='')\n"
        "        say(['::notice::after'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *foreign], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert commands_of(done.stdout) == [Command("notice", {}, "after")] * len(foreign)
    assert all(done.stdout.count(f"{line}\n") >= 2 for line in foreign)
