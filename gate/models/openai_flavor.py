"""MLflow's openai flavor, read as data: a model's name at an API, and messages that stand in front of every prompt.

``mlflow.openai.log_model(model="gpt-4o-mini", task="chat.completions", messages=[...])`` writes ``model.yaml`` with
just these. MLflow fills ``{variable}`` in the messages from columns of its input, reads ``{{`` as one brace, and where
there is no variable adds the input as a last message, the user's. A gate has one text per prompt, so two forms come to
the same here, and all others are refused rather than asked in another way than the version would be served:

- messages without variables: they stand in front of the prompt;
- one variable, which is all of the last message, the user's: the prompt takes its place.

A ``prompt`` of the completions task can be absent or one variable alone. Sampling settings are the gate's, as with
every other model; settings that change what is asked (tools, response_format, ...) are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Final, Literal, cast

from finetune_gate.evaluators.asking import Message
from finetune_gate.evaluators.errors import ModelFilesError, Problem

from ..pins import Endpoint
from .addresses import Servers, name_fault
from .manifest import Manifest, listed, refuse_unsafe, shown
from .mlmodel import mapping, read_yaml

_APIS: Final[Mapping[str, Literal["chat", "completions"]]] = {
    "chat.completions": "chat",
    "completions": "completions",
}
_ROLES: Final = ("system", "user", "assistant")
_KNOWN: Final = frozenset(("model", "task", "messages", "prompt"))
_THE_GATES: Final = frozenset({
    "temperature", "top_p", "max_tokens", "max_completion_tokens", "n", "seed", "stop", "presence_penalty",
    "frequency_penalty", "logprobs", "top_logprobs", "stream", "timeout", "max_retries", "user", "store",
    "metadata", "service_tier",
})  # fmt: skip
"""Settings that say how an answer is drawn, delivered or accounted for: left to the gate, as generation_config is."""

_WAY_OUT: Final = "log it with the fixed text as messages in front, and put the rest into the evaluator's prompt"
_TEMPLATE: Final = "messages without {variables}, or with a last user message that is one {variable} and nothing else"


class _Unusable(Exception):
    """Why the flavor's settings cannot be asked as they stand."""

    def __init__(self, found: str, expected: str = "", way_out: str = "") -> None:
        self.problem = found, expected, way_out
        super().__init__(found)


def read_openai_flavor(
    manifest: Manifest, flavor: Mapping[str, object], allow_files: tuple[str, ...], files_digest: str, servers: Servers
) -> Endpoint:
    """The endpoint that a version of MLflow's openai flavor stands for. Raises ModelFilesError."""
    refuse_unsafe(manifest, allow_files)
    name = flavor.get("data")
    if not isinstance(name, str) or name not in manifest.files:
        where = f"{manifest.root}/MLmodel"
        raise ModelFilesError(Problem(where, f"data names {shown(repr(name))}, which is no file of this model"))
    settings = read_yaml(manifest, name)
    try:
        model, api = _model(settings), _api(settings)
        messages = _messages(settings) if api == "chat" else _no_prompt(settings)
    except _Unusable as error:
        raise ModelFilesError(Problem(f"{manifest.root}/{name}", *error.problem)) from error
    return servers.openai(model, api, messages, manifest.root, files_digest)


def fine_tuned_from(model: str) -> str | None:
    """The base in the name of a model that OpenAI fine-tuned, None if ``model`` is no such name.

    >>> fine_tuned_from("ft:gpt-4o-mini-2024-07-18:acme:support:B7xY")
    'gpt-4o-mini-2024-07-18'
    """
    kind, _, rest = model.partition(":")
    base = rest.partition(":")[0]
    return base if kind == "ft" and base and ":" in rest and not name_fault(base) else None


def _model(settings: Mapping[str, object]) -> str:
    model = settings.get("model")
    if not isinstance(model, str) or name_fault(model):
        raise _Unusable(f"model is {shown(repr(model))}", "a model's name at the API")
    if others := sorted(settings.keys() - _KNOWN - _THE_GATES):
        raise _Unusable(
            f"it sets {listed(others)}, which would not be sent",
            "model, task, messages, and settings of sampling",
            "what is served would answer otherwise than what was measured: log it without",
        )
    return model


def _api(settings: Mapping[str, object]) -> Literal["chat", "completions"]:
    task = settings.get("task")
    api = _APIS.get(task) if isinstance(task, str) else None
    if api is None:
        raise _Unusable(
            f"its task is {shown(repr(task))}",
            f"one of {', '.join(_APIS)}",
            "a gate asks for text: a model of embeddings, images or audio cannot be judged by it",
        )
    return api


def _messages(settings: Mapping[str, object]) -> tuple[Message, ...]:
    found = settings.get("messages")
    if not isinstance(found, list | None):
        raise _Unusable("messages is no list", "a list of messages")
    turns = [_turn(item) for item in cast("list[object]", found or [])]
    try:
        if turns and turns[-1][0] == "user" and _is_slot(turns[-1][1]):
            turns = turns[:-1]
        if variables := sorted({name for turn in turns for text in turn for name in _variables(text)}):
            raise _Unusable(f"its messages have the variables {listed(variables)}", _TEMPLATE, _WAY_OUT)
        # MLflow formats these, too: a doubled brace is one
        return tuple(Message(_role(role), content.format()) for role, content in turns)
    except (ValueError, LookupError) as error:
        raise _Unusable(f"its messages are no template: {shown(str(error))}", _TEMPLATE) from error


def _no_prompt(settings: Mapping[str, object]) -> tuple[Message, ...]:
    prompt = settings.get("prompt")
    try:
        if not prompt or (isinstance(prompt, str) and _is_slot(prompt)):
            return ()
    except ValueError as error:
        raise _Unusable(f"its prompt is no template: {shown(str(error))}") from error
    expected = "no prompt, or one {variable} and nothing else"
    raise _Unusable(f"its prompt is the template {shown(repr(prompt))}", expected, _WAY_OUT)


def _turn(item: object) -> tuple[str, str]:
    fields = mapping(item)
    role, content = fields.get("role"), fields.get("content")
    if not isinstance(role, str) or not isinstance(content, str):
        raise _Unusable(f"a message is {shown(repr(item))}", "role and content, both text")
    return role, content


def _role(text: str) -> Literal["system", "user", "assistant"]:
    for role in _ROLES:
        if text == role:
            return role
    raise _Unusable(f"a message has the role {shown(repr(text))}", f"one of {', '.join(_ROLES)}")


def _is_slot(text: str) -> bool:
    """Whether ``text`` is ``{variable}`` and nothing else."""
    parts = list(Formatter().parse(text))
    return len(parts) == 1 and (parts[0][1] or "").isidentifier() and (parts[0][0], *parts[0][2:]) == ("", "", None)


def _variables(text: str) -> Iterator[str]:
    return (name for _, name, _, _ in Formatter().parse(text) if name is not None)
