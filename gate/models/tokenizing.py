"""From requests to token ids: prompts, chat templates, BOS, and the seam between prompt and continuation.

    renderer = Renderer(tokenizer)
    renderer.scored([ScoreRequest("The capital of France is", " Paris")])  # [Scored((1, 450, 7483, ...), (3681,))]
    renderer.prompts([GenerateRequest("Once upon")])                       # [Prompted((1, 9038, 2501))]

BOS stands in front exactly once where the tokenizer puts it there by itself, and never in front of a rendered chat
template, which has its own. A document's first token is scored after BOS, else EOS, whether or not the tokenizer adds
BOS by itself, so that both kinds of tokenizer give the same quantity.

Prompt and continuation of plain text are encoded together, and the prompt's trailing whitespace goes to the
continuation (EleutherAI/lm-evaluation-harness scores so; values can be compared). Where the whole does not begin with
the prompt's own tokens, both are encoded apart. After a chat template nothing moves: the model answers after just the
tokens that the template ends with.

Chat templates come with the model and are untrusted: they run in transformers' Jinja sandbox, what they raise makes
the request Failed, and the date they may ask for is always 26 July 2024, so that prompts are the same every day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import RLock

from finetune_gate.evaluators.asking import Failed, GenerateRequest, Message, Prompt, Request, ScoreRequest

from .foreign import Tokenizer
from .manifest import shown
from .seams import cuts_at_spaces

MAX_RENDERED = 10_000_000
MAX_REMEMBERED = 1 << 20
"""Token ids kept between addressing and asking; some 40 MiB."""
_TEXTS_AT_A_TIME = 1024

_FIXED_DATE = "{%- macro strftime_now(format) -%}{{ format" + "".join(
    f" | replace('%{code}', '{text}')"
    for code, text in (
        ("d", "26"), ("-d", "26"), ("e", "26"), ("b", "Jul"), ("B", "July"), ("m", "07"), ("-m", "7"),
        ("Y", "2024"), ("y", "24"), ("A", "Friday"), ("a", "Fri"), ("H", "12"), ("I", "12"), ("M", "00"),
        ("S", "00"), ("p", "PM"), ("j", "208"), ("F", "2024-07-26"), ("T", "12:00:00"),
    )
) + " }}{%- endmacro -%}"  # fmt: skip

_NO_START = "the tokenizer has neither BOS nor EOS, and something must stand before the first token to score it"


@dataclass(frozen=True, slots=True)
class Scored:
    """``targets`` are scored, each after ``context`` and the targets before it. ``context`` holds at least one token
    unless there is nothing to score. A ``document`` may be longer than the model's context."""

    context: tuple[int, ...]
    targets: tuple[int, ...]
    document: bool = False


@dataclass(frozen=True, slots=True)
class Prompted:
    """A prompt to go on from, of at least one token. ``rendered``: by a chat template, so an answer ends its turn."""

    ids: tuple[int, ...]
    rendered: bool = False


@dataclass(frozen=True, slots=True)
class _Text:
    """A prompt as text. ``rendered`` by a chat template: it has its special tokens, and ends where answers start."""

    text: str
    rendered: bool


class Renderer:
    """Turns requests into token ids for one tokenizer. Holds no state but what the tokenizer does by itself."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.has_template = bool(tokenizer.chat_template)
        self._own_prefix = self._what_it_adds()
        self._cuts_at_spaces = cuts_at_spaces(tokenizer)
        bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        self.start = bos if bos is not None else eos

    @property
    def adds_bos(self) -> bool:
        """Whether the tokenizer puts BOS in front of every text by itself."""
        return bool(self._own_prefix)

    def scored(self, requests: Sequence[ScoreRequest]) -> list[Scored | Failed]:
        """One result for each request, in order. Failed where a template or the tokenizer does not allow it."""
        prompts = [self._text(request.prompt) for request in requests]
        pieces = [
            _pieces(prompt, request) if isinstance(prompt, _Text) else None
            for prompt, request in zip(prompts, requests, strict=True)
        ]
        ids = self._encode(text for piece in pieces if piece for text in self._texts(*piece))
        results: list[Scored | Failed] = []
        for prompt, piece, request in zip(prompts, pieces, requests, strict=True):
            if isinstance(prompt, Failed):
                results.append(prompt)
            elif not request.continuation or piece is None:
                results.append(Scored((), (), document=not prompt.text))
            else:
                context, continuation = piece
                apart = ids[continuation]
                whole = ids[context] + apart if self._cut(context, continuation) else ids[context + continuation]
                results.append(self._join(prompt, ids[context], apart, whole))
        return results

    def prompts(self, requests: Sequence[GenerateRequest]) -> list[Prompted | Failed]:
        """Token ids of each prompt, in order."""
        texts = [self._text(request.prompt) for request in requests]
        ids = self._encode(text.text for text in texts if isinstance(text, _Text))
        results: list[Prompted | Failed] = []
        for text in texts:
            if isinstance(text, Failed):
                results.append(text)
                continue
            found = ids[text.text] if text.rendered else self._with_prefix(ids[text.text])
            if not found and self.start is not None:
                found = (self.start,)
            results.append(Prompted(found, text.rendered) if found else Failed("the prompt is empty, and " + _NO_START))
        return results

    def turn_end(self) -> int | None:
        """The special token that ends an answer in the chat template, where there is one: not every model names it
        as its EOS."""
        probe = "Answer"
        turn = self._text((Message("user", "Question"), Message("assistant", probe)))
        if isinstance(turn, Failed) or not turn.rendered or probe not in turn.text:
            return None
        behind = self._ids([turn.text.rpartition(probe)[2]], add_special_tokens=False)[0]
        return behind[0] if behind and behind[0] in set(self._tokenizer.all_special_ids) else None

    def _cut(self, context: str, continuation: str) -> bool:
        """Whether a token surely begins where the continuation does."""
        if not self._cuts_at_spaces or not context or context[-1].isspace():
            return False
        return continuation[:1] == " " and len(continuation) > 1 and not continuation[1].isspace()

    def _texts(self, context: str, continuation: str) -> tuple[str, ...]:
        """What must be encoded for a prompt and its continuation."""
        whole = () if self._cut(context, continuation) else (context + continuation,)
        return (context, continuation, *whole)

    def _join(
        self, prompt: _Text, context: tuple[int, ...], apart: tuple[int, ...], whole: tuple[int, ...]
    ) -> Scored | Failed:
        together = whole[len(context) :] if whole[: len(context)] == context else ()
        targets = together or apart
        if not targets:
            return Failed("the tokenizer encodes the continuation to no tokens")
        if not prompt.text or not context:
            # a document, or a prompt of whitespace only, all of which went to the continuation
            if self.start is None:
                return Failed(_NO_START)
            if targets[0] == self.start:
                targets = targets[1:]
            return Scored((self.start,), targets, document=not prompt.text)
        return Scored(context if prompt.rendered else self._with_prefix(context), targets)

    def _text(self, prompt: Prompt) -> _Text | Failed:
        if isinstance(prompt, str):
            return _Text(prompt, rendered=False)
        if not self.has_template or not prompt:
            return _Text("\n\n".join(message.content for message in prompt), rendered=False)
        return self._render(prompt)

    def _render(self, messages: tuple[Message, ...]) -> _Text | Failed:
        try:
            text = self._tokenizer.apply_chat_template(
                [{"role": message.role, "content": message.content} for message in messages],
                chat_template=_FIXED_DATE + self._tokenizer.get_chat_template(),
                tokenize=False,
                add_generation_prompt=True,
            )
        except Exception as error:  # noqa: BLE001 -- the border to templates, which are untrusted and may raise anything
            return Failed(f"the chat template cannot render it: {type(error).__name__}: {shown(str(error))}")
        if len(text) > MAX_RENDERED:
            return Failed(f"the chat template rendered {len(text):,} characters")
        return _Text(text, rendered=True)

    def _with_prefix(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        prefix = self._own_prefix
        return ids if ids[: len(prefix)] == prefix else prefix + ids

    def _encode(self, texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """Token ids without special tokens of each different text; in one call per thousand, which uses all cores."""
        different = list(dict.fromkeys(texts))
        ids: dict[str, tuple[int, ...]] = {}
        for at in range(0, len(different), _TEXTS_AT_A_TIME):
            some = different[at : at + _TEXTS_AT_A_TIME]
            ids.update(zip(some, map(tuple, self._ids(some, add_special_tokens=False)), strict=True))
        return ids

    def _ids(self, texts: list[str], add_special_tokens: bool) -> list[list[int]]:
        return self._tokenizer(
            texts,
            add_special_tokens=add_special_tokens,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]

    def _what_it_adds(self) -> tuple[int, ...]:
        """Ids in front of every text that the tokenizer encodes. What it adds behind (EOS) is never wanted here."""
        bare, full = self._ids(["a"], add_special_tokens=False)[0], self._ids(["a"], add_special_tokens=True)[0]
        for at in range(len(full) - len(bare) + 1):
            if full[at : at + len(bare)] == bare:
                return tuple(full[:at])
        return ()


class Remembering:
    """A renderer that keeps what it rendered until it is taken: requests are addressed first and asked later, and
    encoding them is a good part of the work where models are small. Beyond MAX_REMEMBERED they are rendered again."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._kept: dict[Request, Scored | Prompted | Failed] = {}
        self._room = MAX_REMEMBERED
        self._lock = RLock()

    def look(self, requests: Sequence[Request]) -> list[Scored | Prompted | Failed]:
        """One result for each request, in order; kept for later."""
        with self._lock:
            return self._found(requests, keep=True)

    def take_scored(self, requests: Sequence[ScoreRequest]) -> list[Scored | Failed]:
        """The same for requests that are asked now, and forgotten."""
        return [one for one in self._take(requests) if not isinstance(one, Prompted)]

    def take_prompts(self, requests: Sequence[GenerateRequest]) -> list[Prompted | Failed]:
        return [one for one in self._take(requests) if not isinstance(one, Scored)]

    def forget(self) -> None:
        with self._lock:
            self._kept.clear()
            self._room = MAX_REMEMBERED

    def _take(self, requests: Sequence[Request]) -> list[Scored | Prompted | Failed]:
        with self._lock:
            results = self._found(requests, keep=False)
            for request in requests:
                gone = self._kept.pop(request, None)
                self._room += _size(gone) if gone is not None else 0
            return results

    def _found(self, requests: Sequence[Request], keep: bool) -> list[Scored | Prompted | Failed]:
        new = [request for request in dict.fromkeys(requests) if request not in self._kept]
        scores = [request for request in new if isinstance(request, ScoreRequest)]
        others = [request for request in new if isinstance(request, GenerateRequest)]
        fresh: dict[Request, Scored | Prompted | Failed] = dict(
            zip((*scores, *others), (*self._renderer.scored(scores), *self._renderer.prompts(others)), strict=True)
        )
        results = [fresh[request] if request in fresh else self._kept[request] for request in requests]
        for request, result in fresh.items() if keep else ():
            if (size := _size(result)) <= self._room:
                self._kept[request] = result
                self._room -= size
        return results


def _size(result: Scored | Prompted | Failed) -> int:
    match result:
        case Scored():
            return len(result.context) + len(result.targets)
        case Prompted():
            return len(result.ids)
        case Failed():
            return len(result.reason)


def _pieces(prompt: _Text, request: ScoreRequest) -> tuple[str, str]:
    """Context and continuation as they are encoded. A document has no context, and no delimiter."""
    if prompt.rendered or not prompt.text:
        return prompt.text, request.continuation
    context = prompt.text + request.delimiter
    kept = context.rstrip()
    return kept, context[len(kept) :] + request.continuation
