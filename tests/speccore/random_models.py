"""Models and heads of random weights, in FP64, so that equal means equal."""

import itertools

import numpy as np
import torch

from speccore.models.heads import BlockwiseHeads, EagleHead, MedusaHeads, MTPHeads, MTPModules
from speccore.models.transformer import Transformer, TransformerConfig

# A kind of heads → what makes them for a trunk's sizes, three where there can be several.
HEADS = {
    "Medusa": lambda config: MedusaHeads(config, 3),
    "Medusa, own output": lambda config: MedusaHeads(config, 3, own_output=True),
    "blockwise": lambda config: BlockwiseHeads(config, 3),
    "MTP heads": lambda config: MTPHeads(config, 3),
    "MTP modules": lambda config: MTPModules(config, 3),
    "EAGLE": EagleHead,
    "EAGLE, tokens only": lambda config: EagleHead(config, reads_features=False),
}


def random_model(seed, vocab_size=3, layers=2, context=48, width=8, **more):
    """A model whose laws are far from uniform."""
    config = TransformerConfig(
        vocab_size=vocab_size,
        layers=layers,
        width=width,
        heads=2,
        kv_heads=1,
        hidden=12,
        context=context,
        **more,
    )
    model = Transformer(config, seed=seed).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=weight.dtype) * 0.7)
    return model


def with_noise(heads):
    """Random weights, so that the guesses are not all those of the trunk."""
    heads = heads.double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in heads.parameters():
            weight += 0.5 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    return heads


def true_law(model, size, prompt, length, sampling):
    """The joint law of the next tokens by the chain rule, with a whole pass for each prefix.

    Args:
        model: from (1, T) token ids to (1, T, V) logits.
        size: V.
        prompt, length, sampling: what is continued, by how many tokens, and how they are drawn.
    """
    law = np.ones(())
    for depth in range(length):
        rows = []
        for prefix in itertools.product(range(size), repeat=depth):
            with torch.no_grad():
                logits = model(torch.tensor([[*prompt, *prefix]]))[0, -1]
            rows.append(sampling.law(logits.numpy()))
        law = law[..., None] * np.reshape(rows, (size,) * (depth + 1))
    return law
