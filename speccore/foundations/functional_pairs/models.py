"""Two small networks, each written twice: with modules, and with functions and a dictionary.

The dictionary has the keys of the module's ``state_dict``, so that either can take over the
weights of the other at any time.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = Mapping[str, Tensor]


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers under their names in the ``state_dict``.

    Returns:
        Parameters as leaves that gather gradients, buffers as plain tensors; no module is left.
    """
    parameters = {n: p.detach().clone().requires_grad_() for n, p in module.named_parameters()}
    return parameters | {name: buffer.clone() for name, buffer in module.named_buffers()}


# -- a convolutional classifier --------------------------------------------------------------------


class ConvClassifier(nn.Module):
    """Images (B, 1, H, W) → logits (B, classes): two convolutions, pooling, a linear head."""

    def __init__(self, classes: int = 4, channels: int = 8, dropout: float = 0.3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, 2 * channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(2 * channels)
        self.relu = nn.ReLU()  # one is enough: it keeps nothing
        self.pool = nn.MaxPool2d(2)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes)."""
        x = self.pool(self.relu(self.norm1(self.conv1(x))))  # (B, C, H/2, W/2)
        x = self.mean(self.relu(self.norm2(self.conv2(x))))  # (B, 2C, 1, 1)
        logits: Tensor = self.head(self.dropout(self.flatten(x)))
        return logits


def conv_classifier(state: State, x: Tensor, *, training: bool, dropout: float = 0.3) -> Tensor:
    """What ``ConvClassifier`` computes, as a function of its state.

    Args:
        state: parameters and buffers; in training, the running statistics in it are updated.
        x: (B, 1, H, W).
        training: what ``train()`` and ``eval()`` set.
        dropout: probability of a zero.

    Returns:
        (B, classes) logits.
    """

    def norm(x: Tensor, name: str) -> Tensor:
        if training:
            state[f"{name}.num_batches_tracked"].add_(1)  # the module counts, the function does not
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return F.batch_norm(x, mean, var, weight, bias, training=training)

    x = F.conv2d(x, state["conv1.weight"], state["conv1.bias"], padding=1)
    x = F.max_pool2d(F.relu(norm(x, "norm1")), 2)  # (B, C, H/2, W/2)
    x = F.conv2d(x, state["conv2.weight"], state["conv2.bias"], padding=1)
    x = F.adaptive_avg_pool2d(F.relu(norm(x, "norm2")), 1)  # (B, 2C, 1, 1)
    x = F.dropout(x.flatten(1), dropout, training=training)
    return F.linear(x, state["head.weight"], state["head.bias"])


# -- a transformer with one block ------------------------------------------------------------------


class TransformerBlock(nn.Module):
    """Token ids (B, T) → logits (B, T, vocabulary): embedding, one pre-norm block, head.

    Causal: position t sees the positions 0 … t. There are no positional embeddings.
    """

    def __init__(
        self, vocabulary: int = 16, width: int = 12, heads: int = 3, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.gelu = nn.GELU()
        self.down = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (B, T, vocabulary)."""
        hidden = ~torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()  # True: masked
        x = self.embedding(ids)  # (B, T, width)
        y = self.norm1(x)
        y, _ = self.attention(y, y, y, attn_mask=hidden, need_weights=False)
        x = x + self.dropout(y)
        x = x + self.dropout(self.down(self.gelu(self.up(self.norm2(x)))))
        logits: Tensor = self.head(x)
        return logits


def transformer_block(
    state: State, ids: Tensor, *, training: bool, heads: int = 3, dropout: float = 0.1
) -> Tensor:
    """What ``TransformerBlock`` computes, as a function of its state.

    Args:
        state: parameters; nothing in it is changed.
        ids: (B, T) token ids.
        training: what ``train()`` and ``eval()`` set.
        heads: number of attention heads.
        dropout: probability of a zero, of attention weights too.

    Returns:
        (B, T, vocabulary) logits.
    """

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])

    def drop(x: Tensor) -> Tensor:
        return F.dropout(x, dropout, training=training)

    x = F.embedding(ids, state["embedding.weight"])  # (B, T, width)
    # Time first, as inside nn.MultiheadAttention: dropout draws its mask in the order of memory.
    y = norm(x, "norm1").transpose(0, 1)  # (T, B, width)
    y = F.linear(y, state["attention.in_proj_weight"], state["attention.in_proj_bias"])
    query, key, value = (
        torch.unflatten(part, -1, (heads, -1)).permute(1, 2, 0, 3)  # (B, heads, T, width / heads)
        for part in y.chunk(3, dim=-1)
    )
    visible = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()  # True: looked at
    y = F.scaled_dot_product_attention(
        query, key, value, attn_mask=visible, dropout_p=dropout if training else 0.0
    )
    y = linear(y.permute(2, 0, 1, 3).flatten(2), "attention.out_proj")  # (T, B, width)
    x = x + drop(y.transpose(0, 1))
    x = x + drop(linear(F.gelu(linear(norm(x, "norm2"), "up")), "down"))
    return linear(x, "head")
