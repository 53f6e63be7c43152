"""Keys that sign, and what is said where one cannot."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from kept_runs import Signer, gated, make_signer
from workshop import PASSES, Workshop

from finetune_gate.evaluators.errors import ConfigurationError
from finetune_gate.gate.attesting.envelopes import PAYLOAD_TYPE, opened, pae, sealed
from finetune_gate.gate.attesting.kept import kept_at
from finetune_gate.gate.attesting.keys import KEY_VARIABLE, PASSWORD_VARIABLE, public_key, signing_key
from finetune_gate.gate.attesting.verifying import verify

ED25519 = ("-algorithm", "ed25519")
P256 = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
MESSAGE = b'{"_type":"https://in-toto.io/Statement/v1"}'


def environ(signer: Signer, **more: str) -> dict[str, str]:
    return {KEY_VARIABLE: str(signer.private), **more}


def test_the_encoding_of_what_is_signed_is_that_of_the_protocol() -> None:
    """The example of DSSE's own text, and its lengths in bytes."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("a", "é".encode()) == b"DSSEv1 1 a 2 \xc3\xa9"
    assert pae("", b"") == b"DSSEv1 0  0 "


@pytest.mark.parametrize("kind", [ED25519, P256], ids=["ed25519", "p256"])
def test_what_is_sealed_is_opened_and_checked_by_openssl_too(tmp_path: Path, kind: tuple[str, ...]) -> None:
    signer = make_signer(tmp_path, *kind)
    key, public = signing_key(environ(signer)), public_key(signer.public)
    assert key is not None
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", signer.public, "-outform", "DER"], check=True, capture_output=True
    ).stdout
    assert key.keyid == public.keyid == hashlib.sha256(der).hexdigest()
    line = sealed(MESSAGE, key)
    envelope = opened(line)
    assert (envelope.payload, envelope.keyid) == (MESSAGE, key.keyid)
    signed = pae(PAYLOAD_TYPE, MESSAGE)
    assert public.signed(signed, envelope.signature)
    assert not public.signed(signed + b" ", envelope.signature)
    assert not public.signed(signed, envelope.signature[:-1])
    assert not public.signed(signed, b"")
    (tmp_path / "signed").write_bytes(signed)
    (tmp_path / "signature").write_bytes(envelope.signature)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", signer.public, "-in", tmp_path / "signed"]
    raw = ["-rawin"] if kind is ED25519 else ["-rawin", "-digest", "sha256"]
    ended = subprocess.run(
        [*command, *raw, "-sigfile", tmp_path / "signature"], check=False, capture_output=True, text=True
    )
    assert (ended.returncode, "Signature Verified Successfully" in ended.stdout) == (0, True), ended.stderr


def test_an_envelope_is_written_in_one_way_only(signer: Signer) -> None:
    key = signing_key(environ(signer))
    assert key is not None
    line = sealed(MESSAGE, key)
    value = json.loads(line)
    assert list(value) == ["payload", "payloadType", "signatures"]
    assert base64.b64decode(value["payload"]) == MESSAGE
    two = {**value, "signatures": value["signatures"] * 2}
    other_type = {**value, "payloadType": "application/json"}
    url_safe = {**value, "payload": base64.urlsafe_b64encode(b"\xff\xfe").decode()}
    loose = {**value, "payload": "QR=="}  # two bits are left over, and stand for nothing
    spelled = [json.dumps(one, separators=(",", ":")).encode() for one in (two, other_type, url_safe, loose)]
    for other in (line + b" ", json.dumps(value).encode(), b"", b"null", b"\xff", *spelled):
        with pytest.raises(ValueError, match=r"\w"):
            opened(other)


def test_no_key_is_no_fault() -> None:
    assert signing_key({}) is None
    assert signing_key({KEY_VARIABLE: "", PASSWORD_VARIABLE: "secret"}) is None


def test_a_key_with_a_password(tmp_path: Path) -> None:
    signer = make_signer(tmp_path, *ED25519)
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", signer.private, "-out", locked, "-passout", "pass:correct horse"],
        check=True,
        capture_output=True,
    )
    found = signing_key({KEY_VARIABLE: str(locked), PASSWORD_VARIABLE: "correct horse"})
    assert found is not None
    assert found.keyid == public_key(signer.public).keyid
    for password, said in (("wrong", "with the password given"), ("", f"set {PASSWORD_VARIABLE}")):
        with pytest.raises(ConfigurationError, match=said) as caught:
            signing_key({KEY_VARIABLE: str(locked), PASSWORD_VARIABLE: password})
        assert "wrong" not in str(caught.value)
    with pytest.raises(ConfigurationError, match=f"unset {PASSWORD_VARIABLE}"):
        signing_key(environ(signer, **{PASSWORD_VARIABLE: "correct horse"}))


def test_keys_that_cannot_sign(tmp_path: Path) -> None:
    rsa = make_signer(tmp_path / "rsa", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    curve = make_signer(tmp_path / "p384", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384")
    good = make_signer(tmp_path / "good", *ED25519)
    text = tmp_path / "text.pem"
    text.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    large = tmp_path / "large.pem"
    large.write_bytes(b"x" * (1 << 16) + b"x")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    faults = {
        rsa.private: "of another kind",
        curve.private: "of another kind",
        good.public: "no private key that can be read",
        text: "no private key that can be read",
        large: "larger than 64 KiB",
        pipe: "no regular file",
        tmp_path: "no regular file",
        tmp_path / "none.pem": "No such file",
    }
    for path, said in faults.items():
        with pytest.raises(ConfigurationError, match=said) as caught:
            signing_key({KEY_VARIABLE: str(path)})
        assert str(path) in str(caught.value)
        assert "c2VjcmV0" not in str(caught.value)
    for path, said in {rsa.public: "of another kind", curve.public: "of another kind", text: "private key"}.items():
        with pytest.raises(ConfigurationError, match=said):
            public_key(path)
    assert "c2VjcmV0" not in repr(signing_key(environ(good)))


def test_a_key_that_cannot_be_used_stops_a_run_before_anything_is_asked(workshop: Workshop, tmp_path: Path) -> None:
    gate = workshop.gate(PASSES, classify=False)
    with pytest.raises(ConfigurationError, match=KEY_VARIABLE):
        gated(workshop, gate, Signer(tmp_path / "none.pem", tmp_path))
    assert not (workshop.folder / "out").exists()
    assert not list((workshop.folder / "home").rglob("*.parquet"))
    assert workshop.champion() is None
    assert workshop.tags("2").keys() == {"base_model"}


def test_a_run_signed_by_either_kind_is_verified_and_by_no_other_key(workshop: Workshop, tmp_path: Path) -> None:
    signer, other = make_signer(tmp_path / "one", *P256), make_signer(tmp_path / "other", *P256)
    result = gated(workshop, workshop.gate(PASSES, classify=False), signer)
    with kept_at(str(result.folder)) as kept:
        assert verify(kept, public_key(signer.public)).outcome == "verified"
        found = verify(kept, public_key(other.public))
    assert found.outcome == "differs"
    assert {one.where.split()[-1] for one in found.differences} == {"keyid", "sig"}
    secret = "".join(signer.private.read_text().split("\n")[1:-2])[:24]
    for path in (path for path in workshop.folder.rglob("*") if path.is_file()):
        assert secret.encode() not in path.read_bytes(), path


def test_a_run_without_a_key_leaves_no_envelopes_of_an_earlier_one(workshop: Workshop, signer: Signer) -> None:
    gate = workshop.gate(PASSES, classify=False)
    first = gated(workshop, gate, signer, dry_run=True)
    assert (first.folder / "decision-record.intoto.jsonl").is_file()
    second = gated(workshop, gate, dry_run=True)
    assert second.folder == first.folder
    assert not (second.folder / "decision-record.intoto.jsonl").exists()
    with kept_at(str(second.folder)) as kept:
        assert verify(kept).outcome == "verified"
