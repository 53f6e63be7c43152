"""Every command that README and docs show is one of the program's, and is run, unless a mark says why it is not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from fenced_blocks import BLOCKS, PAGES, READ, ROOT, Block, blocks_on, pages_with
from prepared_ground import Ground, finetune_gate, keep_a_run
from shell_lines import Command, commands_in, refuse_unknown

NOT_RUN = {
    "README.md": 2,
    "docs/answers.md": 1,
    "docs/ci.md": 1,
    "docs/history.md": 1,
    "docs/docker.md": 2,
    "docs/github.md": 2,
    "docs/gitlab.md": 1,
    "docs/installation.md": 2,
    "docs/kubernetes.md": 1,
    "docs/migrating.md": 1,
    "docs/models.md": 4,
    "docs/prefect.md": 3,
    "docs/promotion.md": 1,
    "docs/pytest.md": 2,
    "docs/quickstart.md": 3,
    "docs/rating.md": 1,
    "docs/review.md": 3,
    "docs/sandbox.md": 1,
}
"""How many blocks of a page are marked as not run. A new mark is a promise less: change this on purpose."""

LANGUAGES = {"console", "sh", "yaml", "json", "toml", "python", "text", "ini"}
"""``text`` is output and drawings; everything else is run, or read by what reads it."""

DECIDES = {"run", "replay"}
"""Commands whose exit status is a decision: on the prepared ground any decision will do."""

SHORTER = {"simulate": ("--worlds", "20", "--processes", "1"), "watch": ("--once",)}
"""What is added to a command, so that it ends, or ends soon."""

ELSEWHERE = {".", "make", "export", "cd", "git", "python3", "python", "python3.11", "pip"}
"""Programs that set a machine up; ``make`` is looked up in the Makefile."""


def shell_blocks() -> list[Block]:
    return [block for block in READ if block.language in ("console", "sh")]


def test_every_block_says_what_it_is() -> None:
    assert [block.where for block in READ if block.language not in LANGUAGES] == []
    shown = [block.where for block in READ if block.language == "text" and re.search(r"^\$ ", block.text, re.MULTILINE)]
    assert shown == [], "commands belong into console blocks"


def test_blocks_that_are_not_run_are_counted() -> None:
    counted = {page: 0 for page in sorted({block.page for block in BLOCKS if block.not_run})}
    for block in BLOCKS:
        if block.not_run:
            counted[block.page] += 1
    assert counted == NOT_RUN


def test_every_mark_belongs_to_a_block() -> None:
    marks = sum(page.read_text(encoding="utf-8").count("<!-- not run") for page in PAGES if page.is_file())
    assert marks == sum(1 for block in BLOCKS if block.not_run)


@pytest.mark.parametrize("page", pages_with("console", "sh", "yaml"))
def test_commands_are_those_of_the_program(page: str) -> None:
    """Also of the blocks that are not run: an option that is gone is found here."""
    found = [
        (block.where, command)
        for block in blocks_on(page, "console", "sh")
        for command in commands_in(block.text, block.language)
    ] + [
        (block.where, command)
        for block in blocks_on(page, "yaml")
        for line in re.findall(r"(?:run:\s+|^\s+)(finetune-gate .*)$", block.text, re.MULTILINE)
        for command in commands_in(line, "sh")
    ]
    for where, command in found:
        if command.program == "finetune-gate":
            try:
                refuse_unknown(command.words[1:])
            except click.ClickException as error:
                pytest.fail(f"{where}: {command.line}: {error.format_message()}")
        elif command.program == "make":
            assert_targets(where, command)


def assert_targets(where: str, command: Command) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = {word for word in command.words[1:] if "=" not in word and not word.startswith("-")}
    assert asked <= targets, f"{where}: {command.line}: no such target in the Makefile"


@pytest.mark.parametrize("page", [path.relative_to(ROOT).as_posix() for path in PAGES if path.is_file()])
def test_commands_in_prose_exist(page: str) -> None:
    text = re.sub(r"^ *```.*?^ *```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for mention in re.findall(r"`(finetune-gate [^`]+)`", text):
        (command,) = commands_in(re.sub(r" \.\.\.$", "", " ".join(mention.split())), "sh")
        try:
            words = ["ANY" if word == "..." else word for word in command.words[1:]]
            try:
                refuse_unknown(words, whole=False)
            except click.BadOptionUsage:  # an option that prose names without a value
                refuse_unknown([*words, "ANY"], whole=False)
        except click.ClickException as error:
            pytest.fail(f"{page}: `{mention}`: {error.format_message()}")


@pytest.mark.slow
@pytest.mark.xdist_group("documented")  # one ground for all
@pytest.mark.parametrize("page", sorted({block.page for block in shell_blocks() if not block.not_run}))
def test_commands_run(page: str, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the page, in one folder, with tiny models of random weights."""
    furnish(page, ground)
    for block in blocks_on(page, "console", "sh"):
        for command in commands_in(block.text, block.language) if not block.not_run else ():
            with monkeypatch.context() as patched:
                for name, value in command.settings.items():
                    patched.setenv(name, value)
                run(block, command)


def run(block: Block, command: Command) -> None:
    if command.program == "finetune-gate":
        assert_runs(block, command)
    elif command.program not in ELSEWHERE:
        found = shutil.which(command.program)
        assert found, f"{block.where}: no {command.program} here to run this with: mark the block"
        done = subprocess.run(command.words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{block.where}: {command.line}: {done.stderr}"


def assert_runs(block: Block, command: Command) -> None:
    words = [expanded(word) for word in command.words[1:]]
    added = SHORTER.get(words[0], ())
    done = finetune_gate(*words, *(() if set(added) & set(words) else added))
    fine = {0, 1, 3} if words[0] in DECIDES else {0}
    assert done.status in fine, f"{block.where}: {command.line}: exit status {done.status}\n{done.output}"


def expanded(word: str) -> str:
    """What a shell makes of ``$NAME`` and ``$(command)`` in it."""
    if "$" not in word:
        return word
    done = subprocess.run(["bash", "-c", f'printf %s "{word}"'], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def furnish(page: str, ground: Ground) -> None:
    """What one page speaks of, and the others do not."""
    folder = ground.folder
    wanted = (ROOT / page).read_text(encoding="utf-8")
    records = sorted(set(re.findall(r"\.finetune-gate/[0-9a-f]{4,12}\b", wanted)))
    if ".finetune-gate/demo/" in wanted:
        demo = folder / ".finetune-gate" / "demo" / "seed-0"
        records.append((demo / "runs" / "0a1b2c").relative_to(folder).as_posix())
        (demo / "data").mkdir(parents=True)
        shutil.copy(folder / "holdout.jsonl", demo / "data")
    if page == "docs/simulate.md":  # the gate file that the page shows
        (shown, *_) = blocks_on(page, "yaml")
        ground.write_gate(f"model: support-bot\ndata: {{holdout: holdout.jsonl}}\n{shown.text}")
    for name in set(re.findall(r"--gate ([\w-]+\.yaml)", wanted)) - {"stricter.yaml"}:
        shutil.copy(folder / "stricter.yaml", folder / name)
    if records or "finetune-gate history " in wanted:
        keep_a_run(folder, *records, key="--key" in wanted)
    if page == "docs/rating.md":
        ground.write_gate((folder / "asking-people.yaml").read_text(encoding="utf-8"))
        fill_a_sheet(folder)
    if "finetune-gate init " in wanted:
        (folder / "gate.yaml").unlink(missing_ok=True)
    if "finetune-gate split " not in wanted:
        (folder / "splits").mkdir()
        shutil.copy(folder / "holdout.jsonl", folder / "splits" / "test.jsonl")


def fill_a_sheet(folder: Path) -> None:
    """A sheet of answers to compare, as it comes back from its rater."""
    words = ["rate", "gate.yaml", "--version", "7", "--rater", "bo", "--sheet", "ratings-bo.json"]
    assert finetune_gate(*words).status == 0
    sheet = json.loads((folder / "ratings-bo.json").read_text(encoding="utf-8"))
    for item in sheet["items"]:
        item["choice"] = "left"
    (folder / "ratings-bo.json").write_text(json.dumps(sheet), encoding="utf-8")
