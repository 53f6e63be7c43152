"""Requests per second against a server that answers in 200 ms: this engine, the openai client alone, aiohttp alone.

    python benchmarks/endpoints.py                 # a markdown table of shares of the ideal
    python benchmarks/endpoints.py --json out.json

The server is a process of its own on loopback and shares the machine's cores with the client, as the others of a round
do not: rounds are interleaved, and each figure is the median over rounds. The ideal is (in flight) / 0.2 s. Everything
is measured in its steady state: each contender first answers enough that its connections are open, and this engine
enough that its concurrency has grown to the most allowed; what growing costs is the column "from cold".

Then this engine alone, with up to 128 in flight allowed, against a server that takes fewer at once and refuses the rest
(429) without saying where its limit is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

LATENCY = 0.2
LEVELS = (8, 32, 128)
TARGETS = {32: 0.72, 128: 0.38}
HIDDEN_LIMITS = (10, 40)
MOST_IN_FLIGHT = 128
QUESTION = "Which queue does this ticket belong to: billing, bug report, or praise? Answer with one of the three. "


@dataclass(frozen=True)
class Figure:
    contender: str
    in_flight: int
    of_ideal: float
    per_second: float
    cpu_ms: float
    from_cold: float | None = None


@dataclass(frozen=True)
class Found:
    """How this engine did under a limit that it was not told: against the ideal of just that many in flight."""

    limit: int
    of_ideal: float
    refused: float


@dataclass(frozen=True)
class Taken:
    per_second: float
    cpu_ms: float


def serve() -> None:
    from aiohttp import web

    reply = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "billing"}, "finish_reason": "stop"},
        ],
        "usage": {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32},
    }
    raw = json.dumps(reply).encode()

    under_way: dict[str, int] = {}

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        limit = request.match_info.get("limit", "")
        under_way[limit] = under_way.get(limit, 0) + 1
        try:
            if limit and under_way[limit] > int(limit):
                return web.json_response({"error": {"message": "too many at once"}}, status=429)
            await asyncio.sleep(LATENCY)
            return web.Response(body=raw, content_type="application/json")
        finally:
            under_way[limit] -= 1

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        app.router.add_post("/at-most/{limit}/v1/chat/completions", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())


def body(number: int) -> dict[str, object]:
    return {
        "model": "m",
        "messages": [{"role": "user", "content": f"{QUESTION}{number}"}],
        "max_tokens": 16,
        "temperature": 0.0,
        "top_p": 1.0,
    }


def timed(run: Callable[[int], None], count: int) -> Taken:
    begun, cpu = time.perf_counter(), time.process_time()
    run(count)
    return Taken(count / (time.perf_counter() - begun), (time.process_time() - cpu) / count * 1000)


def by_workers(call: Callable[[int], Awaitable[object]], in_flight: int) -> Callable[[int], Awaitable[None]]:
    async def run(count: int) -> None:
        numbers = iter(range(count))

        async def worker() -> None:
            for number in numbers:
                await call(number)

        await asyncio.gather(*(worker() for _ in range(in_flight)))

    return run


def engine(base_url: str, in_flight: int, counts: list[int]) -> list[Taken]:
    """All counts one after the other on one model: the first is from cold."""
    from finetune_gate.evaluators.asking import GenerateRequest, Generation
    from finetune_gate.gate.endpoints import EndpointLimits, EndpointModel
    from finetune_gate.gate.pins import Endpoint

    model = EndpointModel(Endpoint(base_url, "m"), EndpointLimits(max_in_flight=in_flight), environ={})
    asked = 0

    def run(count: int) -> None:
        nonlocal asked
        requests = [GenerateRequest(f"{QUESTION}{asked + at}", 16) for at in range(count)]
        asked += count
        answers: dict[int, object] = {}
        model.generate(requests, answers.__setitem__)
        assert len(answers) == count
        assert all(isinstance(answer, Generation) for answer in answers.values()), answers[0]

    try:
        return [timed(run, count) for count in counts]
    finally:
        model.release()


def under_hidden_limit(address: str, limit: int, rounds: int) -> Found:
    """Steady state over ``rounds``: the first stretch, in which the limit is found, is not counted."""
    from finetune_gate.evaluators.asking import GenerateRequest, Generation
    from finetune_gate.gate.endpoints import EndpointLimits, EndpointModel
    from finetune_gate.gate.pins import Endpoint

    rates: list[float] = []
    refused: list[float] = []
    for at in range(rounds):
        url = f"{address}/at-most/{limit}/v1"
        model = EndpointModel(Endpoint(url, f"m{at}"), EndpointLimits(MOST_IN_FLIGHT), environ={})
        try:
            for stretch in range(2):
                requests = [GenerateRequest(f"{QUESTION}{stretch} {number}", 16) for number in range(limit * 15)]
                before, answers = model.usage(), dict[int, object]()
                begun = time.perf_counter()
                model.generate(requests, answers.__setitem__)
                seconds, usage = time.perf_counter() - begun, model.usage()
                assert all(isinstance(answer, Generation) for answer in answers.values()), answers[0]
                if stretch:
                    rates.append(len(requests) / seconds / (limit / LATENCY))
                    calls = usage.calls - before.calls
                    refused.append((usage.rate_limited - before.rate_limited) / calls)
        finally:
            model.release()
    return Found(limit, statistics.median(rates), statistics.median(refused))


def openai_client(base_url: str, in_flight: int, counts: list[int], aio: bool = True) -> list[Taken]:
    import openai

    async def main() -> list[Taken]:
        http = openai.DefaultAioHttpClient() if aio else openai.DefaultAsyncHttpxClient()
        async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, http_client=http) as client:
            return [await measured(lambda n: client.chat.completions.create(**body(n)), count) for count in counts]  # type: ignore[call-overload]

    async def measured(call: Callable[[int], Awaitable[object]], count: int) -> Taken:
        begun, cpu = time.perf_counter(), time.process_time()
        await by_workers(call, in_flight)(count)
        return Taken(count / (time.perf_counter() - begun), (time.process_time() - cpu) / count * 1000)

    return asyncio.run(main())


def bare_aiohttp(base_url: str, in_flight: int, counts: list[int]) -> list[Taken]:
    import aiohttp

    async def main() -> list[Taken]:
        found: list[Taken] = []
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def call(number: int) -> object:
                async with session.post(f"{base_url}/chat/completions", json=body(number)) as response:
                    return json.loads(await response.read())["choices"][0]["message"]["content"]

            for count in counts:
                begun, cpu = time.perf_counter(), time.process_time()
                await by_workers(call, in_flight)(count)
                found.append(Taken(count / (time.perf_counter() - begun), (time.process_time() - cpu) / count * 1000))
        return found

    return asyncio.run(main())


CONTENDERS: dict[str, Callable[[str, int, list[int]], list[Taken]]] = {
    "this engine": engine,
    "AsyncOpenAI (aiohttp)": openai_client,
    "AsyncOpenAI (httpx)": lambda url, in_flight, counts: openai_client(url, in_flight, counts, aio=False),
    "aiohttp": bare_aiohttp,
}


def measure(base_url: str, rounds: int) -> list[Figure]:
    taken: dict[tuple[str, int], list[tuple[Taken, Taken]]] = {}
    for _ in range(rounds):
        for in_flight in LEVELS:
            for name, contender in CONTENDERS.items():
                warm_up, steady = in_flight * 6, in_flight * 10
                first, _, second = contender(base_url, in_flight, [steady, warm_up, steady])
                taken.setdefault((name, in_flight), []).append((first, second))
    figures: list[Figure] = []
    for (name, in_flight), runs in taken.items():
        ideal = in_flight / LATENCY
        steady = statistics.median(second.per_second for _, second in runs)
        figures.append(
            Figure(
                name,
                in_flight,
                of_ideal=steady / ideal,
                per_second=steady,
                cpu_ms=statistics.median(second.cpu_ms for _, second in runs),
                from_cold=statistics.median(first.per_second for first, _ in runs) / ideal,
            )
        )
    return sorted(figures, key=lambda figure: (figure.in_flight, list(CONTENDERS).index(figure.contender)))


def table(figures: list[Figure]) -> str:
    lines = [
        "| in flight | contender | of the ideal | requests/s | client CPU per request | of the ideal, from cold |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.in_flight} | {one.contender} | {one.of_ideal:.2f} | {one.per_second:.0f} | {one.cpu_ms:.2f} ms |"
        f" {one.from_cold:.2f} |"
        for one in figures
    ]
    for in_flight, target in TARGETS.items():
        found = next(one for one in figures if (one.contender, one.in_flight) == ("this engine", in_flight))
        verdict = "reached" if found.of_ideal >= target else "MISSED"
        lines.append(f"\nThis engine at {in_flight} in flight: {found.of_ideal:.2f} of the ideal, {target} {verdict}.")
    return "\n".join(lines)


def limits_table(found: list[Found]) -> str:
    lines = ["| hidden limit | of the ideal at that many in flight | calls refused |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {one.limit} | {one.of_ideal:.2f} | {100 * one.refused:.1f} % |" for one in found)])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--json", type=Path, help="write the figures there")
    arguments.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.serve:
        serve()
        return
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = f"http://127.0.0.1:{int(server.stdout.readline())}"
            figures = measure(f"{address}/v1", chosen.rounds)
            found = [under_hidden_limit(address, limit, chosen.rounds) for limit in HIDDEN_LIMITS]
        finally:
            server.terminate()
    print(f"{table(figures)}\n\n{limits_table(found)}")
    if chosen.json:
        about = {"latency_seconds": LATENCY, "rounds": chosen.rounds, "python": platform.python_version()}
        told = {"figures": [asdict(one) for one in figures], "hidden_limits": [asdict(one) for one in found]}
        chosen.json.write_text(json.dumps({**about, **told}, indent=2) + "\n")


if __name__ == "__main__":
    main()
