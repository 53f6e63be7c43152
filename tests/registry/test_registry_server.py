"""The same over HTTP, with a real MLflow server that hands out artifacts itself."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from registry_shop import MODEL, Shop, open_shop

from finetune_gate.evaluators.errors import ConfigurationError, RegistryError
from finetune_gate.gate.registry.artifacts import Limits, bring
from finetune_gate.gate.registry.base_model import Place
from finetune_gate.gate.registry.mlflow_client import NotInRegistry
from finetune_gate.gate.registry.promotion import LedgerPromotion
from finetune_gate.gate.registry.tracking import Tracking

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow_server")]


@pytest.fixture
def remote(server: str, tmp_path: Path) -> Shop:
    """A shop with models of its own on the server that all these tests share."""
    return open_shop(server, tmp_path, experiment=tmp_path.name)


def place(shop: Shop, version: str, name: str = MODEL) -> Place:
    return shop.registry.place(shop.registry.version(name, version))


def test_a_whole_gate_run(remote: Shop, capfd: pytest.CaptureFixture[str]) -> None:
    """Pinned, promoted, published; base and candidate stored in both ways."""
    remote.register(remote.folder(1), "base-lm", via="logged_model")
    for seed, via in ((2, "run"), (3, "logged_model")):
        remote.register(remote.folder(seed), via=via, tags={"base_model": "models:/base-lm/1"})
    remote.alias("champion", "1")
    capfd.readouterr()

    pins = remote.registry.resolve(MODEL, "latest", downloads=remote.downloads)
    assert [(pin.role, pin.label, pin.origin) for pin in pins.roles()] == [
        ("candidate", "support-bot v2", "latest version"),
        ("base", "base-lm v1", "version tag 'base_model'"),
        ("champion", "support-bot v1", "alias @champion"),
    ]
    assert {pin.files.root.parent for pin in pins.roles()} == {remote.downloads}
    assert {len(pin.files.root.name) for pin in pins.roles()} == {16}
    assert set(remote.downloads.iterdir()) == {pin.files.root for pin in pins.roles()}

    tracking = Tracking(remote.registry)
    run_id = tracking.open_run(MODEL, "key", "support-bot v2: promote", {})
    address = tracking.record_address(run_id, "record.json")
    record = remote.root / "record.json"
    record.write_text("{}")
    tracking.log_files(run_id, [record])
    tracking.log_results(run_id, {"accuracy": 0.5}, {"candidate": "2"}, {})
    promotion = LedgerPromotion(remote.registry)
    move = promotion.promote(pins, "champion", "Staging", "sha256:d", address)
    promotion.note(pins, "promote", "Good.", address, "sha256:d")
    tracking.finish_run(run_id)
    promotion.finish(pins)

    assert (move.outcome, move.before, move.after, move.stage_after) == ("moved", "1", "2", "Staging")
    assert remote.registry.alias_version(MODEL, "champion") == "2"
    assert remote.tags("2")["finetune_gate.record"] == address
    assert tracking.fetch(address, remote.root / "back").read_text() == "{}"
    with pytest.raises(NotInRegistry, match="there is no such file"):
        tracking.fetch(address + ".gone", remote.root / "back")
    url = tracking.run_url(run_id)
    assert url == f"{remote.uri}/#/experiments/{remote.client.get_run(run_id).info.experiment_id}/runs/{run_id}"
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ConfigurationError) as caught:
        remote.registry.pick(MODEL, "9")
    assert str(caught.value).splitlines()[1] == "  expected: one of versions 1, 2; aliases: @champion (version 2)"


def test_a_base_named_by_run_or_by_logged_model(remote: Shop) -> None:
    for via in ("run", "logged_model"):
        version = remote.registry.version("lm", remote.register(remote.folder(1), "lm", via=via))
        candidate = remote.register(remote.folder(2), "bot", tags={"base_model": f"runs:/{version.run_id}/model"})
        pins = remote.registry.resolve("bot", candidate, downloads=remote.downloads)
        assert (pins.base.uri, pins.base.run_id) == (f"runs:/{version.run_id}/model", version.run_id)
        if via == "logged_model":
            told = remote.registry.resolve("bot", candidate, base=version.source, downloads=remote.downloads)
            assert told.base.files.digest == pins.base.files.digest


def test_a_download_is_used_again_while_the_listing_is_the_same(remote: Shop) -> None:
    version = remote.register(remote.folder(1), "again")
    found = place(remote, version, "again")
    root = bring(remote.registry.connection, found.address, remote.downloads)
    assert root.name == hashlib.sha256(f"{remote.uri}\n{found.address}".encode()).hexdigest()[:16]
    inode = (root / "config.json").stat().st_ino
    assert bring(remote.registry.connection, found.address, remote.downloads) == root
    assert (root / "config.json").stat().st_ino == inode

    (root / "config.json").write_text("{")  # half a file, as after a kill
    abandoned = remote.downloads / f"{root.name}.part-x"
    young = remote.downloads / f"{root.name}.part-y"
    for left in (abandoned, young):
        left.mkdir()
    os.utime(abandoned, (time.time() - 1e6, time.time() - 1e6))
    assert bring(remote.registry.connection, found.address, remote.downloads) == root
    assert (root / "config.json").read_bytes() != b"{"
    assert (abandoned.exists(), young.exists()) == (False, True)


def test_folders_within_folders_and_odd_names(remote: Shop) -> None:
    folder = remote.folder(1)
    (folder / "a b" / "c").mkdir(parents=True)
    (folder / "a b" / "c" / "é+1.txt").write_text("x")
    (folder / "empty.txt").write_text("")
    found = place(remote, remote.register(folder, "odd"), "odd")
    root = bring(remote.registry.connection, found.address, remote.downloads)
    assert {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()} == {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    ("limits", "message"),
    [(Limits(files=2), "more than 2 files or 200 GiB"), (Limits(total_bytes=40), "more than 10000 files or ")],
)
def test_more_than_a_model(remote: Shop, limits: Limits, message: str) -> None:
    found = place(remote, remote.register(remote.folder(1), "large"), "large")
    with pytest.raises(RegistryError, match=message):
        bring(remote.registry.connection, found.address, remote.downloads, limits)
    assert not remote.downloads.exists()


def test_files_that_are_gone(remote: Shop) -> None:
    version = remote.register(remote.folder(1), "gone", tags={"base_model": "x"})
    run_id = remote.registry.version("gone", version).run_id
    remote.client._tracking_client._get_artifact_repo(run_id).delete_artifacts("model")
    with pytest.raises(NotInRegistry) as caught:
        remote.registry.resolve("gone", version, downloads=remote.downloads)
    assert str(caught.value) == (
        f"files at {place(remote, version, 'gone').address}: there are no files\n"
        "  expected: model files\n"
        "  way out:  log the model again, and register that version"
    )
