"""Keys that sign statements, and the public keys that check them: Ed25519, or ECDSA on P-256 with SHA-256.

    key = signing_key()                 # None where FINETUNE_GATE_SIGNING_KEY is not set
    signature = key.sign(b"message")
    public_key(Path("signer.pem")).signed(b"message", signature)

Nothing here prints a key, or the words in which a library complains about one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from finetune_gate.evaluators.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_VARIABLE: Final = "FINETUNE_GATE_SIGNING_KEY"
PASSWORD_VARIABLE: Final = "FINETUNE_GATE_SIGNING_PASSWORD"
_MOST_BYTES: Final = 1 << 16
_EXPECTED: Final = "a PEM file with an Ed25519 or ECDSA P-256 private key"
_MAKE_ONE: Final = "make one: openssl genpkey -algorithm ed25519 -out signing.pem"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key. ``keyid``: SHA-256, in hex, of its public key's DER (SubjectPublicKeyInfo)."""

    keyid: str
    _key: Ed25519PrivateKey | EllipticCurvePrivateKey = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """Of ECDSA, the signature is DER with a random part: the same message is signed differently each time."""
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256

        if isinstance(self._key, EllipticCurvePrivateKey):
            return self._key.sign(message, ECDSA(SHA256()))
        return self._key.sign(message)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What a signature is checked with. ``keyid`` is that of the private key."""

    keyid: str
    _key: Ed25519PublicKey | EllipticCurvePublicKey = field(repr=False)

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's, over exactly these bytes."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            if isinstance(self._key, EllipticCurvePublicKey):
                self._key.verify(signature, message, ECDSA(SHA256()))
            else:
                self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def signing_key(environ: Mapping[str, str] = os.environ) -> SigningKey | None:
    """The key whose path FINETUNE_GATE_SIGNING_KEY names; None where that is not set, or empty.

    Raises ConfigurationError where it cannot sign: there is no such file, its password is another, or it is of another
    kind.
    """
    given = environ.get(KEY_VARIABLE, "")
    if not given:
        return None
    where = f"{KEY_VARIABLE} ({given})"
    content = _content(Path(given), where, _EXPECTED, _MAKE_ONE)

    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    password = environ.get(PASSWORD_VARIABLE) or None
    try:
        key = load_pem_private_key(content, password=None if password is None else os.fsencode(password))
    except TypeError:  # how the library says that a password is missing, or was given for nothing
        found = "the key is encrypted" if password is None else "the key is not encrypted, and a password is given"
        way_out = f"{'set' if password is None else 'unset'} {PASSWORD_VARIABLE}"
        raise ConfigurationError(Problem(where, found, way_out=way_out)) from None
    except (ValueError, UnsupportedAlgorithm):
        found = "it holds no private key that can be read" + (" with the password given" if password else "")
        raise ConfigurationError(Problem(where, found, _EXPECTED, _MAKE_ONE)) from None
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return SigningKey(_keyid(key.public_key()), key)
    if isinstance(key, Ed25519PrivateKey):
        return SigningKey(_keyid(key.public_key()), key)
    raise ConfigurationError(Problem(where, "a private key of another kind", _EXPECTED, _MAKE_ONE))


def public_key(path: Path, where: str = "--key") -> PublicKey:
    """Raises ConfigurationError where ``path`` holds no public key that could have signed."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    place = f"{where} ({path})"
    expected = "a PEM file with an Ed25519 or ECDSA P-256 public key"
    way_out = "write it: openssl pkey -in signing.pem -pubout -out signer.pem"
    content = _content(path, place, expected, way_out)
    if b"PRIVATE KEY-----" in content:
        found = "a private key, which nobody needs for checking"
        raise ConfigurationError(Problem(place, found, expected, way_out))
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(Problem(place, "no public key that can be read", expected, way_out)) from None
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return PublicKey(_keyid(key), key)
    if isinstance(key, Ed25519PublicKey):
        return PublicKey(_keyid(key), key)
    raise ConfigurationError(Problem(place, "a public key of another kind", expected, way_out))


def _content(path: Path, where: str, expected: str, way_out: str) -> bytes:
    """A regular file, because it is read at every signing: a pipe could be read once."""
    try:
        if path.exists() and not path.is_file():
            raise ConfigurationError(Problem(where, "it is no regular file", expected, way_out))
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(Problem(where, error.strerror or "cannot be read", expected, way_out)) from None
    if len(content) > _MOST_BYTES:
        raise ConfigurationError(Problem(where, "larger than 64 KiB", expected, way_out))
    return content


def _keyid(key: Ed25519PublicKey | EllipticCurvePublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
