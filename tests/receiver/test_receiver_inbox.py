"""The inbox and what works through it, without a server; and secrets."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import pytest

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem
from finetune_gate.flows.receiver import SECRET, SECRET_FILE, Inbox, InboxError, Log, Working, webhook_secrets
from finetune_gate.flows.receiver.inbox import KEPT_SECONDS

LONG = "a-secret-of-some-length"


@pytest.fixture
def inbox(tmp_path: Path) -> Generator[Inbox]:
    with Inbox.open(tmp_path / "folder" / "inbox") as opened:
        yield opened


def models(inbox: Inbox) -> list[str]:
    return [job.model for job in inbox.waiting()]


def test_what_comes_while_a_job_is_done_makes_it_wait_again(inbox: Inbox) -> None:
    inbox.keep("1", "bot")
    (job,) = inbox.waiting()
    inbox.keep("2", "bot")
    inbox.done(job)
    assert models(inbox) == ["bot"]
    (job,) = inbox.waiting()
    inbox.keep("2", "bot")  # the same delivery again asks for nothing
    inbox.done(job)
    assert models(inbox) == []


def test_a_job_of_before_is_never_taken_for_one_of_now(inbox: Inbox) -> None:
    inbox.keep("1", "bot")
    (old,) = inbox.waiting()
    inbox.done(old)
    inbox.keep("2", "bot")
    inbox.done(old)
    assert models(inbox) == ["bot"]


def test_the_longest_waiting_comes_first(inbox: Inbox) -> None:
    for number, model in enumerate(("b", "a", "c", "b")):
        inbox.keep(str(number), model)
    assert models(inbox) == ["a", "c", "b"]


def test_deliveries_are_forgotten_after_a_day_and_jobs_never(tmp_path: Path) -> None:
    now = 1e9
    with Inbox.open(tmp_path / "inbox", clock=lambda: now) as inbox:
        for number in range(250):
            inbox.keep(f"old-{number}", "bot")
        now += KEPT_SECONDS
        assert not inbox.keep("old-1", "bot")
        now += 1
        for number in range(3):
            inbox.keep(f"new-{number}", "other")
        assert models(inbox) == ["bot", "other"]
    with sqlite3.connect(tmp_path / "inbox") as raw:
        assert {row[0] for row in raw.execute("SELECT id FROM deliveries")} == {"new-0", "new-1", "new-2"}


def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    for number in range(3):
        with Inbox.open(tmp_path / "inbox") as inbox:
            assert inbox.keep("once", "bot") == (number == 0)
            assert inbox.keep(str(number), f"bot-{number}")
    with Inbox.open(tmp_path / "inbox") as inbox:
        assert len(inbox.waiting()) == 4


def test_two_do_not_open_one_inbox(tmp_path: Path) -> None:
    with Inbox.open(tmp_path / "inbox"), pytest.raises(ConfigurationError, match="another receiver"):
        Inbox.open(tmp_path / "inbox")
    Inbox.open(tmp_path / "inbox").close()


@pytest.mark.parametrize("content", [b"not a database at all, by any means" * 40, b"{}"])
def test_another_file_is_no_inbox(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "inbox"
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="not a database"):
            Inbox.open(path)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be made"):
        Inbox.open(tmp_path / "file" / "inbox")


def test_a_closed_or_locked_inbox_raises_and_keeps_nothing(tmp_path: Path) -> None:
    inbox = Inbox.open(tmp_path / "inbox")
    other = sqlite3.connect(inbox.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(InboxError, match="locked"):
        inbox.keep("1", "bot")
    other.execute("ROLLBACK")
    other.close()
    assert inbox.keep("1", "bot")
    inbox.close()
    with pytest.raises(InboxError):
        inbox.waiting()


# working through it


class Looks:
    """A look that notes what it was asked for, and does what a test says."""

    def __init__(self, do: Callable[[frozenset[str] | None], None] = lambda _: None) -> None:
        self.at: list[str] = []
        self._do = do
        self._under_way = threading.Lock()

    def __call__(self, asked: frozenset[str] | None) -> None:
        assert self._under_way.acquire(blocking=False), "two looks at once"
        try:
            self.at.append("all" if asked is None else "+".join(sorted(asked)))
            self._do(asked)
        finally:
            self._under_way.release()


def worked(
    inbox: Inbox, looks: Looks, until: Callable[[], bool], *, sweep: float = 0.0, said: list[str] | None = None
) -> None:
    log = Log((said if said is not None else []).append)
    working = Working(inbox, looks, sweep_seconds=sweep, log=log, first_pause=0.02)
    thread = threading.Thread(target=working.run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not until():
            assert time.monotonic() < deadline, looks.at
            working.wake()
            time.sleep(0.005)
    finally:
        working.stop()
        thread.join(20)
        assert not thread.is_alive()


def test_what_waited_at_the_start_comes_first_then_all(inbox: Inbox) -> None:
    inbox.keep("1", "a")
    inbox.keep("2", "b")
    looks = Looks()
    worked(inbox, looks, lambda: len(looks.at) >= 3, sweep=3600)
    assert looks.at == ["a", "b", "all"]
    assert models(inbox) == []


def test_without_a_sweep_only_what_is_asked_for(inbox: Inbox) -> None:
    inbox.keep("1", "a")
    looks = Looks()
    worked(inbox, looks, lambda: models(inbox) == [])
    assert looks.at == ["a"]


def test_what_fails_is_tried_again_and_holds_up_no_other(inbox: Inbox) -> None:
    failures = iter(range(3))
    said: list[str] = []

    def fail(asked: frozenset[str] | None) -> None:
        if asked == {"a"} and next(failures, None) is not None:
            raise EvaluationError(Problem("registry", "away\x1b[31m"))

    inbox.keep("1", "a")
    inbox.keep("2", "b")
    looks = Looks(fail)
    worked(inbox, looks, lambda: models(inbox) == [], said=said)
    assert looks.at == ["a", "b", "a", "a", "a"]
    assert [line.split("  ", 1)[1] for line in said] == [
        "could not look at 'a', again in 0.02 s: registry: away\\x1b[31m",
        "could not look at 'a', again in 0.04 s: registry: away\\x1b[31m",
        "could not look at 'a', again in 0.08 s: registry: away\\x1b[31m",
        "looked at 'a' after 3 failures",
    ]


def test_pauses_grow_to_a_minute_and_no_further(inbox: Inbox) -> None:
    working = Working(inbox, Looks(), sweep_seconds=0, log=Log(print))
    assert [working._pause(failures) for failures in (1, 2, 6, 7, 10_000)] == [1, 2, 32, 60, 60]


def test_a_model_that_is_always_asked_for_does_not_keep_the_others_waiting(inbox: Inbox) -> None:
    def ask_again(asked: frozenset[str] | None) -> None:
        inbox.keep(str(time.monotonic_ns()), "busy")
        time.sleep(0.001)

    inbox.keep("1", "busy")
    looks = Looks(ask_again)
    worked(inbox, looks, lambda: looks.at.count("all") >= 3, sweep=0.05)
    assert looks.at.count("busy") > 3


def test_a_failing_sweep_is_made_up_for(inbox: Inbox) -> None:
    failures = iter(range(2))

    def fail(asked: frozenset[str] | None) -> None:
        if next(failures, None) is not None:
            raise EvaluationError(Problem("registry", "away"))

    looks = Looks(fail)
    worked(inbox, looks, lambda: len(looks.at) >= 3, sweep=3600)
    assert looks.at == ["all", "all", "all"]


def test_a_fault_of_ours_ends_it_and_the_job_stays(inbox: Inbox) -> None:
    def fail(asked: frozenset[str] | None) -> None:
        raise ZeroDivisionError

    inbox.keep("1", "a")
    with pytest.raises(ZeroDivisionError):
        Working(inbox, Looks(fail), sweep_seconds=0, log=Log(print)).run()
    assert models(inbox) == ["a"]


def test_an_inbox_that_fails_for_a_while_is_come_back_to(tmp_path: Path) -> None:
    inbox = Inbox.open(tmp_path / "inbox")
    inbox.keep("1", "a")
    other = sqlite3.connect(inbox.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    looks = Looks()
    threading.Timer(1.0, lambda: other.execute("ROLLBACK")).start()
    said: list[str] = []
    worked(inbox, looks, lambda: models(inbox) == [], said=said)
    assert set(looks.at) == {"a"}
    assert "locked" in said[0]
    other.close()
    inbox.close()


# what is said


def test_counts_are_said_now_and_then() -> None:
    said: list[str] = []
    now = 0.0
    log = Log(said.append, every=10, clock=lambda: now)
    for _ in range(3):
        log.count("refused")
    now = 9.9
    log.count("ignored")
    assert len(said) == 1
    now = 10.0
    log.count("ignored")
    log.tell()
    log.tell(now=True)
    assert [line.split("  ", 1)[1] for line in said] == ["refused", "ignored (2); refused (2)"]


# secrets


def test_secrets_are_read_from_the_environment_or_a_file(tmp_path: Path) -> None:
    assert webhook_secrets({SECRET: f"  {LONG}-2\n{LONG} {LONG}"}) == (f"{LONG}-2".encode(), LONG.encode())
    (tmp_path / "secret").write_text(f"{LONG}\n")
    assert webhook_secrets({SECRET_FILE: str(tmp_path / "secret"), SECRET: " "}) == (LONG.encode(),)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "no secret"),
        ({SECRET: " \n"}, "no secret"),
        ({SECRET: "short"}, "less than 16"),
        ({SECRET: f"{LONG} short"}, "less than 16"),
        ({SECRET: LONG, SECRET_FILE: "/x"}, "both set"),
        ({SECRET_FILE: "/does/not/exist"}, "No such file"),
        ({SECRET_FILE: "/"}, "Is a directory"),
        ({SECRET_FILE: "/dev/zero"}, "larger than"),
        ({SECRET_FILE: "/dev/null"}, "no secret"),
    ],
)
def test_no_secret_no_receiver(environment: Mapping[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as raised:
        webhook_secrets(environment)
    assert LONG not in str(raised.value)
