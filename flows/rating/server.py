"""The server of the rating page: one rater, this machine alone, until it is ended or nobody rates any more.

    serve(desk, port=0, idle_seconds=8 * 3600, ready=print)

Only this machine reaches it (127.0.0.1). Other pages in the same browser do not: data is given and taken only for a key
that stands in the address after ``#``; names of hosts other than this machine's are refused (DNS rebinding), and so are
requests that come from another origin or are not JSON.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from finetune_gate.evaluators.errors import ConfigurationError, FinetuneGateError, Problem
from finetune_gate.gate.rating import Desk, said_of

from .page import page_fields, policy, served_page

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from uvicorn import Server

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
MAX_BODY = 64 << 10
BODY_SECONDS = 10.0
LOOK_SECONDS = 0.5
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(slots=True)
class Served:
    """One desk behind one key. ``heard`` is when a rating last came in, on the monotonic clock."""

    desk: Desk
    key: str
    heard: float


class _Refused(Exception):
    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status


def serve(desk: Desk, *, port: int, idle_seconds: float, ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C, or until no rating has come for ``idle_seconds``. ``ready`` gets the address.

    Raises ConfigurationError where the port is taken, KeyboardInterrupt on Ctrl-C: everything sent is kept by then.
    """
    served = Served(desk, secrets.token_urlsafe(24), time.monotonic())
    listening = listen(port)
    server = server_of(served)

    async def run() -> None:
        ending = asyncio.create_task(_end_when_idle(server, served, idle_seconds))
        try:
            await server.serve(sockets=[listening])
        finally:
            ending.cancel()

    with listening:
        ready(f"http://{HOST}:{listening.getsockname()[1]}/#{served.key}")
        asyncio.run(run())


def server_of(served: Served) -> Server:
    """A server that says nothing but errors, and none of whose waits is endless."""
    import uvicorn

    config = uvicorn.Config(
        application(served),
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="none",
        http="h11",
        limit_concurrency=64,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        server_header=False,
    )
    return uvicorn.Server(config)


def application(served: Served) -> Starlette:
    """``GET /`` is the page, ``GET /sheet`` its data, ``POST /ratings`` takes one rating."""
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse, JSONResponse
    from starlette.routing import Route

    async def page(request: Request) -> Response:
        return HTMLResponse(served_page(served.desk.sheet.title))

    async def sheet(request: Request) -> Response:
        _check_key(request, served)
        return JSONResponse(await asyncio.to_thread(lambda: page_fields(served.desk.sheet, served.desk.said())))

    async def rate(request: Request) -> Response:
        _check_key(request, served)
        fields = _json_object(await _body(request))
        await asyncio.to_thread(_keep, served.desk, fields)
        served.heard = time.monotonic()
        return JSONResponse({"kept": True})

    def bordered(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def inner(request: Request) -> Response:
            try:
                _check_origin(request)
                response = await answer(request)
            except _Refused as refused:
                response = JSONResponse({"error": str(refused)}, refused.status)
            except FinetuneGateError as error:
                # the file cannot be read or written: for people to mend, while the page keeps what it has
                response = JSONResponse({"error": str(error.problems[0])}, 503)
            response.headers.update(
                {**_HEADERS, "Content-Security-Policy": policy("connect-src 'self'", "frame-ancestors 'none'")}
            )
            return response

        return inner

    return Starlette(
        routes=[
            Route("/", bordered(page), methods=["GET"]),
            Route("/sheet", bordered(sheet), methods=["GET"]),
            Route("/ratings", bordered(rate), methods=["POST"]),
        ]
    )


def _check_origin(request: Request) -> None:
    """A page of another site may know the port, but it cannot send these headers as the rating page does."""
    host = request.headers.get("host", "")
    if host.rpartition(":")[0] not in NAMES and host not in NAMES:
        raise _Refused(421, f"this page is served as {NAMES[0]} or {NAMES[1]} alone")
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        raise _Refused(403, "requests of other pages are refused")
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise _Refused(403, "requests of other pages are refused")


def _check_key(request: Request, served: Served) -> None:
    if not secrets.compare_digest(request.headers.get("x-rating-key", "").encode(), served.key.encode()):
        raise _Refused(
            401,
            "the key in the address is not the one that is printed where the page is served. Open that address here.",
        )


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _Refused(415, "only application/json is taken")
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                content += part
                if len(content) > MAX_BODY:
                    raise _Refused(413, f"a rating is at most {MAX_BODY:,} bytes")
    except TimeoutError:
        raise _Refused(408, f"the rating did not arrive within {BODY_SECONDS:.0f} s") from None
    return bytes(content)


def _json_object(content: bytes) -> dict[str, object]:
    try:
        value: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _Refused(400, f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise _Refused(422, "a rating is a JSON object")
    return cast("dict[str, Any]", value)


def _keep(desk: Desk, fields: dict[str, object]) -> None:
    said, problems = said_of(fields, desk.sheet.criteria, "rating")
    if said.id not in {item.id for item in desk.sheet.items}:
        raise _Refused(422, "no such pair in this sheet")
    if said.nothing and not problems:
        raise _Refused(422, "a rating that says nothing")
    if problems:
        raise _Refused(422, "; ".join(f"{one.where}: {one.found}, expected {one.expected}" for one in problems))
    desk.keep([said])


async def _end_when_idle(server: Server, served: Served, seconds: float) -> None:
    while not server.should_exit:
        if time.monotonic() - served.heard > seconds:
            server.should_exit = True
        await asyncio.sleep(LOOK_SECONDS)


def listen(port: int) -> socket.socket:
    """A socket of this machine alone; 0 takes any port. Raises ConfigurationError where the port is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen()  # whoever has the address is answered, if a moment later
    except OSError as error:
        listening.close()
        found = f"port {port} of {HOST}: {error.strerror or error}"
        raise ConfigurationError(Problem("--port", found, "a free port", "--port 0 takes any that is free")) from None
    return listening
