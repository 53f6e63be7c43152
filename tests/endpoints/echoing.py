"""A completions server that scores what it is sent, with a real (tiny) model, as vLLM would."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from aiohttp import web
from fault_server import Body


class Echoing:
    """``server.answer = Echoing(folder)``. ``leading``: with BOS in front; ``offsets``: with text_offset, counted as
    vLLM counts them, from what single tokens decode to."""

    def __init__(self, folder: Path, leading: bool = True) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.model = AutoModelForCausalLM.from_pretrained(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.leading = leading
        self._lock = Lock()

    async def __call__(self, request: web.Request, body: Body) -> web.StreamResponse:
        import torch

        text = str(body["prompt"])
        ids = self.tokenizer(text, add_special_tokens=False).input_ids
        ids = [self.tokenizer.bos_token_id, *ids] if self.leading else ids
        with self._lock, torch.inference_mode():
            table = self.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        written = int(table[-1].argmax())
        values = [None, *(float(table[at, token]) for at, token in enumerate(ids[1:])), float(table[-1, written])]
        tokens = [self.tokenizer.decode([token]) for token in [*ids, written]]
        offsets = [sum(map(len, tokens[:at])) for at in range(len(tokens))]
        logprobs = {"tokens": tokens, "token_logprobs": values, "text_offset": offsets, "top_logprobs": None}
        return web.json_response(
            {
                "choices": [{"index": 0, "text": text + tokens[-1], "finish_reason": "length", "logprobs": logprobs}],
                "usage": {"prompt_tokens": len(ids), "completion_tokens": 1},
            }
        )
