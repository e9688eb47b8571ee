"""Our models as Llamas of Transformers, which are the truth about logits and the rival in speed."""

import transformers

from speccore.models.llama import llama_name


def as_llama(model):
    """A Llama with the weights of a ``Transformer``."""
    config = model.config
    llama = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.width,
            intermediate_size=config.hidden,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            max_position_embeddings=config.context,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            rms_norm_eps=config.norm_eps,
            tie_word_embeddings=config.tied,
            bos_token_id=None,
            eos_token_id=0,
            pad_token_id=0,
        )
    ).eval()
    state = {llama_name(name): each for name, each in model.state_dict().items()}
    missing, unexpected = llama.load_state_dict(state, strict=False)
    assert not unexpected
    assert set(missing) <= ({"lm_head.weight"} if config.tied else set())
    return llama
