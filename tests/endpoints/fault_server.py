"""An OpenAI-compatible server on a port of its own, in a thread of its own, that answers as badly as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from threading import Event, Thread

from aiohttp import web

Body = dict[str, object]
Answering = Callable[[web.Request, Body], Awaitable[web.StreamResponse]]


def chat(content: object = "fine", finish: object = "stop", usage: object = "given", **message: object) -> Body:
    """A chat completion as the API describes it, but for what is told otherwise."""
    reply: Body = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "tiny",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
        ],
    }
    if usage is not None:
        reply["usage"] = {"prompt_tokens": 7, "completion_tokens": 3} if usage == "given" else usage
    return reply


def completion(text: object = "fine", finish: object = "stop", logprobs: object = None) -> Body:
    return {
        "object": "text_completion",
        "choices": [{"index": 0, "text": text, "finish_reason": finish, "logprobs": logprobs}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }


def sends(status: int = 200, body: object = None, headers: dict[str, str] | None = None) -> Answering:
    """Always this: ``body`` as JSON, or as it is where it is bytes."""

    async def answer(request: web.Request, _: Body) -> web.StreamResponse:
        raw = body if isinstance(body, bytes) else json.dumps(chat() if body is None else body).encode()
        return web.Response(status=status, body=raw, content_type="application/json", headers=headers)

    return answer


def refuses(status: int, message: str, **fields: object) -> Answering:
    """An error in OpenAI's shape."""
    return sends(status, {"error": {"message": message, **fields}})


async def hangs(request: web.Request, _: Body) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def closes(request: web.Request, _: Body) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def truncates(request: web.Request, _: Body) -> web.StreamResponse:
    raw = json.dumps(chat("x" * 1000)).encode()
    response = web.StreamResponse(headers={"Content-Length": str(len(raw)), "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(raw[: len(raw) // 2])
    assert request.transport is not None
    request.transport.close()
    return response


async def drips(request: web.Request, _: Body) -> web.StreamResponse:
    """A byte each 50 ms: no single read is ever late."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for byte in json.dumps(chat("x" * 5000)).encode():
        await response.write(bytes([byte]))
        await asyncio.sleep(0.05)
    return response


def pours(mebibytes: int, declared: bool = False, status: int = 200) -> Answering:
    """An endless answer, more or less."""

    async def answer(request: web.Request, _: Body) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
        if declared:
            response.content_length = mebibytes << 20
        await response.prepare(request)
        for _ in range(mebibytes * 16):
            await response.write(b" " * (1 << 16))
        return response

    return answer


async def echoes_the_key(request: web.Request, _: Body) -> web.StreamResponse:
    """Says back what it was sent as a key, wherever it can."""
    key = request.headers["Authorization"].removeprefix("Bearer ")
    headers = {"X-Key": key, "X-Request-Id": key}
    return web.json_response(chat(f"the key is {key}", finish=key), headers=headers)


@dataclass
class FaultServer:
    """``with FaultServer() as server: ...``. Set at any time: ``answer`` (every call), or ``first`` (the calls to come,
    one each, before ``answer`` again); ``latency`` in seconds; ``limit``: so many at once, and 429 for the rest."""

    answer: Answering = field(default_factory=lambda: sends())
    first: list[Answering] = field(default_factory=list)
    latency: float = 0.0
    limit: int | None = None
    retry_after: str | None = None
    bodies: list[Body] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    now: int = 0
    peak: int = 0
    refused: int = 0
    base_url: str = ""

    @property
    def calls(self) -> int:
        return len(self.bodies)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.paths.append(request.path)
        if self.limit is not None and self.now >= self.limit:
            self.refused += 1
            headers = {"Retry-After": self.retry_after} if self.retry_after else None
            return web.json_response({"error": {"message": "too many"}}, status=429, headers=headers)
        self.now += 1
        self.peak = max(self.peak, self.now)
        try:
            await asyncio.sleep(self.latency)
            answer = self.first.pop(0) if self.first else self.answer
            return await answer(request, body)
        except ConnectionError:
            return web.Response()
        finally:
            self.now -= 1

    def __enter__(self) -> FaultServer:
        ready = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    async def _serve(self, ready: Event) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/{tail:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        ready.set()
        await self._end.wait()
        await runner.cleanup()
