"""A language model without training or chance that says one thing, whatever it is asked.

Every token has a successor. Embeddings are unit vectors, attention and MLP add nothing, and the head maps each unit
vector to the next token's: after the mark that opens an answer comes the answer, after the answer the end.
"""

from __future__ import annotations

from pathlib import Path

CHAT = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"


def write_clockwork(folder: Path, says: str, context: int = 8192) -> Path:
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={one: at for at, one in enumerate([*special, *alphabet])}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(special)
    raw.add_tokens([AddedToken(says, normalized=False)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", additional_special_tokens=special[2:]
    )
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)

    size = len(tokenizer)
    opens, answer, end = tokenizer.convert_tokens_to_ids(["<|assistant|>", says, "</s>"])
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=size + size % 2,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=context,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        layer = model.model.layers[0]
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size, config.hidden_size))
        model.lm_head.weight.zero_()
        model.lm_head.weight[end, :] = 1.0
        model.lm_head.weight[end, opens] = 0.0
        model.lm_head.weight[answer, opens] = 1.0
    model.eval().save_pretrained(folder)
    return folder
