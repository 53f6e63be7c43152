from __future__ import annotations

from pathlib import Path

import pytest

from finetune_gate.flows.demo.shelf import Shelf


def text_writer(text: str):
    return lambda work: (work / "file.txt").write_text(text, encoding="utf-8") and None


def refused(work: Path) -> None:
    raise AssertionError(f"{work} should not have been made")


def test_a_part_is_made_once(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    assert shelf.put("part", "key", text_writer("first"))
    assert not shelf.put("part", "key", refused)
    assert (tmp_path / "part" / "file.txt").read_text(encoding="utf-8") == "first"


def test_another_key_replaces_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.put("part", "key", text_writer("first"))
    assert shelf.put("part", "other key", text_writer("second"))
    assert (tmp_path / "part" / "file.txt").read_text(encoding="utf-8") == "second"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".keys", "part"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    def fail(work: Path) -> None:
        (work / "half").touch()
        raise RuntimeError("power cut")

    shelf = Shelf(tmp_path)
    shelf.put("part", "key", text_writer("first"))
    with pytest.raises(RuntimeError, match="power cut"):
        shelf.put("part", "other key", fail)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".keys", "part"]
    assert not shelf.put("part", "key", refused)


def test_a_part_whose_key_was_never_written_is_made_again(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.put("part", "key", text_writer("first"))
    (tmp_path / ".keys" / "part").unlink()
    assert shelf.put("part", "key", text_writer("second"))


def test_a_part_that_was_removed_is_made_again(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.put("part", "key", text_writer("first"))
    (tmp_path / "part" / "file.txt").unlink()
    (tmp_path / "part").rmdir()
    assert shelf.put("part", "key", text_writer("second"))
