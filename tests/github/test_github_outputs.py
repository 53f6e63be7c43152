"""The writer of a step's outputs: whatever the values are, they are values and nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from runner_files import outputs_of

from finetune_gate.evaluators.errors import EvaluationError
from finetune_gate.flows.github.outputs import LONGEST, write_outputs

nasty = st.text(st.sampled_from("ab=<>\n\r\v\f\x00\x1b\x85\u2028\u202e%:#[]'\"` \\EOF\ud800é"), max_size=40)
values = st.one_of(nasty, st.text(max_size=60), st.from_regex(r"[A-Za-z0-9_.:/@+-]{0,20}", fullmatch=True))


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True), values, max_size=6))
@example({"version": "7\ndecision=promote"})
@example({"version": "x\rdecision=promote"})
@example({"version": "7<<EOF"})
@example({"version": " "})
def test_there_are_never_other_outputs_than_these(wanted: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "output"
        refused = write_outputs(path, wanted)
        assert outputs_of(path) == {name: "" if name in refused else value for name, value in wanted.items()}
    assert all(not wanted[name].isprintable() for name in refused)


def test_plain_values_are_plain_lines(tmp_path: Path) -> None:
    path = tmp_path / "output"
    assert write_outputs(path, {"decision": "promote", "champion-before": "", "record": "a/b-1.json"}) == ()
    assert path.read_text() == "decision=promote\nchampion-before=\nrecord=a/b-1.json\n"


def test_every_delimiter_is_new(tmp_path: Path) -> None:
    path = tmp_path / "output"
    assert write_outputs(path, {"model": "my model", "record": "a b"}) == ()
    delimiters = {line.partition("<<")[2] for line in path.read_text().splitlines() if "<<" in line}
    assert len(delimiters) == 2
    assert all(len(one) >= 32 for one in delimiters)


def test_what_was_written_before_is_left_and_ends_its_line(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_text("other=kept")
    write_outputs(path, {"decision": "hold"})
    write_outputs(path, {"version": "7"})
    assert path.read_text() == "other=kept\ndecision=hold\nversion=7\n"


def test_long_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "output"
    assert write_outputs(path, {"model": "x" * (LONGEST + 1), "record": "y" * LONGEST}) == ("model",)
    assert outputs_of(path) == {"model": "", "record": "y" * LONGEST}


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="GITHUB_OUTPUT: cannot be written"):
        write_outputs(tmp_path, {"decision": "hold"})


def test_a_name_is_never_foreign(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no name of an output"):
        write_outputs(tmp_path / "output", {"a=b": "c"})
