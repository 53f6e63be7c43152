"""What GitHub's runner reads from a step: its file of outputs, the commands in its log; and the API of comments.

    outputs_of(path)                 # {"decision": "promote", ...}; raises ValueError where the runner would fail
    commands_of(log)                 # [Command("error", {"title": "..."}, "..."), ...]
    with comments_api() as api:      # api.url, api.comments, api.refuse = 403, api.heard

As https://github.com/actions/runner reads them (FileCommandManager, ActionCommand), on Linux.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_SHOWING = {"error", "warning", "notice", "debug", "group", "endgroup", "echo"}
_ACTING = {"set-output", "set-env", "add-path", "save-state", "add-matcher", "remove-matcher", "internal-set-repo-path"}
KNOWN = {"add-mask", "stop-commands", *_SHOWING, *_ACTING}


@dataclass(frozen=True, slots=True)
class Command:
    """As it is meant: escapes are undone."""

    name: str
    properties: Mapping[str, str]
    message: str


def outputs_of(path: Path) -> dict[str, str]:
    """Later ones overrule earlier ones, as for the runner."""
    found: dict[str, str] = {}
    lines = path.read_text(encoding="utf-8").split("\n")
    at = 0
    while at < len(lines):
        line, at = lines[at], at + 1
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            name, _, value = line.partition("=")
        elif heredoc >= 0:
            name, _, delimiter = line.partition("<<")
            if not delimiter:
                raise ValueError(f"{line!r}: no delimiter")
            end = next((index for index in range(at, len(lines)) if lines[index] == delimiter), None)
            if end is None:
                raise ValueError(f"{line!r}: its delimiter does not come")
            value, at = "\n".join(lines[at:end]), end + 1
        else:
            raise ValueError(f"{line!r} is no output")
        if not name:
            raise ValueError(f"{line!r} names nothing")
        found[name] = value
    return found


def commands_of(log: str) -> list[Command]:
    """What the runner would do for these lines. While commands are held off, nothing."""
    found: list[Command] = []
    until: str | None = None
    for line in re.split(r"\r\n|\r|\n", log):
        command = _command(line, until)
        if command is None:
            continue
        if until is not None:
            if command.name == until:
                until = None
        elif command.name == "stop-commands":
            until = command.message
        else:
            found.append(command)
    return found


def _command(line: str, until: str | None) -> Command | None:
    known = KNOWN | ({until} if until else set[str]())
    return _second(line, known) or _first(line, known)


def _second(line: str, known: set[str]) -> Command | None:
    """``::name key=value,key=value::message``, with white space before it or not."""
    line = line.lstrip()
    if not line.startswith("::"):
        return None
    end = line.find("::", 2)
    if end < 0:
        return None
    name, _, words = line[2:end].strip().partition(" ")
    if name.lower() not in known:
        return None
    properties = dict(word.strip().split("=", 1) for word in words.split(",") if "=" in word)
    return Command(
        name.lower(),
        {key: _meant(value, {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ","}) for key, value in properties.items()},
        _meant(line[end + 2 :], {"%0D": "\r", "%0A": "\n"}),
    )


def _first(line: str, known: set[str]) -> Command | None:
    """``##[name key=value;]message``, anywhere in a line."""
    match = re.search(r"##\[([^\]]+)\](.*)", line)
    if match is None:
        return None
    name, _, words = match[1].strip().partition(" ")
    if name.lower() not in known:
        return None
    properties = dict(word.strip().split("=", 1) for word in words.split(";") if "=" in word)
    return Command(name.lower(), properties, match[2])


def _meant(text: str, escapes: Mapping[str, str]) -> str:
    for escape, sign in escapes.items():
        text = text.replace(escape, sign)
    return text.replace("%25", "%")


@dataclass(slots=True)
class CommentsApi:
    """Comments of one pull request. ``login`` is who the token belongs to; ``tells_login`` whether GET /user says so,
    which it does not for workflows' own tokens. ``refuse``: a status for every call that writes; ``refuse_lists`` for
    those that read. ``headers``: of every call; ``heard``: method and path."""

    url: str = ""
    login: str = "github-actions[bot]"
    kind: str = "Bot"
    tells_login: bool = False
    refuse: int | None = None
    refuse_lists: int | None = None
    comments: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    heard: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def add(self, body: str, login: str = "octocat", kind: str = "User") -> dict[str, Any]:
        comment = {"id": 100 + len(self.comments), "body": body, "user": {"login": login, "type": kind}}
        self.comments.append(comment)
        return comment

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        parts = urlsplit(path)
        asked = parse_qs(parts.query)
        if parts.path == "/user":
            return (200, {"login": self.login}) if self.tells_login else (403, {"message": "Resource not accessible"})
        if re.fullmatch(r"/repos/octo/bots/issues/7/comments", parts.path):
            if method == "POST":
                return self._written(None, body)
            if self.refuse_lists:
                return self.refuse_lists, {"message": "Not Found"}
            size, page = int(asked["per_page"][0]), int(asked["page"][0])
            return 200, self.comments[(page - 1) * size : page * size]
        if method == "PATCH" and (named := re.fullmatch(r"/repos/octo/bots/issues/comments/(\d+)", parts.path)):
            return self._written(int(named[1]), body)
        return 404, {"message": "Not Found"}

    def _written(self, number: int | None, body: Any) -> tuple[int, Any]:
        if self.refuse:
            return self.refuse, {"message": "Resource not accessible by integration"}
        if len(body["body"]) > 65_536:
            return 422, {"message": "Body is too long"}
        if number is None:
            return 201, self.add(body["body"], self.login, self.kind)
        comment = next(one for one in self.comments if one["id"] == number)
        comment["body"] = body["body"]
        return 200, comment


@contextmanager
def comments_api() -> Generator[CommentsApi]:
    """On loopback, for repository octo/bots and pull request 7."""
    api = CommentsApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            api.heard.append((self.command, self.path))
            api.headers.append(dict(self.headers))
            status, said = api.answer(self.command, self.path, json.loads(sent) if sent else None)
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Location", f"{api.url}/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PATCH = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
