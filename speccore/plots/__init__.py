"""Figures of Parts III and IV, one function a figure, in the style of ``rlcore.plots``."""

from speccore.plots.decoding import (
    cost_curves,
    next_token_law,
    roofline,
)
from speccore.plots.drafters import (
    acceptance_and_cost,
    break_even,
    draft_trade_off,
    guessed_text,
    iterations,
    spread_by_group,
)
from speccore.plots.floating_point import (
    BitRow,
    Range,
    bit_patterns,
    log_curves,
    magnitude_histogram,
    number_lines,
    ranges,
)
from speccore.plots.heads import (
    by_count,
    calibration,
    candidates,
    given_up,
    guess_inputs,
    text_table,
)
from speccore.plots.medusa import (
    acceptance_trade_off,
    judged_tree,
    pair_law,
    tree_budget,
    typical_threshold,
)
from speccore.plots.memory_overlap import (
    memory_map,
    storage_bytes,
)
from speccore.plots.mixed_precision import (
    bars_with_spread,
    flushed_shares,
    gradient_histogram,
    scale_trace,
    stacked_bars,
    training_curves,
    update_histogram,
)
from speccore.plots.modules import (
    call_overhead,
    histogram,
    side_by_side,
    stacked_counts,
)
from speccore.plots.race import (
    clouds,
    progress_bars,
    race_map,
    written_tokens,
)
from speccore.plots.speculative import (
    acceptance_histogram,
    distances,
    overlap,
    speedup_map,
)
from speccore.plots.trees import (
    acceptance_curves,
    budget_curves,
    byte_labels,
    token_tree,
    tree_mask,
)

__all__ = [
    "BitRow",
    "Range",
    "acceptance_and_cost",
    "acceptance_curves",
    "acceptance_histogram",
    "acceptance_trade_off",
    "bars_with_spread",
    "bit_patterns",
    "break_even",
    "budget_curves",
    "by_count",
    "byte_labels",
    "calibration",
    "call_overhead",
    "candidates",
    "clouds",
    "cost_curves",
    "distances",
    "draft_trade_off",
    "flushed_shares",
    "given_up",
    "gradient_histogram",
    "guess_inputs",
    "guessed_text",
    "histogram",
    "iterations",
    "judged_tree",
    "log_curves",
    "magnitude_histogram",
    "memory_map",
    "next_token_law",
    "number_lines",
    "overlap",
    "pair_law",
    "progress_bars",
    "race_map",
    "ranges",
    "roofline",
    "scale_trace",
    "side_by_side",
    "speedup_map",
    "spread_by_group",
    "stacked_bars",
    "stacked_counts",
    "storage_bytes",
    "text_table",
    "token_tree",
    "training_curves",
    "tree_budget",
    "tree_mask",
    "typical_threshold",
    "update_histogram",
    "written_tokens",
]
