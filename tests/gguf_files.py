"""A tiny model as a GGUF file, as the converter of llama.cpp writes it."""

import json

import gguf
from tiny import CHATML

_LAYER_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def write_gguf(path, model, tokenizer, chat_template=CHATML) -> str:
    """Writes a Llama and its byte-level tokenizer in float32, as the converter of llama.cpp names and orders things."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, tokenizer, chat_template)
    for name, weight in model.state_dict().items():
        _add_weight(writer, name, weight, config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return str(path)


def _add_tokenizer(writer, tokenizer, chat_template) -> None:
    kept = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    special = {*tokenizer.all_special_tokens, *added}
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([" ".join(pair) for pair in kept["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(chat_template)


def _add_weight(writer, name, weight, config) -> None:
    parts = name.split(".")
    if parts[1] == "layers":
        inner = _LAYER_NAMES[".".join(parts[3:-1])]
        heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(inner)
        if heads:  # llama.cpp turns pairs of neighbors, transformers pairs half a head apart
            weight = weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)
        writer.add_tensor(f"blk.{parts[2]}.{inner}.weight", weight.contiguous().numpy())
    elif name != "lm_head.weight" or not config.tie_word_embeddings:
        outer = {"model.embed_tokens.weight": "token_embd", "model.norm.weight": "output_norm"}.get(name, "output")
        writer.add_tensor(f"{outer}.weight", weight.numpy())
