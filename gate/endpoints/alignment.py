"""Which tokens of a server's echo lie where in the text that was sent."""

from __future__ import annotations

from collections.abc import Sequence

_MOST_LEADING = 4
_UNDECODABLE = "\ufffd"
_BYTES = "bytes:"

Spans = list[tuple[int, int]]


def spans(tokens: Sequence[str], text: str) -> tuple[int, Spans] | None:
    """``spans(["<s>", "The", " cat", "!"], "The cat")`` is ``(1, [(0, 3), (3, 7)])``: how many tokens stand in front
    of the text (BOS and the like), then each token's characters, up to the end of the text. None where the tokens do
    not spell the text: then the server has not echoed it, and its numbers mean something else.

    Servers' own ``text_offset`` is not used: it counts what single tokens decode to, which is not what they stand for
    in the text where a character is split over several tokens (shown as U+FFFD, or as ``bytes:...``) or where a space
    in front is lost. So tokens are matched with the text itself: split characters are skipped until the next token that
    matches, and whitespace in front of a token belongs to it. Where the tokens of a run of split characters cannot be
    told apart, each gets the place of the whole run. Linear in the length of both.
    """
    for leading in range(min(_MOST_LEADING, len(tokens)) + 1):
        if (found := _walk(tokens[leading:], text)) is not None:
            return leading, found
    return None


def _walk(tokens: Sequence[str], text: str) -> Spans | None:
    found: Spans = []
    at = blurred = silent = 0
    allowed: set[str] = set()
    for token in tokens:
        if at == len(text) and not blurred:
            break
        if not token:  # the bytes of a character that a later token completes
            silent += 1
            continue
        if (_UNDECODABLE in token or token.startswith(_BYTES)) and not text.startswith(token, at):
            blurred += 1
            allowed |= set(token)
            continue
        begin = text.find(token, at, at + len(token) + _window(blurred))
        gap = text[at:begin]
        if begin < 0 or not (_whole(gap, allowed) if blurred else gap.isspace() or not gap):
            return None
        end = begin + len(token)
        found += _split(text, at, begin, blurred) + [(begin if blurred else at, end)] * (silent + 1)
        at, blurred, silent = end, 0, 0
        allowed.clear()
    rest = text[at:]
    if blurred and len(rest) <= _window(blurred) and _whole(rest, allowed):
        return found + _split(text, at, len(text), blurred)
    return None if rest else found


def _split(text: str, begin: int, end: int, tokens: int) -> Spans:
    """Places of a run of tokens that split characters: exact where each is one byte, else the whole run for each."""
    places = [(at, at + 1) for at in range(begin, end) for _ in range(len(text[at].encode("utf-8", "surrogatepass")))]
    return places if len(places) == tokens else [(begin, end)] * tokens


def _window(blurred: int) -> int:
    """Characters that may be skipped: every token holds a byte at least, and may bring a few plain ones along."""
    return 4 * (blurred + 1)


def _whole(gap: str, allowed: set[str]) -> bool:
    """Whether split characters can be all there is in ``gap``, beside what their own tokens show."""
    return bool(gap) and all(char > "\x7f" or char.isspace() or char in allowed for char in gap)
