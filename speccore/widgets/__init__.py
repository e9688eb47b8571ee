"""Widgets of Parts III and IV; the mechanism, ``panel``, is that of ``rlcore.widgets``."""

from speccore.widgets.decoding import next_token
from speccore.widgets.drafters import who_guessed
from speccore.widgets.floating_point import bit_explorer
from speccore.widgets.heads import accuracy_by_distance, what_flows_where
from speccore.widgets.medusa import medusa_steps
from speccore.widgets.memory_overlap import memory_overlap
from speccore.widgets.mixed_precision import loss_scale
from speccore.widgets.modules import dropout_switch
from speccore.widgets.race import race
from speccore.widgets.speculative import (
    acceptance,
    draft_value,
)
from speccore.widgets.trees import tree_builder

__all__ = [
    "acceptance",
    "accuracy_by_distance",
    "bit_explorer",
    "draft_value",
    "dropout_switch",
    "loss_scale",
    "medusa_steps",
    "memory_overlap",
    "next_token",
    "race",
    "tree_builder",
    "what_flows_where",
    "who_guessed",
]
