"""Each head computes its equation, and drafters read a growing text as heads read a whole one."""

import itertools
import math

import numpy as np
import pytest
import torch

from speccore.decoding.chance import Chance
from speccore.decoding.drafters import (
    EagleDrafter,
    EagleTreeDrafter,
    MedusaDrafter,
    MTPDrafter,
)
from speccore.decoding.drafters.drafter import Target
from speccore.decoding.drafters.eagle import EagleReader
from speccore.decoding.drafters.mtp import ModulesReader
from speccore.decoding.generate import generate
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import TokenTree
from speccore.models.heads import BlockwiseHeads, EagleHead, MedusaHeads, MTPHeads, MTPModules
from speccore.models.transformer import rotary_factors
from tests.speccore.random_models import HEADS, random_model, with_noise

SIZE = 11
PARALLEL = tuple(HEADS)[:4]
EXACT = {"rtol": 0, "atol": 1e-9}


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def pair(name, seed=0):
    trunk = random_model(seed, SIZE, context=32)
    return trunk, with_noise(HEADS[name](trunk.config))


def random_tokens(length, rows=1, seed=0):
    return torch.randint(SIZE, (rows, length), generator=torch.Generator().manual_seed(seed))


def random_features(trunk, length, rows=1, seed=0):
    shape = (rows, length, trunk.config.width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


def by_hand_norm(x, factors=None, eps=0.0):
    """RMSNorm: x / √(mean x² + ε), times its factors."""
    direction = x / (x.square().mean(-1, keepdim=True) + eps).sqrt()
    return direction if factors is None else direction * factors


def guesses_of(heads, trunk, tokens):
    return heads.guesses(trunk.features(tokens)[-1], trunk.embedding(tokens))


def logits_of(heads, trunk, tokens):
    return [
        heads.logits(trunk, guess, k)
        for k, guess in enumerate(guesses_of(heads, trunk, tokens), start=1)
    ]


# -- the equations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("own_output", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_medusas_heads_start_as_the_trunks_own_output_head(own_output, tied):
    trunk = random_model(0, SIZE, norm_eps=1e-14, tied=tied)
    heads = MedusaHeads(trunk.config, 3, own_output=own_output).double()
    if own_output:
        heads.copy_output(trunk)
    features = random_features(trunk, 5, rows=2)
    expected = trunk.logits(features)
    for k, guess in enumerate(heads.parallel(features), start=1):
        assert torch.allclose(heads.logits(trunk, guess, k), expected, **EXACT)


def test_output_maps_of_medusas_own_are_copies():
    trunk = random_model(0, SIZE)
    heads = MedusaHeads(trunk.config, 2, own_output=True).double()
    heads.copy_output(trunk)
    heads.outputs.zero_()
    heads.output_norm.weight.zero_()
    assert trunk.embedding.weight.all() and trunk.norm.weight.all()
    with pytest.raises(TypeError, match="heads: takes heads with own_output=True"):
        MedusaHeads(trunk.config, 2).copy_output(trunk)


def test_medusas_equation():
    trunk, heads = pair("Medusa")
    f = random_features(trunk, 5, rows=2)
    h = by_hand_norm(f)
    for k, guess in enumerate(heads.parallel(f), start=1):
        z = torch.einsum("oc,btc->bto", heads.maps[k - 1], h)
        assert torch.allclose(guess, h + z / (1 + (-z).exp()), **EXACT)
        assert torch.equal(heads.logits(trunk, guess, k), trunk.logits(guess))


def test_medusas_own_output_maps_and_their_norm():
    trunk, heads = pair("Medusa, own output")
    for k, guess in enumerate(heads.parallel(random_features(trunk, 5, rows=2)), start=1):
        normed = by_hand_norm(guess, heads.output_norm.weight, trunk.config.norm_eps)
        expected = normed @ heads.outputs[k - 1].T
        assert torch.allclose(heads.logits(trunk, guess, k), expected, **EXACT)


def test_the_blockwise_equation():
    trunk, heads = pair("blockwise")
    f = random_features(trunk, 5, rows=2)
    h = by_hand_norm(f)
    for k, guess in enumerate(heads.parallel(f), start=1):
        hidden = torch.einsum("fc,btc->btf", heads.up[k - 1], h).clamp(min=0)
        expected = h + torch.einsum("cf,btf->btc", heads.down[k - 1], hidden)
        assert torch.allclose(guess, expected, **EXACT)
    assert not BlockwiseHeads(trunk.config, 2).down.any(), "at the start they add nothing"


def test_metas_heads_are_a_block_each():
    trunk, heads = pair("MTP heads")
    f = random_features(trunk, 5, rows=2)
    rotation = rotary_factors(torch.arange(5), trunk.config)
    causal = torch.ones(5, 5).tril().bool()
    for block, guess in zip(heads.blocks, heads.parallel(f), strict=True):
        assert torch.allclose(block(by_hand_norm(f), rotation, causal), guess, **EXACT)


def test_deepseeks_equations_21_to_23():
    trunk, heads = pair("MTP modules")
    tokens = random_tokens(8, rows=2)
    emb, eps = trunk.embedding.weight[tokens], trunk.config.norm_eps
    h = trunk.features(tokens)[-1]  # h^0
    for k, (step, guess) in enumerate(
        zip(heads.steps, guesses_of(heads, trunk, tokens), strict=True), start=1
    ):
        columns = []
        for i in range(8 - k):  # equation 21
            left = by_hand_norm(h[:, i], step.features_norm.weight, eps)
            right = by_hand_norm(emb[:, i + k], step.embedding_norm.weight, eps)
            columns.append(torch.cat((left, right), -1) @ step.join.weight.T)
        rotation = rotary_factors(torch.arange(8 - k), trunk.config)
        causal = torch.ones(8 - k, 8 - k).tril().bool()
        h = step.block(torch.stack(columns, 1), rotation, causal)  # equation 22
        assert torch.allclose(guess, h, **EXACT)
        normed = by_hand_norm(h, trunk.norm.weight, eps)  # equation 23, the trunk's output head
        logits = normed @ trunk.embedding.weight.T
        assert torch.allclose(heads.logits(trunk, guess, k), logits, **EXACT)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", HEADS)
def test_heads_that_guess_some_tokens_know_the_trunks_logits_of_these(name, tied):
    trunk = random_model(0, SIZE, context=32, tied=tied)
    heads, few = with_noise(HEADS[name](trunk.config)), [1, 2, 5, 9]
    others = [token for token in range(SIZE) if token not in few]
    tokens = random_tokens(8, rows=2)
    guesses, full = guesses_of(heads, trunk, tokens), logits_of(heads, trunk, tokens)
    state = set(heads.state_dict())
    if name == "Medusa, own output":
        with pytest.raises(TypeError, match="heads: takes heads that read the trunk's output"):
            heads.guess_among(few, trunk)
        return
    heads.guess_among(few, trunk)
    assert set(heads.state_dict()) == state  # the rows are the trunk's, and not saved again
    for k, (guess, expected) in enumerate(zip(guesses, full, strict=True), start=1):
        narrow = heads.narrow_logits(trunk, guess, k)
        assert torch.allclose(narrow, expected[..., few], **EXACT)
        wide = heads.logits(trunk, guess, k)
        assert torch.equal(wide[..., few], narrow)
        assert not Sampling(1.0).law(wide.numpy())[..., others].any()
    first = torch.stack([guess[0, 0] for guess in guesses])
    expected = torch.stack([each[0, 0] for each in full])
    assert torch.allclose(heads.all_logits(trunk, first)[:, few], expected[:, few], **EXACT)


@pytest.mark.parametrize("few", [[], [3, 3], [4, 2], [0, SIZE], [-1, 2]])
def test_tokens_to_guess_increase_and_are_the_trunks(few):
    trunk, heads = pair("EAGLE")
    with pytest.raises(ValueError, match="tokens: takes increasing numbers from 0 to 10, got"):
        heads.guess_among(few, trunk)
    assert heads.draft_tokens is None


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_drafter_of_some_tokens_changes_nothing_but_the_speed(temperature):
    """A token that is never guessed has to come from the target, by its own law."""
    trunk, head = pair("EAGLE")
    medusa = with_noise(MedusaHeads(trunk.config, 2))
    drafters = {
        EagleDrafter(head, 3): 3,
        EagleTreeDrafter(head, 3, width=2, nodes=5): 5,
        MedusaDrafter(medusa, TokenTree.product((2, 1))): 4,
    }
    for heads in (head, medusa):
        heads.guess_among([1, 2, 5, 9], trunk)
    for drafter in drafters:
        guessed, chances = set(), []
        for seed in range(20):
            ids = random_tokens(3, seed=seed)[0].tolist()
            out = generate(
                trunk,
                ids,
                max_new_tokens=20,
                temperature=temperature,
                drafter=drafter,
                seed=seed,
            )
            flags = zip(out.tokens, out.was_guessed, strict=True)
            guessed |= {token for token, was in flags if was}
            chances += out.tokens
            if temperature == 0:
                assert out.tokens == generate(trunk, ids, max_new_tokens=20).tokens
        assert guessed and guessed <= {1, 2, 5, 9}
        assert temperature == 0 or len(set(chances)) == SIZE


@pytest.mark.parametrize("name", ["EAGLE", "EAGLE, tokens only"])
def test_eagles_equation(name):
    trunk, head = pair(name)
    tokens = random_tokens(6, rows=2)
    f, e = trunk.features(tokens)[-1], trunk.embedding.weight[tokens]
    inputs = e[:, 1:]
    if name == "EAGLE":
        inputs = torch.cat((by_hand_norm(f)[:, :-1], inputs), -1)
    rotation = rotary_factors(torch.arange(5), trunk.config)
    causal = torch.ones(5, 5).tril().bool()
    expected = head.step.block(inputs @ head.step.join.weight.T, rotation, causal)
    (guess,) = head.guesses(f, e)
    assert torch.allclose(guess, expected, **EXACT)
    (other,) = head.guesses(random_features(trunk, 6, rows=2), e)
    assert torch.equal(other, guess) == (name == "EAGLE, tokens only")


# -- what a guess knows ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", HEADS)
def test_there_is_a_guess_for_each_place_whose_target_is_in_the_window(name):
    trunk, heads = pair(name)
    guesses = guesses_of(heads, trunk, random_tokens(7, rows=2))
    assert len(guesses) == heads.count
    for k, guess in enumerate(guesses, start=1):
        assert guess.shape == (2, 7 - k, 8)
        assert heads.logits(trunk, guess, k).shape == (2, 7 - k, SIZE)


@pytest.mark.parametrize("name", HEADS)
def test_a_guess_knows_all_tokens_up_to_where_its_head_reads_and_none_after(name):
    trunk, heads = pair(name)
    tokens = random_tokens(8)
    before = guesses_of(heads, trunk, tokens)
    for j in range(8):
        changed = tokens.clone()
        changed[0, j] = (changed[0, j] + 1) % SIZE
        after = guesses_of(heads, trunk, changed)
        for k, (one, other) in enumerate(zip(before, after, strict=True), start=1):
            reads = 0 if name in PARALLEL else k
            moved = (one != other).any(-1)[0].tolist()
            expected = [j <= i + reads for i in range(8 - k)]
            if name == "EAGLE, tokens only":
                expected = [1 <= j <= i + 1 for i in range(7)]
            assert moved == expected, (j, k)


@pytest.mark.parametrize("name", PARALLEL)
def test_some_of_parallel_heads_are_some_of_all(name):
    trunk, heads = pair(name)
    features = random_features(trunk, 5, rows=2)
    every = heads.parallel(features)
    for k in range(3):
        (one,) = heads.parallel(features, slice(k, k + 1))
        assert torch.allclose(one, every[k], **EXACT)
    moment = every[:, 0, -1]
    expected = torch.stack([heads.logits(trunk, moment[k - 1], k) for k in (1, 2, 3)])
    assert torch.allclose(heads.all_logits(trunk, moment), expected, **EXACT)


def weights_of_head(heads, k):
    if isinstance(heads, MedusaHeads):
        return [heads.maps[k - 1], *([heads.outputs[k - 1]] if heads.output_norm else [])]
    if isinstance(heads, BlockwiseHeads):
        return [heads.up[k - 1], heads.down[k - 1]]
    parts = heads.blocks if isinstance(heads, MTPHeads) else heads.steps
    return list(parts[k - 1].parameters())


@pytest.mark.parametrize("name", [*PARALLEL, "MTP modules"])
def test_heads_are_as_many_different_blocks(name):
    for k in (1, 2, 3):
        trunk, heads = pair(name)
        tokens = random_tokens(8)
        before = logits_of(heads, trunk, tokens)
        for weight in weights_of_head(heads, k):
            weight *= 1.5
        after = logits_of(heads, trunk, tokens)
        moved = [not torch.equal(*each) for each in zip(before, after, strict=True)]
        later = name == "MTP modules"  # module k is read by those after it
        assert moved == [n == k or (later and n > k) for n in (1, 2, 3)]


@pytest.mark.parametrize("name", ["blockwise", "MTP heads", "MTP modules", "EAGLE"])
def test_the_seed_decides_the_weights(name):
    config = random_model(0, SIZE).config
    kind = type(HEADS[name](config))
    count = () if name == "EAGLE" else (2,)
    state = torch.random.get_rng_state()
    one, same, other = (kind(config, *count, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(map(torch.equal, one.parameters(), same.parameters()))
    assert any(map(lambda a, b: not torch.equal(a, b), one.parameters(), other.parameters()))
    again = kind(config, **one.settings)
    assert all(map(torch.equal, one.parameters(), again.parameters()))


# -- a growing text --------------------------------------------------------------------------------


def chain_pass(head, trunk, features, tokens):
    """(V,) logits after tokens of which the last have no features yet: the head makes them.

    Each in a whole pass of its own, as for training.
    """
    embeddings = trunk.embedding(torch.tensor([tokens]))
    while True:
        unused = torch.full_like(features[:, :1], math.nan)  # `guesses` leaves out the last
        (made,) = head.guesses(
            torch.cat((features, unused), 1), embeddings[:, : features.shape[1] + 1]
        )
        if features.shape[1] + 1 == len(tokens):
            return head.logits(trunk, made, 1)[0, -1].numpy()
        features = torch.cat((features, made[:, -1:]), 1)


def module_pass(heads, trunk, features, tokens):
    """(V,) logits after tokens, of module k if k − 1 of them are guesses, in a whole pass."""
    known = features.shape[1]
    k = len(tokens) - known
    # What comes later, and what the trunk would make of guesses: no module may look at it.
    unknown = random_features(trunk, heads.count)
    later = [0] * (heads.count - k)
    guess = heads.guesses(
        torch.cat((features, unknown), 1), trunk.embedding(torch.tensor([[*tokens, *later]]))
    )[k - 1]
    return heads.logits(trunk, guess[0, known - 1], k).numpy()


def portions(trunk, rng, length=20):
    """A text, and how it grows: tokens committed so far, and their features that are new."""
    text = rng.integers(0, SIZE, length).tolist()
    features = trunk.features(torch.tensor([text]))[-1]
    read, committed = 0, int(rng.integers(1, 5))
    while committed <= length:
        yield text, committed, features, Target(trunk, None, features[:, read : committed - 1])
        read = committed - 1
        committed += int(rng.integers(1, 5))


@pytest.mark.parametrize("seed", range(6))
def test_metas_heads_read_a_growing_text_as_a_whole_one(seed):
    trunk, heads = pair("MTP heads", seed)
    read = heads.reader()
    for _, committed, features, target in portions(trunk, np.random.default_rng(seed)):
        if committed > 1:
            found = read(target.features)
            expected = heads.parallel(features[:, : committed - 1])[:, 0, -1]
            assert torch.allclose(found, expected, **EXACT)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("name", "reader", "whole_pass", "most"),
    [
        ("MTP modules", ModulesReader, module_pass, 2),
        ("EAGLE", lambda head, trunk: EagleReader(head, trunk, 5), chain_pass, 4),
        ("EAGLE, tokens only", lambda head, trunk: EagleReader(head, trunk, 5), chain_pass, 4),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_chain_along_a_growing_text_is_a_whole_pass(name, reader, whole_pass, most, seed):
    """Guesses in between are rejected or come true; the next portion is right either way."""
    trunk, heads = pair(name, seed)
    growing, rng = reader(heads, trunk), np.random.default_rng(seed)
    compared = 0
    for text, committed, features, target in portions(trunk, rng):
        tokens, known = text[:committed], features[:, : committed - 1]
        found = growing.read(tokens, target)
        if committed == 1:
            assert found is None, "nothing has been read yet"
            continue
        np.testing.assert_allclose(found, whole_pass(heads, trunk, known, tokens), **EXACT)
        for guess in range(int(rng.integers(0, most + 1))):
            place = committed + guess
            right = place < len(text) and rng.random() < 0.6
            tokens = [*tokens, text[place] if right else int(rng.integers(SIZE))]
            (found,) = growing.extend(tokens[-1:])
            np.testing.assert_allclose(found, whole_pass(heads, trunk, known, tokens), **EXACT)
            compared += 1
    assert compared > 2


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["EAGLE", "EAGLE, tokens only"])
def test_a_node_of_eagles_tree_is_a_chain_along_its_path(name, seed):
    trunk, head = pair(name, seed)
    growing, rng = EagleReader(head, trunk, 12), np.random.default_rng(seed)
    for text, committed, features, target in portions(trunk, rng):
        tokens, known = text[:committed], features[:, : committed - 1]
        found = growing.read(tokens, target)
        if committed == 1:
            continue
        np.testing.assert_allclose(found, chain_pass(head, trunk, known, tokens), **EXACT)
        size = int(rng.integers(4, 13))
        tree = TokenTree(
            rng.integers(0, SIZE, size), [int(rng.integers(-1, node)) for node in range(size)]
        )
        for depth in range(1, tree.depth + 1):
            level = np.flatnonzero(tree.depths == depth)
            for nodes in np.array_split(level, min(2, len(level))):  # in one pass, or in two
                for node, logits in zip(nodes.tolist(), growing.grow(tree, nodes), strict=True):
                    path = [*tokens, *tree.tokens[list(tree.path_to(node))].tolist()]
                    expected = chain_pass(head, trunk, known, path)
                    np.testing.assert_allclose(logits, expected, **EXACT)


# -- drafters --------------------------------------------------------------------------------------


def one_draft(drafter, trunk, text, sampling=None):
    """The first draft for a text."""
    features = trunk.features(torch.tensor([text]))[-1]
    target = Target(trunk, None, features[:, :-1])
    return drafter.begin(trunk).propose(text, sampling or Sampling(0.0), Chance(0), target)


@pytest.mark.parametrize("name", PARALLEL)
def test_a_node_of_medusas_tree_is_a_ranked_candidate_of_its_head(name):
    trunk, heads = pair(name)
    text = random_tokens(7)[0].tolist()
    shape = TokenTree.product((3, 2, 4))
    tree = one_draft(MedusaDrafter(heads, shape), trunk, text).tree
    assert tree.parents.tolist() == shape.parents.tolist()
    features = trunk.features(torch.tensor([text]))[-1][:, :-1]
    for node in range(len(tree)):
        k = int(shape.depths[node])
        logits = heads.logits(trunk, heads.parallel(features)[k - 1], k)[0, -1].numpy()
        assert tree.tokens[node] == np.argsort(-logits)[shape.tokens[node]]


@pytest.mark.parametrize("name", PARALLEL)
def test_heads_beyond_the_trees_depth_are_not_asked(name):
    trunk, heads = pair(name)
    text = random_tokens(6)[0].tolist()
    expected = one_draft(MedusaDrafter(heads, TokenTree.chain([0] * heads.count)), trunk, text)
    for weight in weights_of_head(heads, heads.count):
        weight.fill_(torch.nan)
    for depth in range(heads.count):
        tree = one_draft(MedusaDrafter(heads, TokenTree.chain([0] * depth)), trunk, text).tree
        assert tree.tokens.tolist() == expected.tree.tokens[:depth].tolist()


def test_modules_and_eagle_draw_from_their_laws():
    text, sampling = random_tokens(7)[0].tolist(), Sampling(0.7)
    for name, kind, whole_pass in (
        ("MTP modules", MTPDrafter, module_pass),
        ("EAGLE", EagleDrafter, chain_pass),
    ):
        trunk, heads = pair(name)
        draft = one_draft(kind(heads, 3), trunk, text, sampling)
        features = trunk.features(torch.tensor([text]))[-1][:, :-1]
        for guess in range(3):
            tokens = [*text, *draft.tree.tokens[:guess].tolist()]
            law = sampling.law(whole_pass(heads, trunk, features, tokens))
            np.testing.assert_allclose(draft.laws[guess], law, **EXACT)


def paths_of(tree):
    return {
        tuple(tree.tokens[list(tree.path_to(node))].tolist()): node for node in range(len(tree))
    }


def path_values(head, trunk, text, paths):
    """The logarithm of the head's probability of each path, by a whole pass a token."""
    features = trunk.features(torch.tensor([text]))[-1][:, :-1]
    values = {(): 0.0}
    for path in sorted(paths, key=len):
        logits = chain_pass(head, trunk, features, [*text, *path[:-1]])
        values[path] = values[path[:-1]] + logits[path[-1]] - np.logaddexp.reduce(logits)
    del values[()]
    return values


@pytest.mark.parametrize("nodes", [1, 4, 9, 12])
def test_eagles_tree_with_room_for_all_tokens_is_brute_force(nodes):
    """Two levels of three tokens: 12 paths, of which the most probable are kept."""
    trunk = random_model(0, 3)
    head, text = with_noise(EagleHead(trunk.config)), [0, 2, 1, 1]
    every = [path for length in (1, 2) for path in itertools.product(range(3), repeat=length)]
    values = path_values(head, trunk, text, every)
    tree = one_draft(EagleTreeDrafter(head, 2, width=3, nodes=nodes), trunk, text).tree
    assert set(paths_of(tree)) == set(sorted(every, key=values.get, reverse=True)[:nodes])


@pytest.mark.parametrize(("width", "nodes"), [(1, 4), (2, 5), (3, 12), (4, 30), (4, 99)])
def test_eagles_tree_keeps_the_best_of_what_it_grew(width, nodes):
    trunk, head = pair("EAGLE")
    text = random_tokens(7)[0].tolist()
    level, grown = [()], {}
    for _ in range(4):
        children = [(*path, token) for path in level for token in range(SIZE)]
        values = path_values(
            head, trunk, text, {c[:n] for c in children for n in range(1, 5)} - {()}
        )
        best = [
            sorted((c for c in children if c[:-1] == path), key=values.get)[-width:]
            for path in level
        ]
        new = [child for siblings in best for child in siblings]
        grown |= {path: values[path] for path in new}
        level = sorted(new, key=values.get)[-width:]
    tree = one_draft(EagleTreeDrafter(head, 4, width=width, nodes=nodes), trunk, text).tree
    found = paths_of(tree)
    assert len(found) == len(tree) == min(nodes, len(grown))
    assert set(found) == set(sorted(grown, key=grown.get)[-nodes:])
    assert all(path[:-1] in found for path in found if len(path) > 1), "each with its parent"


@pytest.mark.parametrize("name", HEADS)
def test_a_prompt_of_one_token_begins_without_guesses(name):
    trunk, heads = pair(name)
    drafter = {
        "MTP modules": lambda: MTPDrafter(heads),
        "EAGLE": lambda: EagleTreeDrafter(heads),
        "EAGLE, tokens only": lambda: EagleDrafter(heads, 3),
    }.get(name, lambda: MedusaDrafter(heads, TokenTree.product((2, 2))))()
    nothing = Target(trunk, None, torch.zeros(1, 0, 1))
    assert len(drafter.begin(trunk).propose([4], Sampling(0.0), Chance(0), nothing).tree) == 0
    output = generate(trunk, [4], max_new_tokens=20, drafter=drafter)
    assert output.tokens == generate(trunk, [4], max_new_tokens=20).tokens
    assert output.draft_sizes[0] == 0 and min(output.draft_sizes[1:-1]) > 0


def test_what_heads_cannot_draft_is_refused():
    trunk = random_model(0, SIZE, context=32)
    config = trunk.config
    heads = MedusaHeads(config, 2)
    for drafter, message in (
        (
            lambda: MedusaDrafter(heads, TokenTree.chain([0, 0, 0])),
            "tree: takes a depth up to 2 heads, got 3",
        ),
        (
            lambda: MedusaDrafter(heads, TokenTree.chain([SIZE])),
            f"tree: takes ranks below the vocabulary of {SIZE}, got {SIZE}",
        ),
        (
            lambda: MTPDrafter(MTPModules(config, 2), 3),
            "draft_length: takes at most one a module, 2, got 3",
        ),
        (
            lambda: EagleTreeDrafter(EagleHead(config), width=SIZE + 1),
            f"width: takes at most {SIZE} tokens, got {SIZE + 1}",
        ),
        (lambda: EagleTreeDrafter(EagleHead(config), 0), "depth: takes a whole number >= 1, got 0"),
        (lambda: EagleTreeDrafter(EagleHead(config), nodes=0), "nodes: takes a whole number >= 1"),
        (lambda: EagleDrafter(EagleHead(config), 0), "draft_length: takes a whole number >= 1"),
        (lambda: MedusaHeads(config, 0), "count: takes a whole number >= 1, got 0"),
        (lambda: MTPHeads(config, 2, seed=-1), "seed: takes a whole number >= 0, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            drafter()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 12}, "width of 8, got 12"),
        ({"vocab_size": 12}, f"vocab_size of {SIZE}, got 12"),
        ({"context": 40}, "context of 32, got 40"),
    ],
)
def test_heads_of_another_trunk_are_refused(change, message):
    trunk = random_model(0, SIZE, context=32)
    config = random_model(0, **{"vocab_size": SIZE, "context": 32, **change}).config
    for drafter in (
        MedusaDrafter(MedusaHeads(config, 2), TokenTree.chain([0])),
        MTPDrafter(MTPModules(config, 2)),
        EagleDrafter(EagleHead(config), 2),
        EagleTreeDrafter(EagleHead(config)),
    ):
        with pytest.raises(ValueError, match=f"drafter: takes heads .* target's {message}"):
            generate(trunk, [1, 2], max_new_tokens=4, drafter=drafter)
