"""The border to the openai client: one call, its status and its bytes. Everything that it or the HTTP library under it
may raise ends here and becomes a value.

Imported where it is used: openai and its HTTP library take a second or two.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import httpx2

from ..models.addresses import OPENAI_HOST
from .access import Access
from .pacing import retry_after_seconds
from .replies import NoReply, Reply

if TYPE_CHECKING:
    from openai import AsyncOpenAI


_CONNECT_SECONDS = 10.0
_LOGGERS = (
    "openai._base_client",
    "httpx2",
    "httpcore2.connection",
    "httpcore2.http11",
    "httpcore2.http2",
    "httpcore2.proxy",
    "httpcore2.socks",
    "aiohttp.client",
    "asyncio",  # shows arguments of callbacks in its debug mode
)


class Client:
    """One shared ``AsyncOpenAI`` for an address and its key; used in one event loop::

        client = Client(access, response_bytes=4 << 20)
        reply = await client.post("/chat/completions", body, seconds=30.0)
        await client.close()

    Its own retries are off: ours are counted, and end at a deadline. The response is handed over as bytes: the client's
    typed models would be built without being checked, and cost more than half of a call's CPU time. Redirects are not
    followed. Compression is not offered and not accepted, so that the limit counts what is held in memory.
    """

    def __init__(self, access: Access, response_bytes: int) -> None:
        import openai

        async def capped(response: httpx2.Response) -> None:
            _refuse_long(response, response_bytes)

        backend = openai.DefaultAioHttpClient if find_spec("aiohttp") else openai.DefaultAsyncHttpxClient
        http = backend(event_hooks={"response": [capped]}, follow_redirects=False, trust_env=not access.loopback)
        key = access.key.get_secret_value()
        self._openai: AsyncOpenAI = openai.AsyncOpenAI(
            base_url=access.base_url,
            api_key=key,
            max_retries=0,
            http_client=http,
            default_headers={"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"},
        )
        if httpx2.URL(access.base_url).host != OPENAI_HOST:  # read from the environment by the client
            self._openai.organization = self._openai.project = None
        self._access = access
        self._censor = _Censor(access)
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._censor)

    async def post(self, path: str, body: Mapping[str, object], seconds: float) -> Reply | NoReply:
        """One call that ends within ``seconds``, however slowly its bytes trickle."""
        import openai

        try:
            async with asyncio.timeout(seconds):
                response = await self._openai.post(
                    path,
                    cast_to=httpx2.Response,
                    body=dict(body),
                    options={"timeout": httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))},
                )
        except TimeoutError:
            return NoReply("timeout", f"no complete answer within {seconds:.0f} s")
        except openai.APIStatusError as error:
            response = error.response
        except _Unreadable as error:
            return NoReply("unreadable", str(error))
        except ValueError as error:  # lone surrogates, for one
            return NoReply("unsendable", f"the request cannot be sent: {type(error).__name__}")
        except Exception as error:  # noqa: BLE001 -- aiohttp and httpx raise more than the client maps
            return NoReply(_kind(error), self._told(_causes(error)[-1]))
        return Reply(response.status_code, response.content, _retry_after(response))

    async def close(self) -> None:
        await self._openai.close()
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self._censor)

    def _told(self, error: BaseException) -> str:
        return self._access.quoted(f"{type(error).__name__}: {error}".rstrip(": "))


class _Censor(logging.Filter):
    """Takes the key out of what the libraries log. They do not log what is sent, but at level DEBUG headers that came
    back, and a server may say the key there."""

    def __init__(self, access: Access) -> None:
        super().__init__()
        self._access = access

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if (censored := self._access.censored(message)) != message:
            record.msg, record.args = censored, None
        return True


class _Unreadable(Exception):
    pass


class _Capped(httpx2.AsyncByteStream):
    """A response body that is given up as soon as it is longer than ``most`` bytes."""

    def __init__(self, body: httpx2.AsyncByteStream, most: int) -> None:
        self._body = body
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for chunk in self._body:
            read += len(chunk)
            if read > self._most:
                raise _too_long(self._most)
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()


def _refuse_long(response: httpx2.Response, most: int) -> None:
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise _Unreadable("the response is compressed, which was not offered")
    length = response.headers.get("content-length", "")
    if len(length) > 18 or (length.isdecimal() and int(length) > most):
        raise _too_long(most)
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Capped(response.stream, most)


def _too_long(most: int) -> _Unreadable:
    return _Unreadable(f"the response is longer than {most:,} bytes")


def _retry_after(response: httpx2.Response) -> float | None:
    headers = response.headers
    return retry_after_seconds(headers.get("retry-after-ms"), headers.get("retry-after"), datetime.now(UTC))


def _kind(error: BaseException) -> Literal["unreachable", "timeout", "connection"]:
    """By what lies under it: the client counts a refused or a lost connection of aiohttp's as a timeout."""
    names = [type(cause).__name__ for cause in _causes(error)]
    if any(name.startswith("ClientConnector") or name in ("ConnectError", "ConnectionTimeoutError") for name in names):
        return "unreachable"
    return "timeout" if "Timeout" in names[-1] else "connection"


def _causes(error: BaseException) -> list[BaseException]:
    found = [error]
    while (cause := found[-1].__cause__) is not None and len(found) < 20:
        found.append(cause)
    return found
