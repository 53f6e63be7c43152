"""Perplexity of instruction and chat data: what is asked, what is counted, and that documents are as they were."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from finetune_gate.evaluators.absent import Unmeasured
from finetune_gate.evaluators.asking import Answer, Failed, Generation, Message, Request, ScoreRequest, TokenLogprobs
from finetune_gate.evaluators.datasets import Dataset
from finetune_gate.evaluators.perplexity import Perplexity
from finetune_gate.evaluators.statistics import Estimate
from finetune_gate.evaluators.testing import check_contract, made_answer, made_dataset, measured_by

TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "It hums."},
    {"role": "assistant", "content": "Since when?"},
    {"role": "user", "content": "Since noon."},
    {"role": "assistant", "content": "Unplug it, please."},
]


def chats(*conversations: object) -> dict[str, Dataset]:
    return {"chats": made_dataset("chats", [{"messages": one} for one in conversations])}  # pyright: ignore[reportArgumentType] - some are wrong on purpose


def evaluator(**settings: Any) -> Perplexity:
    return Perplexity.model_validate({"data": "chats", "messages": "messages", **settings})


def talk(number: int) -> list[Mapping[str, str]]:
    return [
        {"role": "user", "content": f"question {number}"},
        {"role": "assistant", "content": f"answer {number} to that"},
    ]


def scored(chosen: Perplexity, data: Mapping[str, Dataset], per_word: float = 1.0) -> Mapping[str, Sequence[object]]:
    """Every word of a continuation is one token that costs ``per_word`` nats."""

    def answer(request: Request) -> Answer:
        assert isinstance(request, ScoreRequest)
        return TokenLogprobs((-per_word,) * len(request.continuation.split()))

    return chosen.score(data, {request: answer(request) for request in chosen.requests(data)})


def messages(count: int) -> tuple[Message, ...]:
    return tuple(Message(turn["role"], turn["content"]) for turn in TURNS[:count])  # pyright: ignore[reportArgumentType] - the roles are right


def test_every_turn_of_the_assistant_is_scored_given_what_came_before() -> None:
    assert evaluator().requests(chats(TURNS)) == [
        ScoreRequest(messages(2), "Since when?", "\n\n"),
        ScoreRequest(messages(4), "Unplug it, please.", "\n\n"),
    ]


def test_without_chat_templates_the_turns_are_joined_by_blank_lines() -> None:
    first, _ = evaluator(chat="never").requests(chats(TURNS))
    assert first == ScoreRequest("Be brief.\n\nIt hums.", "Since when?", "\n\n")
    other, _ = evaluator(chat="never", delimiter="\nBot: ").requests(chats(TURNS))
    assert isinstance(other, ScoreRequest)
    assert other.delimiter == "\nBot: "


def test_only_the_assistants_words_are_counted() -> None:
    found = scored(evaluator(), chats(TURNS))
    assert found["nll"] == [5.0]
    assert found["tokens"] == [5.0]
    assert found["words"] == [5.0]
    assert found["bytes"] == [float(len("Since when?") + len("Unplug it, please."))]


def test_the_whole_conversation_is_measured_beside_it_where_asked_for() -> None:
    whole = evaluator(whole=True)
    data = chats(TURNS, *map(talk, range(30)))
    document = "Be brief.\n\nIt hums.\n\nSince when?\n\nSince noon.\n\nUnplug it, please."
    assert ScoreRequest("", document) in whole.requests(data)
    found = scored(whole, data)
    assert found["whole_words"][0] == 11.0
    assert found["words"][0] == 5.0
    measured = measured_by(whole, data, {"candidate": made_answer, "base": made_answer})
    assert [name for name in measured if name.startswith("whole_")] == [
        "whole_perplexity", "whole_bits_per_byte", "whole_byte_perplexity", "whole_word_perplexity",
    ]  # fmt: skip
    assert isinstance(measured["whole_perplexity"].candidate, Estimate)
    check_contract(whole, data)
    assert not any(name.startswith("whole_") for name in scored(evaluator(), data))


def test_turns_before_a_user_speaks_are_context_and_empty_ones_are_nothing() -> None:
    greeting = [{"role": "assistant", "content": "Hello!"}, *TURNS[1:]]
    requests = evaluator().requests(chats(greeting))
    assert [request.continuation for request in requests if isinstance(request, ScoreRequest)] == [
        "Since when?", "Unplug it, please.",
    ]  # fmt: skip
    silent = [*TURNS[:2], {"role": "assistant", "content": ""}]
    assert evaluator().requests(chats(silent)) == []
    found = scored(evaluator(), chats(silent, TURNS))
    assert found["tokens"] == [0.0, 5.0]


def test_one_failed_turn_fails_its_conversation() -> None:
    data = chats(TURNS)
    first, second = evaluator().requests(data)
    found = evaluator().score(data, {first: TokenLogprobs((-1.0,)), second: Failed("context too short")})
    assert found["nll"] == [Unmeasured("context too short")]
    odd = evaluator().score(data, {first: TokenLogprobs((-1.0,)), second: Generation("hm", "stop", 1)})
    assert odd["nll"] == [Unmeasured("the model gave no log-probabilities")]


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "hello",
        ["hello"],
        [{"role": "user"}],
        [{"role": "tool", "content": "42"}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
    ],
)
def test_what_is_no_conversation_is_a_fault_of_the_data(wrong: object) -> None:
    data = chats(TURNS, wrong)
    (problem,) = evaluator().check(data)
    assert "example '1'" in problem.where
    assert "role" in problem.expected
    assert scored(evaluator(), data)["tokens"] == [5.0, 0.0], "and is survived all the same"


def test_many_faults_are_counted_and_none_to_score_is_one() -> None:
    assert len(evaluator().check(chats(*["no"] * 9))) == 6
    (problem,) = evaluator().check(chats(TURNS[:2], []))
    assert "turn of the assistant" in problem.found
    (missing,) = evaluator(messages="turns").check(chats(TURNS))
    assert missing.found == "no column 'turns'"
    assert evaluator().check(chats(TURNS)) == []


def qa(*rows: tuple[str, str]) -> dict[str, Dataset]:
    return {"qa": made_dataset("qa", [{"question": question, "reply": reply} for question, reply in rows])}


def asking(**settings: Any) -> Perplexity:
    return Perplexity.model_validate({"data": "qa", "prompt": "Q: {question}\nA:", "answer": "reply", **settings})


def test_of_instruction_data_the_answer_is_scored_given_the_prompt() -> None:
    data = qa(("why?", "because it is"))
    (request,) = asking(system="Be brief.").requests(data)
    prompt = (Message("system", "Be brief."), Message("user", "Q: why?\nA:"))
    assert request == ScoreRequest(prompt, "because it is", " ")
    (plain,) = asking(chat="never", delimiter="").requests(data)
    assert plain == ScoreRequest("Q: why?\nA:", "because it is", "")
    _, whole = asking(whole=True).requests(data)
    assert whole == ScoreRequest("", "Q: why?\nA: because it is")
    assert scored(asking(), data)["words"] == [3.0]


def test_instruction_data_with_faults() -> None:
    assert asking().check(qa(("why?", "because"))) == []
    (empty,) = asking().check(qa(("why?", "")))
    assert empty.found == "every 'reply' is empty"
    found = [problem.found for problem in asking(prompt="{topic}", answer="answer").check(qa(("why?", "because")))]
    assert "slot {topic}" in found
    assert "no column 'answer'" in found


@pytest.mark.parametrize("chosen", [evaluator(), evaluator(whole=True), asking(), asking(whole=True, chat="never")])
def test_every_form_keeps_the_contract(chosen: Perplexity) -> None:
    data = {
        **chats(*map(talk, range(30))),
        **qa(*((f"why {at}?", f"because of reason {at}") for at in range(30))),
    }
    check_contract(chosen, data)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"prompt": "{q}"}, "go together"),
        ({"answer": "a"}, "go together"),
        ({"messages": "m", "prompt": "{q}", "answer": "a"}, "not both"),
        ({"messages": "m", "text": "t"}, "leave it out"),
        ({"messages": "m", "system": "Be brief."}, "of their own"),
        ({"whole": True}, "a document is scored whole"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Perplexity.model_validate({"data": "d", **settings})


def test_documents_are_asked_for_and_scored_as_ever() -> None:
    documents = {"d": made_dataset("d", [{"text": "größer als zwei"}, {"text": ""}, {"text": None}])}
    plain = Perplexity(data="d")
    first, second, third = plain.requests(documents)
    assert (first, second, third) == (ScoreRequest("", "größer als zwei"), ScoreRequest("", ""), ScoreRequest("", ""))
    logprobs = (-0.1, -0.2, -0.7, -1e-17)
    found = plain.score(documents, {first: TokenLogprobs(logprobs), second: TokenLogprobs(())})
    nll = -math.fsum(logprobs)
    assert found == {
        "nll": [nll, 0.0, 0.0],
        "bits": [nll / math.log(2), 0.0, 0.0],
        "tokens": [4.0, 0.0, 0.0],
        "bytes": [17.0, 0.0, 0.0],
        "words": [3.0, 0.0, 0.0],
    }
    assert [metric.name for metric in plain.metrics()] == [
        "perplexity", "bits_per_byte", "byte_perplexity", "word_perplexity",
    ]  # fmt: skip
