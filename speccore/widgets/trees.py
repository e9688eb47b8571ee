"""The widget of chapter 16: a token tree that grows where one clicks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from rlcore.widgets.panel import Panel, blank_figure, choice, entry, panel
from speccore import plots
from speccore.decoding.acceptance import greedy
from speccore.decoding.chance import Chance
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import ROOT, Draft, TokenTree
from speccore.decoding.tree_attention import guess_tree, score_tree
from speccore.models.packed_linear import packed
from speccore.models.pretrained import load
from speccore.models.prompts import PROMPTS
from speccore.models.text import ByteTokenizer
from speccore.models.transformer import Transformer
from speccore.plots.trees import shortened

MOST_NODES, MOST_RANKS, DEEPEST = 12, 8, 5
TREES = ("00 01 1", "0", "00000", "0 1 2 3 4", "000 001 01 10 2", "0000 001 01 100 2")
BEGINNINGS = PROMPTS[:6]


def parse_tree(text: str) -> TokenTree:
    """A tree of ranks from its paths, a word of digits each: "00 01 1" has 4 nodes.

    Raises:
        ValueError: other characters, ranks from 8 on, more than 12 nodes or a depth above 5.
    """
    words = text.split()
    if any(set(word) - set("01234567") or len(word) > DEEPEST for word in words):
        raise ValueError(
            f"tree: takes paths of 1 to {DEEPEST} ranks from 0 to {MOST_RANKS - 1}, such as "
            f"'00 01 1', got {text!r}"
        )
    tree = TokenTree.from_paths([[int(digit) for digit in word] for word in words])
    if len(tree) > MOST_NODES:
        raise ValueError(f"tree: takes at most {MOST_NODES} nodes, got {len(tree)}")
    return tree


def write_tree(tree: TokenTree) -> str:
    """The inverse of ``parse_tree``, paths in order."""
    return " ".join(
        sorted("".join(map(str, tree.tokens[list(path)].tolist())) for path in tree.paths())
    )


def with_child(tree: TokenTree, node: int) -> TokenTree:
    """The tree with one guess more below a node (−1: the root): the first rank not yet there."""
    taken = {int(tree.tokens[child]) for child in tree.children(node)}
    rank = next(r for r in range(len(taken) + 1) if r not in taken)
    return TokenTree([*tree.tokens, rank], [*tree.parents, node])


def without_node(tree: TokenTree, node: int) -> TokenTree:
    """The tree without a node and all that hangs below it."""
    kept = [other for other in range(len(tree)) if node not in tree.path_to(other)]
    place = {ROOT: ROOT, **{other: k for k, other in enumerate(kept)}}
    return TokenTree(tree.tokens[kept], [place[int(tree.parents[other])] for other in kept])


def tree_builder(target: Transformer | None = None, draft: Transformer | None = None) -> Panel:
    """A tree of a draft model's guesses, its mask, and the path that the target keeps.

    Args:
        target, draft: models over bytes; those of the course if None.
    """
    verifier = packed(load("course-target")) if target is None else target
    guesser = load("course-draft") if draft is None else draft
    encode, decode = ByteTokenizer().encode, ByteTokenizer().decode

    def draw(tree: str, prompt: str) -> Figure:
        context = encode(prompt)
        guesses = guess_tree(guesser, context, parse_tree(tree))
        logits = score_tree(verifier, context, guesses)
        p = Sampling(temperature=0.0).law(logits)
        verdict = greedy(Draft(guesses), p, Chance(0))
        labels = plots.byte_labels(guesses.tokens.tolist())
        text = decode([*guesses.tokens[list(verdict.path)].tolist(), verdict.token])
        figure = blank_figure(height=400)
        plots.token_tree(
            guesses,
            labels,
            kept=verdict.path,
            title=f"{len(verdict.path)} of {len(guesses)} guesses kept; "
            f"tokens of this step: {text!a}",
            ax=figure.add_axes((0.02, 0.12, 0.55, 0.79)),
        )
        plots.tree_mask(
            guesses.mask,
            labels,
            kept=verdict.path,
            title="Who sees whom",
            ax=figure.add_axes((0.64, 0.15, 0.35, 0.70)),
        )
        return figure

    tree = entry("paths of ranks", TREES)
    names = [(shortened(text), text) for text in BEGINNINGS]
    container = panel(
        draw,
        hint="Click + to hang the draft's next best guess below a node, × to remove one with all "
        "below it. Expect green to grow only where a guess is the target's own next token: make "
        "it as long as you can with 8 nodes. Then change the text.",
        alt="A tree of guesses with the path that the target keeps in green, and beside it the "
        "matrix of who sees whom in the verifying pass.",
        tree=tree,
        prompt=choice("text", BEGINNINGS[0], names),
    )
    container.children[0].children += (_buttons(tree),)
    return container


def _buttons(control: Any) -> ipywidgets.VBox:
    """Buttons that add below a node and that remove one, by setting the control's value."""
    layout = {"width": "52px", "padding": "0", "margin": "2px 1px"}
    adding = [ipywidgets.Button(layout=layout) for _ in range(MOST_NODES + 1)]
    removing = [ipywidgets.Button(layout=layout) for _ in range(MOST_NODES)]
    rows = [ipywidgets.HBox(layout={"flex_flow": "row wrap"}) for _ in range(2)]

    def show(_: Any = None) -> None:
        try:
            tree = parse_tree(control.value)
        except ValueError:  # the panel says so already
            return
        for row, button in enumerate(adding[: len(tree) + 1]):
            node = row - 1
            depth = 0 if node == ROOT else int(tree.depths[node])
            button.description = "+ root" if node == ROOT else f"+ {node}"
            button.tooltip = "add a guess below " + ("the root" if node == ROOT else f"node {node}")
            button.disabled = (
                len(tree) == MOST_NODES
                or depth == DEEPEST
                or len(tree.children(node)) == MOST_RANKS
            )
        for node, button in enumerate(removing[: len(tree)]):
            button.description, button.tooltip = f"× {node}", f"remove node {node}"
        rows[0].children, rows[1].children = adding[: len(tree) + 1], removing[: len(tree)]

    def change(make: Callable[[TokenTree, int], TokenTree], node: int) -> None:
        control.value = write_tree(make(parse_tree(control.value), node))

    for row, button in enumerate(adding):
        button.on_click(lambda _, node=row - 1: change(with_child, node))
    for node, button in enumerate(removing):
        button.on_click(lambda _, node=node: change(without_node, node))
    control.observe(show, names="value")
    show()
    return ipywidgets.VBox(rows)
