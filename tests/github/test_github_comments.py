"""The comment in the pull request: one for each model, ours alone, and never worth a decision."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from pydantic import SecretStr
from runner_files import CommentsApi, comments_api

from finetune_gate.flows.github.comments import LONGEST, NotTold, Thread, Told
from finetune_gate.flows.github.settings import read_inputs
from finetune_gate.gate.reports import comment_marker

MARKER, OTHER = comment_marker("support-bot"), comment_marker("router\n--><script>")


@pytest.fixture
def api() -> Generator[CommentsApi]:
    with comments_api() as found:
        yield found


def thread(api: CommentsApi, author: str = "", seconds: float = 20.0) -> Thread:
    return Thread(api.url, "octo/bots", 7, SecretStr("ghs_secret"), author, seconds)


def test_it_is_written_once_and_then_anew(api: CommentsApi) -> None:
    assert thread(api).write(f"first\n\n{MARKER}\n", MARKER) == Told(100, new=True)
    assert thread(api).write("second", MARKER) == Told(100, new=False)
    assert [one["body"] for one in api.comments] == [f"second\n{MARKER}\n"]
    assert {one["Authorization"] for one in api.headers} == {"Bearer ghs_secret"}


def test_it_is_found_behind_any_number_of_others(api: CommentsApi) -> None:
    for index in range(65):
        api.add(f"comment {index}")
    api.add(f"ours\n{MARKER}", "github-actions[bot]", "Bot")
    for index in range(30):
        api.add(f"later {index}")
    assert thread(api).write("new", MARKER) == Told(165, new=False)
    pages = [path for method, path in api.heard if method == "GET" and "comments" in path]
    assert [path.rpartition("=")[2] for path in pages] == ["1", "2", "3"]


def test_two_models_have_two_comments(api: CommentsApi) -> None:
    for marker in (MARKER, OTHER, MARKER, OTHER):
        thread(api).write("text", marker)
    assert [one["body"] for one in api.comments] == [f"text\n{MARKER}\n", f"text\n{OTHER}\n"]


@pytest.mark.parametrize("body", [f"> quoted {MARKER}\n\nI do not agree", f"mine\n{MARKER}"])
def test_a_comment_of_somebody_else_is_left_alone(api: CommentsApi, body: str) -> None:
    api.add(body)
    assert isinstance(thread(api).write("text", MARKER), Told)
    assert [one["body"] for one in api.comments] == [body, f"text\n{MARKER}\n"]


def test_the_author_is_told_by_the_token_or_by_the_settings(api: CommentsApi) -> None:
    api.login, api.kind, api.tells_login = "deployer", "User", True
    api.add(f"a bot's\n{MARKER}", "other[bot]", "Bot")
    first = thread(api).write("one", MARKER)
    assert isinstance(first, Told)
    assert first.new
    assert thread(api).write("two", MARKER) == Told(first.comment, new=False)
    api.tells_login = False
    assert thread(api, author="deployer").write("three", MARKER) == Told(first.comment, new=False)
    assert len(api.comments) == 2


@pytest.mark.parametrize(("status", "lists"), [(403, False), (404, True), (401, True), (500, False), (302, False)])
def test_a_refusal_is_a_sentence(api: CommentsApi, status: int, lists: bool) -> None:
    if lists:
        api.refuse_lists = status
    else:
        api.refuse = status
    found = thread(api).write("text", MARKER)
    assert isinstance(found, NotTold)
    assert str(status) in found.sentence
    assert ("pull-requests: write" in found.sentence) == (status in (401, 403, 404))
    assert "ghs_secret" not in found.sentence
    assert not any("elsewhere" in path for _, path in api.heard)


def test_nobody_there_is_a_sentence() -> None:
    found = Thread("http://127.0.0.1:9", "octo/bots", 7, SecretStr("ghs_secret"), seconds=5.0).write("text", MARKER)
    assert isinstance(found, NotTold)


def test_one_deadline_covers_all_calls(api: CommentsApi) -> None:
    ticks = iter(range(0, 1000, 8))
    found = Thread(
        api.url, "octo/bots", 7, SecretStr("ghs_secret"), seconds=20.0, clock=lambda: float(next(ticks))
    ).write("text", MARKER)
    assert found == NotTold("GitHub took more than 20 s")
    assert len(api.heard) == 2


def test_what_is_too_long_is_not_sent(api: CommentsApi) -> None:
    assert isinstance(thread(api).write("x" * LONGEST, MARKER), NotTold)
    assert api.heard == []


def test_a_thread_shows_no_token(api: CommentsApi) -> None:
    assert "ghs_secret" not in repr(thread(api))


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"GITHUB_REF": "refs/heads/main", "GITHUB_TOKEN": "t"}, "about no pull request"),
        ({"GITHUB_REF": "refs/pull/7/merge"}, "no GITHUB_TOKEN"),
        ({"GITHUB_REF": "refs/pull/7/merge", "GITHUB_TOKEN": "t", "GITHUB_REPOSITORY": "a/b/../c"}, "no repository"),
    ],
)
def test_where_there_is_nobody_to_tell(environ: dict[str, str], sentence: str) -> None:
    found = Thread.of(read_inputs({"GITHUB_REPOSITORY": "octo/bots", **environ}).runner, "")
    assert isinstance(found, NotTold)
    assert sentence in found.sentence
