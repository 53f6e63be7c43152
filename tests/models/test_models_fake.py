"""The double that everyone may use keeps the contract, and counts."""

from __future__ import annotations

from finetune_gate.evaluators.asking import Failed, GenerateRequest, Generation, ScoreRequest, TokenLogprobs
from finetune_gate.gate.models import FakeModel, Model


def ask(model: Model, requests):
    answers = {}
    method = model.score if isinstance(requests[0], ScoreRequest) else model.generate
    method(requests, answers.__setitem__)
    return [answers[at] for at in range(len(requests))]


def test_scripts_by_prompt_by_request_and_by_rule():
    model: Model = FakeModel({"2 + 2 =": "4", GenerateRequest("2 + 2 =", seed=1): Generation("5", "length", 9)})
    assert ask(model, [GenerateRequest("2 + 2 ="), GenerateRequest("2 + 2 =", seed=1), GenerateRequest("?")]) == [
        Generation("4", "stop", 1),
        Generation("5", "length", 9),
        Failed("the script has no answer to this request"),
    ]
    scores = FakeModel(lambda request: [-1.0, -2] if request.prompt else -0.5)
    assert ask(scores, [ScoreRequest("a", "b"), ScoreRequest("", "b")]) == [
        TokenLogprobs((-1.0, -2.0)),
        TokenLogprobs((-0.5,)),
    ]
    assert scores.calls == 1
    assert scores.asked == [ScoreRequest("a", "b"), ScoreRequest("", "b")]


def test_abilities_digests_and_addresses():
    model = FakeModel(lambda _: "yes", abilities=["generates"], digest="a")
    (answer,) = ask(model, [ScoreRequest("a", "b")])
    assert isinstance(answer, Failed)
    assert "scores_tokens" in answer.reason
    same, other = FakeModel({}, digest="a"), FakeModel({}, digest="b")
    requests = [ScoreRequest("a", "b"), ScoreRequest("a", "c"), GenerateRequest("a")]
    assert model.addresses(requests) == same.addresses(requests)
    assert len({*model.addresses(requests), *other.addresses(requests)}) == 6
    model.release()
    assert model.released == 1
