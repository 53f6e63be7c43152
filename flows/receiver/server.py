"""The receiver over HTTP.

``POST /mlflow`` takes one delivery: 202 once it is on disk, or is no reason to look, or came before; 401 for anything
amiss with signature or time, without saying what; 400, 408, 413, 415 for other faults; 503 where the inbox cannot be
written, which MLflow repeats. ``GET /health`` tells how many jobs wait. There is nothing else.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from finetune_gate.evaluators.errors import ConfigurationError, Problem
from finetune_gate.gate.registry.webhooks import PATH

from .events import Unreadable, event_of, why_ignored
from .inbox import Inbox, InboxError
from .log import EVERY_SECONDS, Log
from .signature import claim_of, is_fresh, is_signed
from .working import Working

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from uvicorn import Server

T = TypeVar("T")

MAX_BODY: Final = 1 << 20
READING_SECONDS: Final = 10.0
"""How long a request may take to arrive."""

KEEPING_SECONDS: Final = 2.0
"""How long the disk may take."""

MAX_REQUESTS: Final = 64
MAX_CONNECTIONS: Final = 256

_CONNECTION_SECONDS: Final = READING_SECONDS + KEEPING_SECONDS + 3
_GRACE_SECONDS: Final = 4.0
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Connection": "close",  # one request each: no connection lasts, however slow its other end
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Receiver:
    """What deliveries are checked against and where they go. ``models`` as `own_aliases` gives them; ``wake`` is told
    of every new job; ``now`` in seconds since 1970."""

    secrets: Sequence[bytes] = field(repr=False)
    models: Mapping[str, frozenset[str]]
    inbox: Inbox
    log: Log
    wake: Callable[[], None]
    now: Callable[[], float] = time.time
    writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "inbox"), repr=False)


class _Refused(Exception):
    """``why`` is for the log alone."""

    def __init__(self, status: int, error: str, why: str = "") -> None:
        super().__init__(error)
        self.status, self.why = status, why


def serve(receiver: Receiver, working: Working, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, and end within ten seconds then. ``ready`` gets the address.

    Raises ConfigurationError where there is no such address or the port is taken, and whatever ended ``working``.
    """
    server = server_of(receiver)
    with listen(host, port) as listening, _ended_by_signals(server):
        ready(_address(listening))
        asyncio.run(_serve(server, receiver, working, listening))


def server_of(receiver: Receiver) -> Server:
    """A server that says nothing of itself, and none of whose waits is endless."""
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class BoundedProtocol(H11Protocol):
        """uvicorn bounds requests, but neither open connections nor how long their headers take."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn's own
            super().connection_made(transport)
            full = len(self.connections) > MAX_CONNECTIONS
            self.ending = self.loop.call_later(0 if full else _CONNECTION_SECONDS, transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            self.ending.cancel()
            super().connection_lost(exc)

    config = uvicorn.Config(
        application(receiver),
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="none",
        http=BoundedProtocol,
        proxy_headers=False,
        limit_concurrency=MAX_REQUESTS + 1,  # uvicorn counts the connection that asks
        timeout_graceful_shutdown=int(_GRACE_SECONDS),
        server_header=False,
    )
    return uvicorn.Server(config)


def application(receiver: Receiver) -> Starlette:
    """The two routes, and nothing that tells of them."""
    from starlette.applications import Starlette
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def deliver(request: Request) -> Response:
        try:
            status, said = 202, {"status": await _taken(request, receiver)}
        except _Refused as refused:
            receiver.log.count(f"refused: {refused.status} {refused}" + (f" ({refused.why})" if refused.why else ""))
            status, said = refused.status, {"error": str(refused)}
        except ClientDisconnect:
            receiver.log.count("refused: broken off")
            status, said = 400, {"error": "broken off"}
        return JSONResponse(said, status, headers=_HEADERS)

    async def health(_: Request) -> Response:
        try:
            waiting = await _by_writer(receiver, lambda: len(receiver.inbox.waiting()))
        except (InboxError, TimeoutError):
            return JSONResponse({"status": "the inbox cannot be read"}, 503, headers=_HEADERS)
        return JSONResponse({"status": "ok", "waiting": waiting}, headers=_HEADERS)

    found = Starlette(
        routes=[Route(PATH, deliver, methods=["POST"]), Route("/health", health, methods=["GET"])],
    )
    found.router.redirect_slashes = False
    return found


async def _taken(request: Request, receiver: Receiver) -> str:
    """What became of a delivery, in one word, once it is on disk."""
    headers = request.headers
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _Refused(415, "only application/json is taken")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise _Refused(415, "only plain bodies are taken")
    claim = claim_of(headers.raw)
    if claim is None:
        raise _Refused(401, "not signed", "headers")
    body = await _body(request)
    if not is_signed(claim, body, receiver.secrets):
        raise _Refused(401, "not signed", "another secret, or forged")
    if not is_fresh(claim, receiver.now()):
        raise _Refused(401, "not signed", "its time is not now: replayed, or clocks differ")
    try:
        event = event_of(body)
    except Unreadable:
        raise _Refused(400, "not an event of MLflow's") from None
    ignored = why_ignored(event, receiver.models)
    if ignored is not None:
        receiver.log.count(f"ignored: {ignored}")
        return "ignored"
    try:
        new = await _by_writer(receiver, lambda: receiver.inbox.keep(claim.id.decode(), event.name))
    except InboxError as error:
        raise _Refused(503, "the inbox cannot be written", error.problems[0].found) from None
    except TimeoutError:
        raise _Refused(503, "the inbox cannot be written", "the disk takes too long") from None
    if not new:
        receiver.log.count("known before")
        return "known"
    receiver.wake()
    receiver.log.line(f"accepted {event}")
    return "accepted"


async def _body(request: Request) -> bytes:
    too_large = _Refused(413, f"a delivery is at most {MAX_BODY:,} bytes")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > MAX_BODY:
        raise too_large
    content = bytearray()
    try:
        async with asyncio.timeout(READING_SECONDS):
            async for part in request.stream():
                content += part
                if len(content) > MAX_BODY:
                    raise too_large
    except TimeoutError:
        raise _Refused(408, f"the delivery did not arrive within {READING_SECONDS:.0f} s") from None
    return bytes(content)


async def _by_writer(receiver: Receiver, work: Callable[[], T]) -> T:
    """``work`` done by the one thread that writes. Raises TimeoutError; the work may be done all the same then."""
    async with asyncio.timeout(KEEPING_SECONDS):
        return await asyncio.get_running_loop().run_in_executor(receiver.writer, work)


async def _serve(server: Server, receiver: Receiver, working: Working, listening: socket.socket) -> None:
    telling = asyncio.create_task(_tell_now_and_then(receiver.log))
    try:
        async with _worked(working, server) as ended:
            await server.serve(sockets=[listening])
        if ended.done():
            ended.result()
    finally:
        telling.cancel()
        receiver.log.tell(now=True)
        receiver.writer.shutdown(wait=False, cancel_futures=True)


@asynccontextmanager
async def _worked(working: Working, server: Server) -> AsyncGenerator[asyncio.Future[None]]:
    """Run ``working`` beside the server, and end the server where it fails: what nobody does must not be accepted."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        server.should_exit = True
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    def work() -> None:
        try:
            working.run()
        except Exception as found:  # noqa: BLE001 - the border of the thread: raised again where the server ends
            error = found
        else:
            error = None
        with suppress(RuntimeError):  # the loop is closed: nobody waits for this any more
            loop.call_soon_threadsafe(settle, error)

    # a daemon: a look can take as long as a gate, and its job is on disk
    threading.Thread(target=work, name="looking", daemon=True).start()
    try:
        yield ended
    finally:
        working.stop()
        await asyncio.wait([ended], timeout=_GRACE_SECONDS)


async def _tell_now_and_then(log: Log) -> None:
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        log.tell()


@contextmanager
def _ended_by_signals(server: Server) -> Generator[None]:
    """uvicorn ends on these signals and then raises them again, which would end the process before its work is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any. Raises ConfigurationError where there is none to be had."""
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, kind)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(MAX_CONNECTIONS)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        found = f"{host} port {port}: {error.strerror or error}"
        raise ConfigurationError(
            Problem("--host, --port", found, "an address of this machine, and a free port", "another --port")
        ) from None
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}{PATH}" if ":" in host else f"http://{host}:{port}{PATH}"
