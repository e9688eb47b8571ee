"""The cache changes the speed, never the logits: against passes over the whole text."""

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile

from speccore.models.kv_cache import KVCache
from speccore.models.packed_linear import packed
from speccore.models.transformer import Transformer, TransformerConfig

CONFIG = TransformerConfig(
    vocab_size=31, layers=3, width=24, heads=6, kv_heads=2, hidden=20, context=48
)
# Logits are up to 10 here, and sums in another order differ by some units of FP32's 6e-8, relative;
# any mistake in mask, positions or columns moves logits by more than 1e-2.
CLOSE = {"rtol": 0, "atol": 4e-5}


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.inference_mode():
        yield


def lively(config=CONFIG, seed=0):
    """A model whose weights are large enough for attention to be far from uniform."""
    model = Transformer(config, seed=seed)
    generator = torch.Generator().manual_seed(seed + 100)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator)
    return model


MODEL = lively()


def tokens_of(batch=1, length=9, seed=0):
    return torch.randint(31, (batch, length), generator=torch.Generator().manual_seed(seed))


def tree_of(parents):
    """Depths from 1, and who sees whom among the root (first) and the nodes."""
    depths, mask = [0], torch.eye(len(parents) + 1, dtype=torch.bool)
    for node, parent in enumerate(parents, start=1):
        depths.append(depths[parent + 1] + 1)
        mask[node] |= mask[parent + 1]
    return torch.tensor(depths), mask


def path_to(parents, node):
    return () if node < 0 else (*path_to(parents, parents[node]), node)


def fresh(committed, model=MODEL):
    return model(torch.tensor([committed]))[0, -1]


# -- one row ---------------------------------------------------------------------------------------


def test_token_by_token_equals_one_pass():
    tokens = tokens_of(2, 20)
    whole, cache = MODEL(tokens), KVCache(CONFIG, 2)
    for place in range(20):
        assert cache.length == place
        logits = MODEL(tokens[:, place : place + 1], cache=cache)
        assert torch.allclose(logits[:, 0], whole[:, place], **CLOSE)


@pytest.mark.parametrize("parts", [(20,), (7, 13), (1, 5, 1, 13), (19, 1)])
def test_pieces_of_any_length_equal_one_pass(parts):
    tokens = tokens_of(2, 20)
    cache = KVCache(CONFIG, 2)
    found = [MODEL(piece, cache=cache) for piece in tokens.split(parts, dim=1)]
    assert torch.allclose(torch.cat(found, dim=1), MODEL(tokens), **CLOSE)


def test_features_of_every_layer_are_those_without_a_cache():
    tokens, cache = tokens_of(length=12), KVCache(CONFIG)
    MODEL(tokens[:, :8], cache=cache)
    found = MODEL.features(tokens[:, 8:], cache=cache)
    for one, other in zip(found, MODEL.features(tokens), strict=True):
        assert torch.allclose(one, other[:, 8:], **CLOSE)


def test_an_unequal_number_of_heads_is_no_special_case():
    for kv_heads in (1, 3, 6):
        model = lively(replace(CONFIG, kv_heads=kv_heads, tied=False))
        tokens, cache = tokens_of(length=12), KVCache(model.config)
        whole = model(tokens)
        model(tokens[:, :7], cache=cache)
        assert torch.allclose(model(tokens[:, 7:], cache=cache), whole[:, 7:], **CLOSE)


def test_what_was_rolled_back_leaves_no_trace():
    tokens, cache = tokens_of(length=20), KVCache(CONFIG)
    MODEL(tokens[:, :10], cache=cache)
    MODEL(tokens_of(length=8, seed=1), cache=cache)
    cache.roll_back(10)
    assert cache.lengths == (10,)
    found = MODEL(tokens[:, 10:], cache=cache)
    assert torch.allclose(found, MODEL(tokens)[:, 10:], **CLOSE)


def test_one_column_too_many_is_seen():
    """The tests above can fail: a roll-back that is off by one moves the logits far."""
    tokens, cache = tokens_of(length=20), KVCache(CONFIG)
    MODEL(tokens[:, :10], cache=cache)
    MODEL(tokens_of(length=8, seed=1), cache=cache)
    cache.roll_back(11)
    found = MODEL(tokens[:, 10:], torch.arange(10, 20), cache=cache)
    assert (found - MODEL(tokens)[:, 10:]).abs().max() > 1e-2


def test_branches_of_a_tree_get_the_logits_of_their_own_text():
    parents = [-1, -1, 0, 0, 1, 2]
    depths, mask = tree_of(parents)
    start, nodes = tokens_of(length=9)[0].tolist(), tokens_of(length=6, seed=1)[0].tolist()
    cache = KVCache(CONFIG)
    MODEL(torch.tensor([start[:-1]]), cache=cache)
    logits = MODEL(torch.tensor([[start[-1], *nodes]]), 8 + depths, mask, cache)[0]
    assert torch.allclose(logits[0], fresh(start), **CLOSE)
    for node in range(6):
        text = start + [nodes[each] for each in path_to(parents, node)]
        assert torch.allclose(logits[node + 1], fresh(text), **CLOSE)


def random_tree(draw, size):
    return [draw(st.integers(-1, node - 1)) for node in range(size)]


@st.composite
def histories(draw):
    """Steps of a decoder: a tree (a chain is one), a node whose path is kept; or a roll-back."""
    steps = []
    for _ in range(draw(st.integers(1, 6))):
        size = draw(st.integers(0, 6))
        chain = draw(st.booleans())
        parents = list(range(-1, size - 1)) if chain else random_tree(draw, size)
        steps.append((parents, draw(st.integers(-1, size - 1)), draw(st.integers(0, 3))))
    return draw(st.integers(2, 6)), steps, draw(st.integers(0, 999))


@settings(max_examples=150)
@given(histories())
def test_any_history_leaves_the_logits_of_a_fresh_pass(history):
    """Drafts, acceptances and roll-backs in any order; length == committed − 1 before each."""
    prompt, steps, seed = history
    chance = random.Random(seed)
    committed = [chance.randrange(31) for _ in range(prompt)]
    cache = KVCache(CONFIG, capacity=60)
    MODEL(torch.tensor([committed[:-1]]), cache=cache)
    for parents, leaf, back in steps:
        if len(committed) + 8 > CONFIG.context:
            break
        assert cache.length == len(committed) - 1
        nodes = [chance.randrange(31) for _ in parents]
        depths, mask = tree_of(parents)
        logits = MODEL(torch.tensor([[committed[-1], *nodes]]), cache.length + depths, mask, cache)[
            0
        ]
        path = path_to(parents, leaf)
        assert torch.allclose(logits[0], fresh(committed), **CLOSE)
        committed += [nodes[each] for each in path]
        assert torch.allclose(logits[leaf + 1], fresh(committed), **CLOSE)
        cache.keep(path)
        assert cache.length == len(committed)
        committed.append(chance.randrange(31))
        back = min(back, len(committed) - 2)
        committed = committed[: len(committed) - back]
        cache.roll_back(len(committed) - 1)
    logits = MODEL(torch.tensor([committed[-1:]]), cache=cache)[0, -1]
    assert torch.allclose(logits, fresh(committed), **CLOSE)


@pytest.mark.parametrize("ragged", [False, True])
def test_a_tree_can_grow_by_a_level_a_pass(ragged):
    """A mask that is wider than the new tokens says which earlier nodes they see."""
    texts = [tokens_of(length=length)[0].tolist() for length in ((6, 4) if ragged else (6,))]
    cache = KVCache(CONFIG, len(texts))
    MODEL(padded(texts), cache=cache)
    cache.roll_back([len(text) for text in texts])
    lengths = torch.tensor(cache.lengths).unsqueeze(1)
    rows = len(texts)
    siblings = torch.tensor([[7, 8]]).expand(rows, 2)
    MODEL(siblings, lengths.expand(rows, 2), torch.eye(2, dtype=torch.bool), cache)
    children = torch.tensor([[9, 10]]).expand(rows, 2)  # of the second and of the first
    mask = torch.tensor([[False, True, True, False], [True, False, False, True]])
    logits = MODEL(children, (lengths + 1).expand(rows, 2), mask, cache)
    for row, text in enumerate(texts):
        assert torch.allclose(logits[row, 0], fresh([*text, 8, 9]), **CLOSE)
        assert torch.allclose(logits[row, 1], fresh([*text, 7, 10]), **CLOSE)
        cache.keep([1, 2], start=len(text), row=row)
    logits = MODEL(torch.full((rows, 1), 11), cache=cache)
    for row, text in enumerate(texts):
        assert torch.allclose(logits[row, -1], fresh([*text, 8, 9, 11]), **CLOSE)


def test_only_nodes_out_of_their_place_move():
    cache = KVCache(CONFIG)
    MODEL(tokens_of(length=5), cache=cache)
    depths, mask = tree_of([-1, 0, 1, 1, 2])
    MODEL(tokens_of(length=6), 5 + depths, mask, cache)
    before = cache.keys.clone(), cache.values.clone()
    cache.keep([0, 1, 3])  # nodes 0 and 1 lie behind the root, in columns 6 and 7
    for now, then in zip((cache.keys, cache.values), before, strict=True):
        assert torch.equal(now[..., :8, :], then[..., :8, :])
        assert torch.equal(now[..., 8, :], then[..., 9, :])
        assert torch.equal(now[..., 9:, :], then[..., 9:, :])
    assert cache.length == 9
    address = cache.keys.data_ptr()
    version = cache.keys._version
    cache.roll_back(3)
    assert cache.keys.data_ptr() == address
    assert cache.keys._version == version, "a roll-back writes nothing"


# -- a ragged batch --------------------------------------------------------------------------------


def padded(rows):
    longest = max(map(len, rows))
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows])


@settings(max_examples=80)
@given(st.data())
def test_each_row_of_a_ragged_batch_gets_its_logits_alone(data):
    """Prompts of unequal length; each step a tree a row, of which each row keeps its own path."""
    batch = data.draw(st.integers(2, 3), label="batch")
    chance = random.Random(data.draw(st.integers(0, 999), label="seed"))
    committed = [
        [chance.randrange(31) for _ in range(data.draw(st.integers(2, 7)))] for _ in range(batch)
    ]
    cache = KVCache(CONFIG, batch, capacity=64)
    MODEL(padded([row[:-1] for row in committed]), cache=cache)
    cache.roll_back([len(row) - 1 for row in committed])
    for _ in range(data.draw(st.integers(1, 4), label="steps")):
        size = data.draw(st.integers(0, 4), label="nodes")
        trees = [random_tree(data.draw, size) for _ in range(batch)]
        nodes = [[chance.randrange(31) for _ in range(size)] for _ in range(batch)]
        depths, masks = zip(*map(tree_of, trees), strict=True)
        before = cache.lengths
        assert before == tuple(len(row) - 1 for row in committed)
        positions = torch.stack([b + d for b, d in zip(before, depths, strict=True)])
        tokens = torch.tensor([[c[-1], *n] for c, n in zip(committed, nodes, strict=True)])
        logits = MODEL(tokens, positions, torch.stack(masks), cache)
        for row in range(batch):
            leaf = data.draw(st.integers(-1, size - 1), label="leaf")
            path = path_to(trees[row], leaf)
            committed[row] += [nodes[row][each] for each in path]
            assert torch.allclose(logits[row, leaf + 1], fresh(committed[row]), **CLOSE)
            cache.keep(path, row=row)
            committed[row].append(chance.randrange(31))
    logits = MODEL(torch.tensor([row[-1:] for row in committed]), cache=cache)
    for row in range(batch):
        assert torch.allclose(logits[row, -1], fresh(committed[row]), **CLOSE)


def test_rows_of_a_ragged_batch_go_on_by_chains_too():
    texts = [tokens_of(length=length, seed=length)[0].tolist() for length in (12, 9, 10)]
    cache = KVCache(CONFIG, 3)
    MODEL(padded([text[:-4] for text in texts]), cache=cache)
    cache.roll_back([len(text) - 4 for text in texts])
    logits = MODEL(torch.tensor([text[-4:] for text in texts]), cache=cache)
    for row, text in enumerate(texts):
        alone = MODEL(torch.tensor([text]))[0]
        assert torch.allclose(logits[row], alone[-4:], **CLOSE)
    with pytest.raises(ValueError, match=r"length: takes rows of one length, .* \(12, 9, 10\)"):
        _ = cache.length


# -- the first layers alone ------------------------------------------------------------------------


def test_the_first_layers_draft_and_the_whole_verifies():
    text, cache = tokens_of(length=10)[0].tolist(), KVCache(CONFIG)
    MODEL(torch.tensor([text[:-1]]), cache=cache)
    shallow = Transformer(replace(CONFIG, layers=2))
    shallow.load_state_dict(MODEL.state_dict(), strict=False)
    drafted = list(text)
    for _ in range(4):
        features = MODEL.features(torch.tensor([drafted[-1:]]), cache=cache, layers=2)
        assert len(features) == 3
        logits = MODEL.logits(features[-1])[0, -1]
        assert torch.allclose(logits, fresh(drafted, shallow), **CLOSE)
        drafted.append(int(logits.argmax()))
    cache.roll_back(9)
    found = MODEL(torch.tensor([drafted[9:]]), cache=cache)
    assert torch.allclose(found[0], MODEL(torch.tensor([drafted]))[0, 9:], **CLOSE)


def test_layers_that_lack_tokens_are_not_run():
    cache = KVCache(CONFIG)
    MODEL(tokens_of(length=5), cache=cache)
    MODEL.features(tokens_of(length=1), cache=cache, layers=2)
    MODEL.features(tokens_of(length=1), cache=cache, layers=1)
    message = r"layers: takes at most 1, got 2: a pass .* roll back to \(5,\) first"
    with pytest.raises(ValueError, match=message):
        MODEL.features(tokens_of(length=1), cache=cache, layers=2)
    cache.roll_back(6)
    with pytest.raises(ValueError, match="layers: takes at most 1, got 3"):
        MODEL(tokens_of(length=1), cache=cache)
    cache.roll_back(5)
    MODEL(tokens_of(length=1), cache=cache)
    assert cache.length == 6


def test_no_layer_at_all_is_the_embedding():
    tokens = tokens_of()
    assert torch.equal(MODEL.features(tokens, layers=0)[0], MODEL.embedding(tokens))
    assert len(MODEL.features(tokens, layers=0)) == 1


# -- memory ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_bytes_are_those_of_the_formula(dtype):
    cache = KVCache(CONFIG, 2, 30, dtype=dtype)
    assert cache.bytes == 2 * 3 * 2 * 2 * 30 * 4 * dtype.itemsize
    assert cache.keys.untyped_storage().nbytes() == cache.bytes
    assert cache.keys.shape == cache.values.shape == (3, 2, 2, 30, 4)
    assert KVCache(CONFIG).capacity == CONFIG.context


def allocated(model, config, length, count, keep=None):
    """Bytes that a pass (and keeping a path) asks for, all calls added."""
    cache = KVCache(config)
    model(torch.zeros(1, length, dtype=torch.long), cache=cache)
    tokens = torch.zeros(1, count, dtype=torch.long)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        model(tokens, cache=cache)
        if keep is not None:
            cache.keep(keep)
    return sum(
        event.self_cpu_memory_usage
        for event in profiled.key_averages()
        if event.self_cpu_memory_usage > 0
    )


@pytest.mark.parametrize("make", [lambda model: model, packed])
def test_no_step_allocates_in_proportion_to_the_context(make):
    config = replace(CONFIG, context=4096)
    model = make(lively(config))
    # The attention works on blocks of at most 512 columns: shorter caches have smaller ones.
    for count, keep in ((1, None), (2, [0]), (5, [0])):
        short, long = (allocated(model, config, n, count, keep) for n in (600, 4000))
        assert short == long


def test_the_mask_of_a_chain_is_made_once():
    cache = KVCache(CONFIG)
    MODEL(tokens_of(length=4), cache=cache)
    first = cache.mask(3, None)
    MODEL(tokens_of(length=5), cache=cache)
    second = cache.mask(3, None)
    assert first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()
    for mask, length in ((first, 4), (second, 9)):
        columns, rows = torch.arange(length + 3), torch.arange(length, length + 3)
        expected = torch.where(columns <= rows[:, None], 0.0, -torch.inf)
        assert torch.equal(mask, expected)


def test_passes_read_and_write_the_memory_that_was_allocated_first():
    cache = KVCache(CONFIG)
    address = cache.keys.untyped_storage().data_ptr()
    for count in (5, 1, 3):
        MODEL(tokens_of(length=count), cache=cache)
    keys, values = cache.append(0, *torch.zeros(2, 1, 2, 3, 4))
    for each in (keys, values, cache.keys, cache.values):
        assert each.untyped_storage().data_ptr() == address


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: KVCache(CONFIG, 0), ValueError, "batch: takes a whole number >= 1, got 0"),
        (lambda c: KVCache(CONFIG, 1, 0), ValueError, "capacity: takes a whole number >= 1, got 0"),
        (lambda c: c.roll_back(6), ValueError, "length: takes a number from 0 to 5, got 6"),
        (lambda c: c.roll_back(-1), ValueError, "length: takes a whole number >= 0, got -1"),
        (lambda c: c.roll_back([1, 2]), ValueError, "length: takes one number a row, 1, got 2"),
        (lambda c: c.roll_back([1.5]), TypeError, "length: takes a whole number >= 0, got 1.5"),
        (lambda c: c.keep([0, 2, 1], start=1), ValueError, r"path: .* 0 to 3, got \(0, 2, 1\)"),
        (lambda c: c.keep([4], start=1), ValueError, r"path: .* 0 to 3, got \(4,\)"),
        (lambda c: c.keep([-1], start=1), ValueError, r"path: .* 0 to 3, got \(-1,\)"),
        (lambda c: c.keep([0], start=6), ValueError, "start: takes a number from 0 to 5, got 6"),
        (lambda c: c.keep([0], row=1), ValueError, "row: takes a number from 0 to 0, got 1"),
        (
            lambda c: MODEL(tokens_of(length=6), cache=c),
            ValueError,
            r"tokens: takes at most capacity − length = 10 − 5 = 5 a row with this cache, got 6",
        ),
        (
            lambda c: MODEL(tokens_of(2), cache=c),
            ValueError,
            "cache: takes one of batch 2, got 1",
        ),
        (
            lambda c: lively(replace(CONFIG, layers=2))(tokens_of(), cache=c),
            ValueError,
            "cache: takes one for .*layers=2.*, got one for .*layers=3",
        ),
        (
            lambda c: lively().half()(tokens_of(), cache=c),
            TypeError,
            "cache: takes one of torch.float16, got torch.float32",
        ),
        (
            lambda c: MODEL(tokens_of(length=2), mask=torch.ones(2, 8).bool(), cache=c),
            ValueError,
            r"mask: takes shape \(2, 2\) or \(1, 2, 2\), got \(2, 8\)",
        ),
        (
            lambda c: MODEL.features(tokens_of(), layers=4),
            ValueError,
            "layers: takes a number from 0 to 3, got 4",
        ),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(call, error, message):
    cache = KVCache(CONFIG, capacity=10)
    MODEL(tokens_of(length=5), cache=cache)
    with pytest.raises(error, match=message):
        call(cache)
    assert cache.length == 5


def test_positions_beyond_the_context_are_refused():
    cache = KVCache(CONFIG, capacity=60)
    MODEL(tokens_of(length=47), cache=cache)
    with pytest.raises(ValueError, match=r"tokens: takes at most context = 48 .* got 49"):
        MODEL(tokens_of(length=2), cache=cache)
    with pytest.raises(ValueError, match="positions: takes numbers from 0 to 47, got 48"):
        MODEL(tokens_of(length=2), torch.tensor([47, 48]), cache=cache)
    # Siblings share a position: a tree may have more nodes than positions are left.
    siblings = torch.eye(3, dtype=torch.bool)
    MODEL(tokens_of(length=3), torch.tensor([47, 47, 47]), siblings, cache)


def test_gradients_through_a_cache_are_refused():
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        pytest.raises(RuntimeError, match="cache: takes passes without gradients"),
    ):
        lively()(tokens_of(), cache=KVCache(CONFIG))
