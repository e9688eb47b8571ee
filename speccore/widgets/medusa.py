"""The widget of chapter 17: a Medusa decode step by step, judged by two rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure

from rlcore.validation import Floats
from rlcore.widgets.panel import Panel, blank_figure, panel, slider
from speccore import plots
from speccore.decoding.acceptance import Verdict, greedy, typical
from speccore.decoding.chance import Chance
from speccore.decoding.drafters.medusa import MedusaDrafter
from speccore.decoding.generate import Text, decode
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import Draft, TokenTree
from speccore.decoding.tree_attention import score_tree
from speccore.models.heads import ParallelHeads
from speccore.models.packed_linear import packed
from speccore.models.pretrained import load, load_heads
from speccore.models.text import ByteTokenizer
from speccore.models.transformer import Transformer

PROMPT = "    def close(self):\n        if self._opened:\n            "
TREE = TokenTree.from_paths([(0, 0, 0, 0), (0, 0, 1), (0, 1), (1, 0), (2, 0)])
TOKENS = 32
SHOWN = 34  # letters of the text so far


@dataclass(frozen=True)
class DraftedStep:
    """One step of a decode: the text so far, the tree, and the target's law after each node."""

    context: tuple[int, ...]
    tree: TokenTree
    p: Floats
    """(n + 1, V), after the root and after each node."""

    @property
    def guess_probabilities(self) -> Floats:
        """(n,) what the target gives each guess after its parent."""
        found: Floats = self.p[self.tree.parents + 1, self.tree.tokens]
        return found

    def typical(self, epsilon: float, delta: float) -> Verdict:
        """What typical acceptance keeps of it."""
        return typical(Draft(self.tree), self.p, Chance(0), epsilon=epsilon, delta=delta)

    def greedy(self) -> Verdict:
        """What greedy verification keeps of it."""
        return greedy(Draft(self.tree), self.p, Chance(0))


@torch.inference_mode()
def drafted_steps(
    trunk: Transformer,
    heads: ParallelHeads,
    tree: TokenTree,
    prompt: Sequence[int],
    *,
    max_new_tokens: int = TOKENS,
) -> list[DraftedStep]:
    """The steps of a greedy decode with their drafts, each scored by a pass of its own.

    Args:
        trunk: the target.
        heads: its heads.
        tree: of ranks, as ``MedusaDrafter`` takes it.
        prompt: at least two tokens.
        max_new_tokens: >= 1.
    """
    text = Text(list(prompt), max_new_tokens, MedusaDrafter(heads, tree), Chance(0))
    found = []
    before = tuple(text.tokens)
    for _ in decode(trunk, [text], Sampling(temperature=0.0)):
        drafted = text.draft.tree
        if len(drafted):
            p = Sampling().law(score_tree(trunk, before, drafted))
            found.append(DraftedStep(before, drafted, p))
        before = tuple(text.tokens)
    return found


def medusa_steps(trunk: Transformer | None = None, heads: ParallelHeads | None = None) -> Panel:
    """The trees of a Medusa decode, and what greedy and typical acceptance keep of each.

    Args:
        trunk, heads: a target over bytes and its heads, ``packed`` or not; the course's if None.

    Raises:
        ValueError: a trunk without heads, or the other way round.
    """
    if (trunk is None) != (heads is None):
        raise ValueError("heads: takes heads if, and only if, there is a trunk")
    if trunk is None or heads is None:
        model = load("course-target")
        loaded = load_heads("course-medusa", model)
        if not isinstance(loaded, ParallelHeads):
            raise TypeError(f"heads: takes parallel ones, got {type(loaded).__name__}")
        trunk, heads = packed(model), packed(loaded)
    encode, decode_text = ByteTokenizer().encode, ByteTokenizer().decode
    steps = drafted_steps(trunk, heads, TREE, encode(PROMPT))

    def draw(step: int, epsilon: float, delta: float) -> Figure:
        shown = steps[step - 1]
        labels = plots.byte_labels(shown.tree.tokens.tolist())
        text = decode_text(shown.context[-SHOWN:])
        figure = blank_figure(height=640)
        rules = {
            "Greedy": shown.greedy(),
            rf"Typical, $\epsilon$ = {epsilon:.2f}, $\delta$ = {delta:.2f}": shown.typical(
                epsilon, delta
            ),
        }
        for (name, verdict), bottom in zip(rules.items(), (0.55, 0.09), strict=True):
            plots.judged_tree(
                shown.tree,
                labels,
                shown.guess_probabilities,
                kept=verdict.path,
                title=f"{name}: {len(verdict.path)} kept, then "
                f"{plots.byte_labels([verdict.token])[0]}",
                ax=figure.add_axes((0.02, bottom, 0.96, 0.34)),
            )
        figure.text(
            0.02,
            0.965,
            f"{len(shown.context)} bytes so far: {text!a}",
            family="monospace",
            size=9,
            parse_math=False,
        )
        return figure

    return panel(
        draw,
        hint="Walk through the steps; percentages are what the target gives each guess. Then lower "
        "both thresholds: expect the lower path to grow through guesses that are possible, but not "
        "the target's first choice. Raise both: what stays is what the target is fairly sure of.",
        alt="The tree of guesses of one step of a Medusa decode, drawn twice: above with the path "
        "that greedy verification keeps in green, below with the path of typical acceptance.",
        step=slider("step", 1, 1, len(steps), 1),
        epsilon=slider("epsilon", 0.09, 0.01, 0.6, 0.01),
        delta=slider("delta", 0.3, 0.05, 1.0, 0.05),
    )
