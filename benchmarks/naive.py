"""The loop of the tutorials: one text at a time through transformers, no batches, nothing shared.

Gradients are switched off, which many tutorials forget: with them it takes half as long again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finetune_gate.evaluators.asking import GenerateRequest, Request, ScoreRequest


class Loop:
    """A model and its tokenizer, as AutoModelForCausalLM and AutoTokenizer load them."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
        self.model: Any = AutoModelForCausalLM.from_pretrained(str(folder)).eval()

    def answer(self, requests: Sequence[Request]) -> list[Any]:
        """The log-likelihood of each continuation, or the tokens after each prompt."""
        import torch

        with torch.inference_mode():
            return [
                self._loglikelihood(request) if isinstance(request, ScoreRequest) else self._generate(request)
                for request in requests
            ]

    def _loglikelihood(self, request: ScoreRequest) -> float:
        import torch

        prompt = self.tokenizer(str(request.prompt))["input_ids"] or [self.tokenizer.bos_token_id]
        whole = self.tokenizer(f"{request.prompt}{request.delimiter if request.prompt else ''}{request.continuation}")
        ids = torch.tensor([whole["input_ids"] if request.prompt else prompt + whole["input_ids"]])
        logprobs = self.model(ids).logits[0, :-1].log_softmax(-1)
        return float(logprobs.gather(-1, ids[0, 1:, None])[len(prompt) - 1 :].sum())

    def _generate(self, request: GenerateRequest) -> list[int]:
        inputs = self.tokenizer(str(request.prompt), return_tensors="pt")
        written = self.model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=request.max_new_tokens,
            do_sample=False,
            pad_token_id=self.tokenizer.eos_token_id,
        )
        return written[0, inputs["input_ids"].shape[1] :].tolist()
