"""The file of ratings: nothing is lost, whoever writes."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest
from sheets import CRITERIA, desk_in, pairs, sheet_of

from finetune_gate.evaluators.errors import ConfigurationError, DatasetError, EvaluationError
from finetune_gate.evaluators.people.ratings import rating_line
from finetune_gate.evaluators.people.sheet import make_sheet, rating_of
from finetune_gate.gate.rating import Desk, RatingsFile, Said, ratings_file


def say_all(folder: str, rater: str) -> None:
    desk = desk_in(Path(folder), sheet_of(40, rater))
    for item in desk.sheet.items:
        desk.keep([Said(item.id, "tie", {}, {}, "")])


def test_two_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    start = multiprocessing.get_context("spawn").Process
    writers = [start(target=say_all, args=(str(tmp_path), rater)) for rater in ("ana", "bo")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    found = RatingsFile(tmp_path / "ratings.jsonl").read()
    assert sorted({(rating.rater, rating.example) for rating in found}) == sorted(
        (rater, pair.example) for rater in ("ana", "bo") for pair in pairs(40)
    )


def test_what_is_said_again_takes_its_place_and_other_lines_stay(tmp_path: Path) -> None:
    file = RatingsFile(tmp_path / "sub" / "ratings.jsonl")
    one, two, *_ = sheet_of().items
    file.keep([rating_of(one, "ana", "left"), rating_of(two, "ana", "tie")])
    foreign = b'{"id":  "x", "kept": "as it is"}'
    file.path.write_bytes(foreign + b"\nnot JSON at all\n" + file.path.read_bytes().rstrip(b"\n"))
    file.keep([rating_of(one, "ana", "right", notes="\u2028 line")])
    lines = file.path.read_bytes().split(b"\n")
    assert lines[:2] == [foreign, b"not JSON at all"]
    assert [json.loads(line)["choice"] for line in lines[2:-1]] == ["right", "tie"]
    with pytest.raises(DatasetError, match="line 2"):
        file.read()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.jsonl").write_bytes(b"")
    (tmp_path / "link.jsonl").symlink_to("real.jsonl")
    RatingsFile(tmp_path / "link.jsonl").keep([rating_of(sheet_of().items[0], "ana", "left")])
    assert (tmp_path / "link.jsonl").is_symlink()
    assert (tmp_path / "real.jsonl").read_bytes()


def test_waiting_for_another_process_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratings_file, "WAIT_SECONDS", 0.05)
    file = RatingsFile(tmp_path / "ratings.jsonl")
    with ratings_file._alone(file.path), pytest.raises(EvaluationError, match="another process"):
        file.keep([rating_of(sheet_of().items[0], "ana", "left")])
    assert not file.path.exists()


@pytest.mark.parametrize("name", ["ratings.csv", "ratings.parquet", "."])
def test_only_lines_can_be_added_to(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\.jsonl"):
        RatingsFile(tmp_path / name)


def test_what_was_said_is_found_again_on_whichever_side(tmp_path: Path) -> None:
    before, after = (make_sheet("t", pairs(30), "ana", CRITERIA, seed=seed) for seed in (0, 1))
    file = RatingsFile(tmp_path / "ratings.jsonl")
    Desk(before, file).keep([Said(item.id, "left", {"accuracy": 5}, {"accuracy": 1}, "n") for item in before.items])
    preferred = {item.prompt: item.left for item in before.items}
    said = Desk(after, file).said()
    assert len(said) == 30
    for item in after.items:
        one = said[item.id]
        assert getattr(item, str(one.choice)) == preferred[item.prompt]
        assert (one.left_scores if one.choice == "left" else one.right_scores) == {"accuracy": 5}
    assert {said[item.id].choice for item in after.items} == {"left", "right"}


def test_a_sheet_asks_what_is_left(tmp_path: Path) -> None:
    desk = desk_in(tmp_path)
    one, two, *others = desk.sheet.items
    both = {"accuracy": 3, "plain_words": 3}
    desk.keep([Said(one.id, "tie", both, both, ""), Said(two.id, "tie", both, {}, "")])
    assert desk.left().items == (two, *others)
    assert str(desk.count()) == "1 of 4 rated, 1 in part"
    other = desk_in(tmp_path, sheet_of(rater="bo"))
    assert str(other.count()) == "0 of 4 rated"
    assert rating_line(desk.file.read()[0])["rater"] == "ana"
