"""Figures and widget of chapter 16 show the trees they are given, and real verification."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from rlcore.plots import COLOURS
from speccore import plots, widgets
from speccore.decoding.generate import generate
from speccore.decoding.tree import TokenTree
from speccore.decoding.tree_attention import guess_tree
from speccore.models.prompts import PROMPTS
from speccore.models.text import ByteTokenizer
from speccore.models.transformer import Transformer, TransformerConfig
from speccore.plots.trees import shortened
from speccore.widgets.trees import TREES, parse_tree, with_child, without_node, write_tree

pytestmark = pytest.mark.usefixtures("strict_figures")

TREE = TokenTree([5, 6, 7, 8, 9], [-1, -1, 0, 0, 3])
LABELS = ["a", "b", "c", "d", "e"]
KEPT = COLOURS[2]


def places(ax):
    """Label of a node → its place."""
    return {text.get_text(): text.get_position() for text in ax.texts if text.get_bbox_patch()}


# -- figures ---------------------------------------------------------------------------------------


def test_a_tree_is_drawn_by_depth_with_parents_amid_their_children():
    ax = plots.token_tree(TREE, LABELS, kept=(0, 3), title="Tree")
    found = places(ax)
    assert {label: x for label, (x, _) in found.items()} == {
        "root": 0, "a": 1, "b": 1, "c": 2, "d": 2, "e": 3
    }  # fmt: skip
    assert len(set(found.values())) == 6, "no two nodes at one place"
    assert found["a"][1] == (found["c"][1] + found["d"][1]) / 2
    assert found["root"][1] == (found["a"][1] + found["b"][1]) / 2
    assert ax.get_title(loc="left") == "Tree"


def test_edges_join_parents_and_children_and_the_kept_path_stands_out():
    ax = plots.token_tree(TREE, LABELS, kept=(0, 3))
    found = places(ax)
    edges = {}
    for line in ax.lines:
        start, end = zip(*line.get_data(), strict=True)
        edges[start, end] = line.get_color()
    expected = [("root", "a"), ("root", "b"), ("a", "c"), ("a", "d"), ("d", "e")]
    assert set(edges) == {(found[one], found[other]) for one, other in expected}
    green = {ends for ends, colour in edges.items() if colour == KEPT}
    assert green == {(found["root"], found["a"]), (found["a"], found["d"])}


def test_an_empty_tree_is_a_root():
    ax = plots.token_tree(TokenTree([], []), [])
    assert places(ax) == {"root": (0, 0)} and not ax.lines


def test_a_mask_is_filled_where_the_row_sees_the_column():
    ax = plots.tree_mask(TREE.mask, LABELS, kept=(0, 3))
    picture = ax.images[0].get_array()
    assert ((picture.sum(axis=2) < 3) == TREE.mask).all()
    green = (np.abs(picture - np.array(to_rgb(KEPT))).sum(axis=2) < 0.01).any(axis=1)
    assert np.flatnonzero(green).tolist() == [1, 4], "rows of nodes 0 and 3"
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "root", "a 0", "b 1", "c 2", "d 3", "e 4"
    ]  # fmt: skip
    assert [text.get_text() for text in ax.get_xticklabels()] == ["", *"01234"]


def test_curves_are_means_over_pairs():
    ax = plots.acceptance_curves([1, 2], {"judged": [[0.2, 0.4], [0.4, 1.0]], "b": [[0, 0]]})
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([0.3, 0.7])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["judged", "b"]
    assert plots.acceptance_curves([1], {"a": [[0.5]]}, legend=False).get_legend() is None


def test_budgets_start_at_no_draft_and_marks_lie_on_their_curve():
    ax = plots.budget_curves(
        {"chain": [1, 1.5], "tree": [1, 1.5, 1.8]}, marks={"tree": 2}, level=1.0, ylabel="Tokens"
    )
    chain, tree, ring, level = ax.lines
    assert chain.get_xdata().tolist() == [0, 1] and tree.get_ydata().tolist() == [1, 1.5, 1.8]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (2, 1.8)
    assert ring.get_color() == tree.get_color() and level.get_ydata() == [1.0, 1.0]
    bare = plots.budget_curves({"a": [1, 2]}, ylabel="Tokens", legend=False)
    assert bare.get_legend() is None


def test_bytes_are_written_so_that_each_can_be_read():
    assert plots.byte_labels([97, 32, 10, 92, 200]) == ["a", "' '", r"\n", r"\\", r"\xc8"]
    labels = plots.byte_labels(range(256))
    assert len(set(labels)) == 256
    assert all(label.isascii() and label.isprintable() and label.strip() for label in labels)
    assert shortened("ab\ncd") == r"ab\ncd"
    assert shortened("0123456789", longest=5) == "…6789"


def test_every_byte_can_be_drawn():
    tokens = range(256)
    tree = TokenTree(tokens, [-1] * 256)
    plots.token_tree(tree, plots.byte_labels(tree.tokens.tolist()))


def test_figures_draw_into_axes_that_they_are_given():
    ax = Figure().add_subplot()
    for drawn in (
        plots.token_tree(TREE, LABELS, ax=ax),
        plots.tree_mask(TREE.mask, LABELS, ax=ax),
        plots.acceptance_curves([1], {"a": [[0.5]]}, ax=ax),
        plots.budget_curves({"a": [1, 2]}, ylabel="y", ax=ax),
    ):
        assert drawn is ax
    assert plt.get_fignums() == []


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="labels: takes one for each of the 5 nodes, got 1"):
        plots.token_tree(TREE, ["a"])
    with pytest.raises(ValueError, match=r"mask: takes shape \(6, 6\), got \(2, 2\)"):
        plots.tree_mask(np.eye(2), LABELS)
    with pytest.raises(ValueError, match=r"curves: takes shape .* = \(pairs, 2\) for 'a'"):
        plots.acceptance_curves([1, 2], {"a": [[1.0]]})


# -- the tree of the widget ------------------------------------------------------------------------


@st.composite
def rank_trees(draw):
    words = draw(st.lists(st.text("0123", min_size=1, max_size=4), min_size=1, max_size=3))
    return parse_tree(" ".join(words))


def paths_of(tree):
    return {tuple(tree.tokens[list(tree.path_to(node))].tolist()) for node in range(len(tree))}


@given(rank_trees())
def test_a_tree_is_read_as_it_was_written(tree):
    assert paths_of(parse_tree(write_tree(tree))) == paths_of(tree)
    assert write_tree(parse_tree(write_tree(tree))) == write_tree(tree)


@given(rank_trees(), st.data())
def test_a_child_is_added_with_the_first_rank_that_is_free(tree, data):
    node = data.draw(st.integers(-1, len(tree) - 1))
    larger = with_child(tree, node)
    (new,) = paths_of(larger) - paths_of(tree)
    above = tuple(tree.tokens[list(tree.path_to(node))].tolist())
    assert new[:-1] == above
    assert all((*above, rank) in paths_of(tree) for rank in range(new[-1]))


@given(rank_trees(), st.data())
def test_a_node_is_removed_with_all_below_it_and_nothing_else(tree, data):
    node = data.draw(st.integers(0, len(tree) - 1))
    gone = tuple(tree.tokens[list(tree.path_to(node))].tolist())
    expected = {path for path in paths_of(tree) if path[: len(gone)] != gone}
    assert paths_of(without_node(tree, node)) == expected


@pytest.mark.parametrize("text", ["08", "a", "000000", "-1"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="tree: takes paths of 1 to 5 ranks from 0 to 7"):
        parse_tree(text)


def test_too_large_trees_are_refused():
    with pytest.raises(ValueError, match="tree: takes at most 12 nodes, got 15"):
        parse_tree("00000 11111 22222")


# -- the widget ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models():
    """A target over bytes that repeats itself, and a draft that is close to it."""
    config = TransformerConfig(
        vocab_size=256, layers=2, width=16, heads=2, kv_heads=1, hidden=16, context=256
    )
    target, draft = Transformer(config, seed=0), Transformer(config, seed=0)
    with torch.no_grad():
        for weight in draft.parameters():
            weight += 0.003 * torch.randn(
                weight.shape, generator=torch.Generator().manual_seed(len(weight))
            )
    return target, draft


@pytest.fixture
def drawn(monkeypatch):
    """What the widget hands to the figure of the tree."""
    calls = []
    draw = plots.token_tree

    def listening(tree, labels, **settings):
        calls.append((tree, settings))
        return draw(tree, labels, **settings)

    monkeypatch.setattr(plots, "token_tree", listening)
    return calls


def test_the_widget_keeps_what_the_target_would_have_written(models, drawn):
    target, draft = models
    panel = widgets.tree_builder(target, draft)
    encode = ByteTokenizer().encode
    kept_any = False
    for prompt in PROMPTS[:6]:
        panel.controls["prompt"].value = prompt
        for text in TREES:
            panel.controls["tree"].value = text
            tree, settings = drawn[-1]
            ranks = parse_tree(text)
            assert tree.tokens.tolist() == guess_tree(draft, encode(prompt), ranks).tokens.tolist()
            plain = generate(target, encode(prompt), max_new_tokens=6).tokens
            kept = settings["kept"]
            kept_any |= len(kept) > 0
            assert tuple(tree.tokens[list(kept)]) == plain[: len(kept)]
            following = kept[-1] if kept else -1
            assert tree.child(following, plain[len(kept)]) is None, "it could have kept more"
            assert f"{len(kept)} of {len(tree)} guesses kept" in settings["title"]
    assert kept_any


def test_buttons_add_and_remove_nodes(models):
    panel = widgets.tree_builder(*models)
    tree = panel.controls["tree"]
    adding, removing = panel.children[0].children[-1].children
    assert [button.description for button in adding.children] == [
        "+ root", "+ 0", "+ 1", "+ 2", "+ 3"
    ]  # fmt: skip
    before = panel.image.value
    adding.children[4].click()
    assert tree.value == "00 01 10" and panel.image.value != before
    removing.children[0].click()
    assert tree.value == "10"
    removing.children[0].click()
    assert tree.value == "" and len(removing.children) == 0 and len(adding.children) == 1
    adding.children[0].click()
    assert tree.value == "0"


def test_no_button_makes_a_tree_that_the_widget_refuses(models):
    panel = widgets.tree_builder(*models)
    adding, _ = panel.children[0].children[-1].children
    for _ in range(30):
        enabled = [button for button in adding.children if not button.disabled]
        if not enabled:
            break
        enabled[-1].click()
        assert panel.message.value == ""
    assert len(parse_tree(panel.controls["tree"].value)) == 12


def test_a_text_that_is_no_tree_is_named_in_the_panel(models):
    panel = widgets.tree_builder(*models)
    with pytest.raises(ValueError, match="tree: takes paths"):
        panel.controls["tree"].value = "0x"
    assert "tree: takes paths" in panel.message.value
