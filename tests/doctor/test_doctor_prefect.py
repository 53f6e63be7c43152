"""Prefect: a real server without authentication and one with it, and what can be told without any."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path

import pytest
from doctor_servers import dead, posted, prefect_server, saying, silent

from finetune_gate.flows.doctor_prefect import prefect_findings
from finetune_gate.flows.locking import limit_name
from finetune_gate.gate.doctor import Finding, ask, installed


def looked(
    environ: Mapping[str, str], *, waits: bool = False, version: str | None = None, model: str | None = None
) -> dict[str, Finding]:
    def version_of(package: str) -> str | None:
        return version or installed(package)

    found = list(prefect_findings(environ, seconds=10.0, model=model, waits=waits, version_of=version_of))
    assert "hunter2" not in str(found)
    return {one.name: one for one in found}


def states(found: Mapping[str, Finding]) -> dict[str, str]:
    return {name.removeprefix("prefect "): one.state for name, one in found.items()}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with prefect_server(tmp_path_factory.mktemp("prefect"), "127.0.0.1", {}) as found:
        yield found


@pytest.mark.slow
def test_a_server_of_this_machine(api: str) -> None:
    found = looked({"PREFECT_API_URL": f"{api}/"})
    assert states(found) == {
        "address": "ok", "server": "ok", "protection": "ok", "ui": "skipped", "deployment": "skipped",
        "limits": "ok",
    }  # fmt: skip
    assert found["prefect protection"].found.endswith("from this machine alone")
    assert "finetune-gate deployments" in found["prefect deployment"].way_out
    assert looked({"PREFECT_API_URL": api}, waits=True)["prefect deployment"].state == "warning"
    assert looked({"PREFECT_API_URL": api}, version="3.99.0")["prefect server"].state == "warning"
    assert looked({"PREFECT_API_URL": api}, version="4.0.0")["prefect server"].state == "fault"

    flow = posted(f"{api}/flows/", {"name": "evaluation_gate"})
    posted(f"{api}/deployments/", {"name": "gate", "flow_id": flow["id"]})
    unserved = looked({"PREFECT_API_URL": api})["prefect deployment"]
    assert (unserved.state, unserved.found.startswith("evaluation_gate/gate: ")) == ("warning", True)

    posted(f"{api}/v2/concurrency_limits/", {"name": "promote", "limit": 1, "active": False})
    idle = looked({"PREFECT_API_URL": api})["prefect limits"]
    assert (idle.state, idle.found) == ("warning", "inactive: promote")


@pytest.mark.slow
def test_the_limit_that_gates_of_one_model_take(api: str) -> None:
    environ = {"PREFECT_API_URL": api}
    assert "made by the first run" in looked(environ, model="a b/c")["prefect lock"].found
    made = posted(f"{api}/v2/concurrency_limits/", {"name": limit_name("bot"), "limit": 1})
    lock = looked(environ, model="bot")["prefect lock"]
    assert (lock.state, lock.found) == ("ok", "finetune-gate.bot lets one gate in at a time, free")
    posted(f"{api}/v2/concurrency_limits/{made['id']}", {"active": False, "limit": 3}, "PATCH")
    broken = looked(environ, model="bot")["prefect lock"]
    assert (broken.state, "inactive" in broken.found, "lets 3 in" in broken.found) == ("warning", True, True)
    assert broken.way_out.startswith("prefect gcl update finetune-gate.bot --enable --limit 1")
    again = looked(environ, model="bot")["prefect lock"]
    assert again == broken  # nothing was set right


@pytest.mark.parametrize("said", ["soon", "-1"])
def test_a_time_to_wait_for_it_that_is_none(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETUNE_GATE_LOCK_SECONDS", said)
    with saying() as server:
        server.says = {"/api/health": (200, True), "/api/admin/version": (200, "3.8.8")}
        url = f"{server.url}/api"
        found = list(prefect_findings({"PREFECT_API_URL": url}, seconds=5, model="bot"))
    assert (found[-1].name, found[-1].state) == ("prefect lock", "fault")


@pytest.mark.parametrize(
    ("told", "beyond", "state", "said"),
    [
        ("{url}", False, "ok", "its pages ask"),
        ("/api", True, "ok", "its pages ask /api"),
        ("http://127.0.0.1:4200/api", True, "warning", "its own machine"),
        ("http://0.0.0.0:4200/api", False, "warning", "no address to ask"),
        ("{url}/elsewhere", False, "ok", "which answers"),
        ("{url}/nowhere", False, "warning", "does not answer from here"),
        ("http://ana:hunter2@nobody.invalid/api", False, "warning", "http://nobody.invalid/api"),
        (7, False, "skipped", "no pages"),
    ],
)
def test_where_its_pages_look_for_the_api(
    told: str | int, beyond: bool, state: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with saying() as server:
        url = f"{server.url}/api"
        told = told.format(url=url) if isinstance(told, str) else told
        server.says = {
            "/api/health": (200, True), "/api/elsewhere/health": (200, True), "/api/admin/version": (200, "3.8.8"),
            "/ui-settings": (200, {"api_url": told, "available_uis": ["v2"]}),
        }  # fmt: skip
        if beyond:
            monkeypatch.setattr(
                "finetune_gate.flows.doctor_prefect.is_loopback", lambda one: "127.0.0.1:4200" in str(one)
            )
        found = looked({"PREFECT_API_URL": url})["prefect ui"]
    assert (found.state, said in found.found) == (state, True), found
    assert state != "warning" or f"PREFECT_SERVER_UI_API_URL={url}" in found.way_out


@pytest.mark.slow
def test_a_server_with_authentication_that_all_can_reach(tmp_path: Path) -> None:
    guarded = {"PREFECT_SERVER_API_AUTH_STRING": "ana:hunter2"}
    with prefect_server(tmp_path, "0.0.0.0", guarded) as api:
        found = looked({"PREFECT_API_URL": api, "PREFECT_API_AUTH_STRING": "ana:hunter2"})
        assert states(found) == {
            "address": "ok", "server": "ok", "protection": "ok", "ui": "skipped", "deployment": "skipped",
            "limits": "ok",
        }  # fmt: skip
        assert "wants credentials" in looked({"PREFECT_API_URL": api})["prefect server"].found
        wrong = looked({"PREFECT_API_URL": api, "PREFECT_API_AUTH_STRING": "ana:other"})
        assert (wrong["prefect server"].state, "prefect deployment" in wrong) == ("fault", False)


def test_an_open_server_beyond_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with saying() as server:
        server.says = {"/api/health": (200, True), "/api/admin/version": (200, "3.8.8")}
        monkeypatch.setattr("finetune_gate.flows.doctor_prefect._seen_from_outside", lambda _url: f"{server.url}/api")
        found = looked({"PREFECT_API_URL": f"{server.url}/api"})["prefect protection"]
    assert found.state == "warning"
    assert "approve versions" in found.found
    assert "--host 127.0.0.1" in found.way_out


@pytest.mark.parametrize("path", ["", "/api"])
def test_what_is_no_prefect(path: str) -> None:
    with saying() as server:
        server.says["/health"] = (200, "<html>")
        found = looked({"PREFECT_API_URL": f"{server.url}{path}"})
    assert found["prefect server"].state == "fault"
    assert "/api" in found["prefect server"].way_out


def test_nobody_there_and_somebody_silent() -> None:
    with dead() as url:
        assert "Connection refused" in looked({"PREFECT_API_URL": f"{url}/api"})["prefect server"].found
    with silent() as url:
        found = list(prefect_findings({"PREFECT_API_URL": f"{url}/api"}, seconds=0.3))
    assert (found[-1].state, "no answer within 0.3 s" in found[-1].found) == ("fault", True)
    assert looked({"PREFECT_API_URL": "localhost:4200"})["prefect address"].state == "fault"


def test_credentials_are_not_sent_unencrypted() -> None:
    environ = {"PREFECT_API_URL": "http://ana:hunter2@nobody.invalid/api", "PREFECT_API_KEY": "hunter2"}
    assert states(looked(environ)) == {"address": "warning", "server": "fault"}


def test_a_server_that_wants_what_is_not_sent_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with saying() as server:
        server.says = {"/api/health": (200, True), "/api/admin/version": (401, "")}
        monkeypatch.setattr("finetune_gate.flows.doctor_prefect.is_loopback", lambda _url: False)
        found = looked({"PREFECT_API_URL": f"{server.url}/api", "PREFECT_API_KEY": "hunter2"})
    assert states(found) == {"address": "warning", "server": "skipped"}
    assert all("Authorization" not in headers for _, _, headers in server.heard)


def test_without_a_server(tmp_path: Path) -> None:
    environ = {"PREFECT_HOME": str(tmp_path / "home")}
    assert states(looked(environ)) == {"address": "skipped", "home": "ok"}
    assert states(looked(environ, waits=True))["address"] == "warning"
    (tmp_path / "file").write_text("")
    assert states(looked({"PREFECT_HOME": str(tmp_path / "file")}))["home"] == "warning"


def test_a_profile_is_noticed(tmp_path: Path) -> None:
    profiles = tmp_path / "profiles.toml"
    profiles.write_text('active = "lab"\n[profiles.lab]\nPREFECT_API_URL = "http://u:hunter2@lab:4200/api"\n')
    found = looked({"PREFECT_HOME": str(tmp_path)})["prefect address"]
    assert (found.state, "http://lab:4200/api" in found.found) == ("warning", True)
    assert states(looked({"PREFECT_HOME": str(tmp_path), "PREFECT_PROFILE": "other"}))["address"] == "skipped"
    profiles.write_text("active = [")
    assert states(looked({"PREFECT_HOME": str(tmp_path)}))["address"] == "skipped"


def test_asking_posts_what_it_is_given() -> None:
    with saying() as server:
        server.says["/x"] = (200, [1])
        ask(f"{server.url}/x", 5, body={"limit": 2})
        assert server.heard[0][0] == "POST"
