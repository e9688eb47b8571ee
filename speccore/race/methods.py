"""Who races: the methods of each model, with their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from rlcore.validation import Floats
from speccore.decoding.cost import pass_times, reading_time
from speccore.decoding.drafters import (
    AdaptiveDrafter,
    DatastoreDrafter,
    Drafter,
    EagleDrafter,
    EagleTreeDrafter,
    EarlyExitDrafter,
    FallbackDrafter,
    LookaheadDrafter,
    MedusaDrafter,
    ModelDrafter,
    MTPDrafter,
    NGramDrafter,
    NGramModelDrafter,
)
from speccore.decoding.theory import best_tree
from speccore.decoding.tree import TokenTree
from speccore.models.heads import EagleHead, Heads, MTPModules, ParallelHeads
from speccore.models.ngram import NGramModel
from speccore.models.packed_linear import packed
from speccore.models.pretrained import available, load, load_heads, model_card, weights_sha256
from speccore.models.text import standard_library
from speccore.models.transformer import Transformer

REAL, OWN = "smollm2-135m", "course-target"
PLAIN = "plain"
MOST_NODES = 24
"""No draft of the race has more."""


@dataclass(frozen=True, eq=False)
class Track:
    """A model to race on, and what was measured and loaded for it."""

    name: str
    sha256: str
    """Of its weights (``weights_sha256``)."""
    model: Transformer
    """Packed."""
    heads: Mapping[str, Heads]
    """Name of a file → heads of this model, packed; of all that its methods want and are there."""
    times: Floats
    """(N,) T(1) … T(N), seconds of its passes on this machine."""
    reading_time: float
    """Seconds to read its weights once."""


def track(name: str, *, repeats: int = 10) -> Track:
    """A model by name with its heads, packed, and the times of its passes.

    Args:
        name: ``REAL`` or ``OWN``.
        repeats: measurements of each pass.

    Raises:
        ValueError: a model without methods in ``METHODS``.
        FileNotFoundError: the real model is not installed.
    """
    if name not in METHODS:
        raise ValueError(f"name: takes one of {', '.join(METHODS)}; got {name!r}")
    trunk = load(name)
    wanted = {each.settings.get("heads") for each in METHODS[name].values()}
    heads = {file: packed(load_heads(file, trunk)) for file in available() if file in wanted}
    sha256, seconds = weights_sha256(trunk), reading_time(trunk)
    model = packed(trunk)
    del trunk  # as large as the model itself
    times = pass_times(model, MOST_NODES + 1, repeats=repeats)
    return Track(name, sha256, model, heads, times, seconds)


def _lookup(track: Track, **settings: Any) -> Drafter:
    return NGramDrafter(**settings)


def _adaptive(track: Track, **settings: Any) -> Drafter:
    return AdaptiveDrafter(NGramDrafter(**settings), track.times)


def _early_exit(track: Track, **settings: Any) -> Drafter:
    return EarlyExitDrafter(**settings)


def _lookahead(track: Track, **settings: Any) -> Drafter:
    return LookaheadDrafter(**settings)


def _draft_model(track: Track, *, name: str, **settings: Any) -> Drafter:
    return ModelDrafter(packed(load(name)), **settings)


def _counts(track: Track, *, order: int, **settings: Any) -> Drafter:
    counts = NGramModel(standard_library().train.numpy(), order)
    return NGramModelDrafter(counts, **settings)


def _retrieval(track: Track, **settings: Any) -> Drafter:
    return DatastoreDrafter(standard_library().train.numpy()[:2_000_000], **settings)


def _parallel(track: Track, *, heads: str, most_nodes: int) -> Drafter:
    """The best tree for this machine, and the accuracies on validation text of the heads' card."""
    plan = best_tree(model_card(heads)["validation_accuracy"], track.times[: most_nodes + 1])
    tree = plan.tree if len(plan.tree) else TokenTree.chain([0])
    return MedusaDrafter(cast(ParallelHeads, track.heads[heads]), tree)


def _lookup_else_heads(track: Track, *, heads: str, most_nodes: int, **settings: Any) -> Drafter:
    return FallbackDrafter(
        _adaptive(track, **settings), _parallel(track, heads=heads, most_nodes=most_nodes)
    )


def _modules(track: Track, *, heads: str, **settings: Any) -> Drafter:
    return MTPDrafter(cast(MTPModules, track.heads[heads]), **settings)


def _eagle(track: Track, *, heads: str, **settings: Any) -> Drafter:
    return EagleDrafter(cast(EagleHead, track.heads[heads]), **settings)


def _eagle_tree(track: Track, *, heads: str, **settings: Any) -> Drafter:
    return EagleTreeDrafter(cast(EagleHead, track.heads[heads]), **settings)


@dataclass(frozen=True)
class Method:
    """A way to guess, and its settings."""

    make: Callable[..., Drafter]
    """A track and settings → a drafter."""
    settings: Mapping[str, Any]
    """Those of the race."""
    tried: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Setting → values, of which ``tune`` tries all combinations; none if there is no choice."""

    @property
    def is_available(self) -> bool:
        """Whether its heads, if it has any, are there."""
        return self.settings.get("heads", OWN) in available()


# The settings for the real model were chosen before the race: those of heads are the fastest of
# ``tried`` on the tuning prompts (``python -m speccore.race tune``), the others come from
# arithmetic with T(n). The course's own model has those of chapters 14 to 18.
METHODS: Mapping[str, Mapping[str, Method]] = {
    REAL: {
        "prompt lookup": Method(
            _lookup,
            {"draft_length": 6, "shortest": 2},
            {"draft_length": (6, 10), "shortest": (2, 3)},
        ),
        "prompt lookup, adaptive": Method(
            _adaptive,
            {"draft_length": 15, "shortest": 2},
            {"draft_length": (10, 15)},
        ),
        "early exit": Method(
            _early_exit,
            {"layers": 10, "draft_length": 1},
            {"layers": (5, 10)},
        ),
        "lookahead": Method(
            _lookahead,
            {"n": 3, "window": 2, "candidates": 2},
            {"window": (2, 3)},
        ),
        "Medusa": Method(
            _parallel,
            {"heads": "smollm2-medusa", "most_nodes": 3},
            {"most_nodes": (2, 3, 6)},
        ),
        "EAGLE, chain": Method(
            _eagle,
            {"heads": "smollm2-eagle", "draft_length": 2, "least_confidence": 0.4},
            {"draft_length": (1, 2, 3), "least_confidence": (0.0, 0.4)},
        ),
        "EAGLE, tree": Method(
            _eagle_tree,
            {"heads": "smollm2-eagle", "depth": 1, "width": 2, "nodes": 2},
            {"depth": (1, 2, 3), "nodes": (2, 3, 5)},
        ),
        "lookup, else Medusa": Method(
            _lookup_else_heads,
            {"draft_length": 15, "shortest": 2, "heads": "smollm2-medusa", "most_nodes": 3},
            {"shortest": (2, 3), "most_nodes": (2, 3, 6)},
        ),
    },
    OWN: {
        "draft model": Method(_draft_model, {"name": "course-draft", "draft_length": 4}),
        "counts": Method(_counts, {"order": 6, "draft_length": 5}),
        "prompt lookup": Method(_lookup, {"draft_length": 6, "shortest": 3}),
        "retrieval": Method(_retrieval, {"draft_length": 6}),
        "early exit": Method(_early_exit, {"layers": 1, "draft_length": 3}),
        "lookahead": Method(
            _lookahead,
            {"n": 3, "window": 3, "candidates": 3},
        ),
        "Medusa": Method(_parallel, {"heads": "course-medusa", "most_nodes": 12}),
        "blockwise": Method(_parallel, {"heads": "course-blockwise", "most_nodes": 12}),
        "Meta's heads": Method(_parallel, {"heads": "course-mtp-heads", "most_nodes": 12}),
        "DeepSeek's modules": Method(_modules, {"heads": "course-mtp-modules"}),
        "EAGLE, chain": Method(_eagle, {"heads": "course-eagle", "draft_length": 4}),
        "EAGLE, tree": Method(
            _eagle_tree,
            {"heads": "course-eagle", "depth": 4, "width": 2, "nodes": 6},
        ),
    },
}
"""Name of a model → name of a method → how it is made. Plain decoding always races, too."""


def contestants(track: Track) -> dict[str, Drafter | None]:
    """Name → drafter for a model, plain decoding first; a method without its heads is left out."""
    made = {
        name: method.make(track, **method.settings)
        for name, method in METHODS[track.name].items()
        if method.is_available
    }
    return {PLAIN: None, **made}
