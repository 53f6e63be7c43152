"""The secrets that MLflow's webhooks are signed with: from the environment, or a file that it names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from finetune_gate.evaluators.errors import ConfigurationError, Problem

SECRET: Final = "FINETUNE_GATE_WEBHOOK_SECRET"
SECRET_FILE: Final = "FINETUNE_GATE_WEBHOOK_SECRET_FILE"
SHORTEST: Final = 16

_MOST_BYTES: Final = 16 << 10
_MAKE_ONE: Final = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'


def webhook_secrets(environment: Mapping[str, str]) -> tuple[bytes, ...]:
    """All secrets that are accepted, in their order; the first is the one that a webhook is installed with.

    Several, separated by white space, let a secret be changed without a gap. Raises ConfigurationError.
    """
    where, text = _text(environment)
    secrets = tuple(dict.fromkeys(one.encode() for one in text.split()))
    if not secrets:
        found = "there is no secret that webhooks are signed with"
        raise ConfigurationError(
            Problem(where, found, "the secret that MLflow signs with", f"make one with `{_MAKE_ONE}`, and set {SECRET}")
        )
    if any(len(secret) < SHORTEST for secret in secrets):
        found = f"a secret of less than {SHORTEST} characters"
        raise ConfigurationError(Problem(where, found, "one that nobody guesses", f"make one with `{_MAKE_ONE}`"))
    return secrets


def _text(environment: Mapping[str, str]) -> tuple[str, str]:
    """Where the secrets are, and what is there. Nothing of it is ever shown."""
    text, path = environment.get(SECRET, ""), environment.get(SECRET_FILE, "")
    if text.strip() and path:
        found = f"{SECRET} and {SECRET_FILE} are both set"
        raise ConfigurationError(Problem("environment", found, "one of them", "unset the one that is old"))
    if not path:
        return f"environment: {SECRET}", text
    where = f"{SECRET_FILE}: {path}"
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        found = f"cannot be read: {error.strerror or type(error).__name__}"
        raise ConfigurationError(Problem(where, found, "a file that holds the secret")) from None
    if len(content) > _MOST_BYTES:
        raise ConfigurationError(Problem(where, f"larger than {_MOST_BYTES >> 10} KiB", "a file that holds the secret"))
    try:
        return where, content.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(Problem(where, "not text", "a file that holds the secret")) from None
