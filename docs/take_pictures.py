"""The pictures of README and docs, of the real thing: ``make screenshots`` writes them to ``docs/images``.

    python docs/take_pictures.py [--folder .finetune-gate/pictures] [--chromium /usr/bin/chromium] [--only report]

Runs the demo as a Prefect flow, on a Prefect server of its own, with an MLflow server over the demo's registry, and
looks at the blocked version in a headless browser. Both servers listen on this machine alone, and are ended at the end.
The first time takes some minutes; models are kept in the folder.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).parent / "images"
MODEL = "helpdesk-router"
LARGEST = 300_000
"""Bytes of a picture: the README loads in a moment."""

WIDTH, HEIGHT = 1200, 900
_HERE = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Take the pictures of README and docs.")
    parser.add_argument("--folder", type=Path, default=Path(".finetune-gate/pictures"), help="where the demo is kept")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="the browser")
    parser.add_argument("--only", choices=["report", "terminal", "mlflow", "prefect"], action="append", default=[])
    parser.add_argument("--no-demo", dest="demo", action="store_false", help="of what an earlier call left there")
    given = parser.parse_args(arguments)
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    IMAGES.mkdir(exist_ok=True)
    wanted = set(given.only) or {"report", "terminal", "mlflow", "prefect"}
    with ExitStack() as opened:
        prefect = opened.enter_context(_prefect_server(folder)) if "prefect" in wanted else None
        if given.demo:
            _demo(folder, prefect)
        registry = folder / "demo" / "seed-0"
        browser = opened.enter_context(_browser(given.chromium))
        if "report" in wanted:
            _report(browser, _blocked(registry))
        if "terminal" in wanted:
            _terminal(browser, _blocked(registry))
        if "mlflow" in wanted:
            _mlflow(browser, opened.enter_context(_mlflow_server(folder, registry)), _version(_blocked(registry)))
        if prefect is not None:
            _prefect(browser, prefect)
    return 0


def _demo(folder: Path, prefect: str | None) -> None:
    settings = {"FINETUNE_GATE_HOME": str(folder / "home"), "PREFECT_HOME": str(folder / "prefect")}
    settings |= {"PREFECT_API_URL": f"{prefect}/api"} if prefect else {}
    words = ["demo", "--folder", str(folder / "demo"), "--prefect" if prefect else "--no-prefect"]
    command = [sys.executable, "-m", "finetune_gate.flows.cli", *words]
    subprocess.run(command, env={**os.environ, **settings}, check=True)


def _blocked(registry: Path) -> Path:
    """The folder of the newest run that blocked: the report with most to see."""
    runs = sorted((registry / "runs").iterdir(), key=lambda run: run.stat().st_mtime, reverse=True)
    found = (run for run in runs if (run / "decision-record.json").is_file())
    return next(run for run in found if _decision(run) == "block")


def _decision(run: Path) -> str:
    return str(json.loads((run / "decision-record.json").read_text(encoding="utf-8"))["decision"])


def _version(run: Path) -> str:
    record: dict[str, Any] = json.loads((run / "decision-record.json").read_text(encoding="utf-8"))
    return next(str(model["version"]) for model in record["models"] if model["role"] == "candidate")


def _report(browser: Browser, run: Path) -> None:
    for scheme in ("light", "dark"):
        with _page(browser, dark=scheme == "dark") as page:
            page.goto((run / "report.html").as_uri())
            _keep(page, f"report-{scheme}")
    with _page(browser, dark=False) as page:
        page.goto((run / "report.html").as_uri())
        examples = page.locator("#examples")
        if examples.count():
            examples.scroll_into_view_if_needed()
            page.evaluate("document.querySelector('#examples').scrollIntoView()")
            page.wait_for_timeout(500)
            _keep(page, "report-examples")


def _terminal(browser: Browser, run: Path) -> None:
    from rich.console import Console

    from finetune_gate.gate.record import read_record
    from finetune_gate.gate.reports.terminal import print_record

    record = read_record(run / "decision-record.json")
    console = Console(record=True, width=104, force_terminal=True, file=io.StringIO(), legacy_windows=False)
    print_record(record, console=console)
    drawn = console.export_svg(title=f"finetune-gate run --version {_version(run)}")
    alone = re.sub(r"@font-face\s*\{[^}]*\}", "", drawn)  # rich's own fonts would be fetched
    with _page(browser, dark=False) as page:
        page.set_content(f"<body style='margin:0'>{alone}</body>")
        _save(page.locator("svg").first.screenshot(), "terminal")


def _mlflow(browser: Browser, server: str, version: str) -> None:
    with _page(browser, dark=False) as page:
        _visit(page, f"{server}/#/models/{MODEL}/versions/{version}")
        _keep(page, "mlflow-version")


def _prefect(browser: Browser, server: str) -> None:
    runs = _post(f"{server}/api/flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})
    with _page(browser, dark=False) as page:
        _visit(page, f"{server}/runs/flow-run/{runs[0]['id']}")
        _keep(page, "prefect-run")
        _visit(page, f"{server}/artifacts/key/evaluation-gate-{MODEL}")
        _keep(page, "prefect-artifact")


@contextmanager
def _browser(chromium: str) -> Generator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _page(browser: Browser, *, dark: bool) -> Generator[Page]:
    page = browser.new_page(
        viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark" if dark else "light", timezone_id="UTC"
    )
    try:
        yield page
    finally:
        page.close()


def _visit(page: Page, address: str) -> None:
    """Open one page of an application that draws itself, and wait until it has."""
    from playwright.sync_api import TimeoutError as NotIdle

    page.goto("about:blank")
    page.goto(address, wait_until="domcontentloaded", timeout=90_000)
    try:
        page.wait_for_load_state("networkidle", timeout=20_000)
    except NotIdle:  # a page that polls is never idle
        page.wait_for_timeout(3_000)
    for close in page.get_by_role("button", name="Close").all():
        if close.is_visible():
            close.click(timeout=5_000)
    page.wait_for_timeout(1_500)


def _keep(page: Page, name: str) -> None:
    _save(page.screenshot(), name)


def _save(taken: bytes, name: str) -> None:
    """As a picture of few colours: a tenth of the bytes, and nobody sees it."""
    from PIL import Image

    path = IMAGES / f"{name}.png"
    image = Image.open(io.BytesIO(taken)).convert("RGB")
    image.quantize(colors=256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{path}: {size:,} bytes, more than {LARGEST:,}")
    sys.stdout.write(f"{path.name}: {size:,} bytes\n")


@contextmanager
def _mlflow_server(folder: Path, registry: Path) -> Generator[str]:
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", _HERE, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{registry / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "served")]
    address = f"http://{_HERE}:{port}"
    with _serving(command, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, folder / "mlflow.log", f"{address}/health"):
        yield address


@contextmanager
def _prefect_server(folder: Path) -> Generator[str]:
    port = _free_port()
    address = f"http://{_HERE}:{port}"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", _HERE, "--port", str(port)]
    settings = {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_API_URL": f"{address}/api",
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
    }
    with _serving(command, settings, folder / "prefect.log", f"{address}/api/health"):
        yield address


@contextmanager
def _serving(command: Sequence[str], settings: Mapping[str, str], log: Path, health: str) -> Generator[None]:
    with log.open("wb") as written:
        server = subprocess.Popen(command, env={**os.environ, **settings}, stdout=written, stderr=written)
        try:
            _wait(lambda: server.poll() is not None or _answers(health), f"{command[2]}: see {log}")
            if server.poll() is not None:
                raise SystemExit(f"{command[2]} did not start: see {log}")
            yield
        finally:
            server.terminate()
            server.wait(30)


def _wait(there: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 180
    while not there():
        if time.monotonic() > deadline:
            raise SystemExit(f"not there after three minutes: {what}")
        time.sleep(0.5)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def _post(address: str, body: object) -> Any:
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((_HERE, 0))
        return cast("int", one.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
