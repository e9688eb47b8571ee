"""The truth about overlap by brute force and by numpy, and torch's verdict by writing."""

import itertools
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy._core._multiarray_tests import internal_overlap
from torch import nn

from speccore.foundations.memory_overlap import (
    INTERNAL_OVERLAP,
    LEAF,
    PARTIAL_OVERLAP,
    VIEW_OF_LEAF,
    bounded_solution,
    count_locations,
    explain,
    explain_pair,
    is_non_overlapping_and_dense,
    locations,
    shared_pair,
    torch_check,
)

TORCH_NAMES = {0: "no", 1: "yes", 2: "too hard"}  # at::MemOverlap
ROOM = 400  # elements of the storages under test


# -- random views ----------------------------------------------------------------------------------


def random_view(rng, longest_chain=4):
    """A chain of random view operations on a random base; the chain ends where it likes."""
    sizes = rng.choice([1, 2, 3, 5], size=rng.integers(0, 4)).tolist()
    offset = int(rng.integers(0, 9))
    view = torch.zeros(ROOM)[offset : offset + int(np.prod(sizes, dtype=int))].view(sizes)
    for _ in range(rng.integers(1, longest_chain + 1)):
        view = VIEWS[rng.integers(len(VIEWS))](rng, view)
    return view


def a_dimension(rng, view):
    return int(rng.integers(view.dim()))


def expanded(rng, view):
    sizes = [
        int(rng.integers(0, 5)) if size == 1 and rng.random() < 0.7 else -1 for size in view.shape
    ]
    lead = rng.integers(1, 4, size=rng.integers(0, 2)).tolist() if view.dim() < 4 else []
    return view.expand(lead + sizes)


def as_strided(rng, view):
    sizes = rng.integers(2 if rng.random() < 0.7 else 0, 5, size=rng.integers(1, 4)).tolist()
    strides = rng.integers(0 if rng.random() < 0.3 else 1, 8, size=len(sizes)).tolist()
    return view.as_strided(sizes, strides, int(rng.integers(0, 9)))


def sliced(rng, view):
    if not view.dim():
        return view
    k = a_dimension(rng, view)
    start, step = int(rng.integers(0, view.shape[k] + 1)), int(rng.integers(1, 4))
    return view[(slice(None),) * k + (slice(start, None, step),)]


def narrowed(rng, view):
    if not view.dim() or 0 in view.shape:
        return view
    k = a_dimension(rng, view)
    start = int(rng.integers(view.shape[k]))
    return view.narrow(k, start, int(rng.integers(1, view.shape[k] - start + 1)))


def permuted(rng, view):
    return view.permute(rng.permutation(view.dim()).tolist())


def diagonal(rng, view):
    if view.dim() < 2:
        return view
    first, second = rng.permutation(view.dim())[:2].tolist()
    return view.diagonal(int(rng.integers(-1, 2)), first, second)


def unfolded(rng, view):
    if not view.dim() or view.dim() > 4:
        return view
    k = a_dimension(rng, view)
    size = int(rng.integers(min(2, view.shape[k]), view.shape[k] + 1))
    return view.unfold(k, size, int(rng.integers(1, 4)))


def unsqueezed(rng, view):
    return view.unsqueeze(int(rng.integers(view.dim() + 1))) if view.dim() < 5 else view


def selected(rng, view):
    if not view.dim() or 0 in view.shape:
        return view
    k = a_dimension(rng, view)
    return view.select(k, int(rng.integers(view.shape[k])))


VIEWS = (
    expanded,
    as_strided,
    sliced,
    narrowed,
    permuted,
    diagonal,
    unfolded,
    unsqueezed,
    selected,
)


def room_for(view):
    """The same view on a storage in which every view of these tests fits, of other memory."""
    needed = view.storage_offset() + 1
    needed += sum(max(n - 1, 0) * s for n, s in zip(view.shape, view.stride(), strict=True))
    return torch.zeros(needed).as_strided(view.shape, view.stride(), view.storage_offset())


def raised(function, *arguments):
    """The message of the RuntimeError, or None."""
    try:
        function(*arguments)
    except RuntimeError as error:
        return str(error)
    return None


def check_everything(view):
    """Exact overlap against enumeration, torch's verdict against torch itself. Returns the case."""
    view = room_for(view)
    found = explain(view)
    places = torch.arange(len(view.untyped_storage()) // 4).as_strided(
        view.shape, view.stride(), view.storage_offset()
    )
    assert np.array_equal(locations(view.shape, view.stride(), view.storage_offset()), places)
    distinct = len(places.unique())

    assert found.occupied == distinct
    assert found.overlaps == (distinct < view.numel())
    if found.pair:
        first, second = found.pair
        assert first != second
        assert view[first].data_ptr() == view[second].data_ptr(), "the witness is none"

    assert found.check == TORCH_NAMES[torch._debug_has_internal_overlap(view)]
    for write in (lambda: view.add_(1), lambda: view.copy_(torch.ones(view.shape))):
        assert raised(write) == found.error
    assert found.write_is_legal == (found.error is None)
    return found.check, found.overlaps


def test_thirty_thousand_random_views_agree_with_torch_and_with_enumeration(record_property):
    rng = np.random.default_rng(10)
    cases = [check_everything(random_view(rng)) for _ in range(30_000)]
    counts = {case: cases.count(case) for case in set(cases)}
    # Torch refuses only what overlaps, and believes dense only what is; all four cases occur often.
    assert set(counts) == {("no", False), ("yes", True), ("too hard", False), ("too hard", True)}
    assert min(counts.values()) > 1_000
    record_property("summary", f"memory overlap: {len(cases)} random views, {counts}")


@settings(max_examples=3_000, derandomize=True)
@given(st.integers(0, 2**32), st.integers(1, 8))
def test_long_chains_of_views_agree_too(seed, longest_chain):
    check_everything(random_view(np.random.default_rng(seed), longest_chain))


geometries = st.lists(st.tuples(st.integers(0, 5), st.integers(-30, 30)), max_size=5)


@settings(max_examples=5_000, derandomize=True)
@given(geometries)
def test_any_sizes_and_strides_agree_with_enumeration_and_with_numpy(geometry):
    """Strides that no torch tensor can have, negative ones, are numpy's."""
    sizes, strides = [n for n, _ in geometry], [s for _, s in geometry]
    places = locations(sizes, strides)
    distinct = len(np.unique(places))
    pair = shared_pair(sizes, strides)
    assert count_locations(sizes, strides) == distinct
    assert (pair is not None) == (distinct < places.size)
    if pair:
        assert pair[0] != pair[1] and places[pair[0]] == places[pair[1]]

    # Bytes, so that numpy's elements touch but never overlap by a part of them.
    start = -min(0, places.min()) if places.size else 0
    room = np.zeros(start + 1 + max(0, places.max() if places.size else 0), dtype=np.uint8)
    array = np.lib.stride_tricks.as_strided(room[start:], sizes, strides)
    assert internal_overlap(array) == (0 if pair is None else 1)


def test_every_small_matrix_of_strides():
    """All 2-dimensional windows with sizes 0 to 4 and strides 0 to 6, offsets 0 and 3."""
    for n, m in itertools.product(range(5), repeat=2):
        for s, t in itertools.product(range(7), repeat=2):
            for offset in (0, 3):
                check_everything(torch.zeros(60).as_strided((n, m), (s, t), offset))


# -- what decides ----------------------------------------------------------------------------------


def test_stride_0_of_a_single_element_is_no_overlap():
    view = torch.zeros(3).as_strided((1, 3), (0, 1))
    found = explain(view)
    assert (found.check, found.overlaps, found.error) == ("no", False, None)
    assert raised(view.add_, 1) is None
    spread = torch.zeros(9).as_strided((1, 3), (0, 2))  # not dense, so the strides are looked at
    assert explain(spread).check == "too hard" and not explain(spread).overlaps


def test_nothing_overlaps_in_an_empty_tensor():
    for view in (torch.zeros(0, 1).expand(0, 3), torch.zeros(1).as_strided((2, 0, 3), (0, 0, 0))):
        found = explain(view)
        assert (found.check, found.overlaps, found.occupied) == ("no", False, 0)
        assert raised(view.add_, 1) is None


@pytest.mark.parametrize(
    ("sizes", "strides"),
    [
        ((4, 3), (1, 1)),
        ((3, 4), (4, 2)),
        ((2, 2, 2), (3, 2, 1)),
        ((3, 2, 2), (2, 1, 5)),
        ((6, 4), (2, 3)),
    ],
)
def test_overlap_without_a_stride_of_0_is_seen_here_and_not_by_torch(sizes, strides):
    view = torch.zeros(64).as_strided(sizes, strides)
    found = explain(view)
    assert found.overlaps and found.check == "too hard" and found.write_is_legal
    assert not found.write_is_safe
    written = torch.arange(float(view.numel())).view(sizes)
    assert raised(view.copy_, written) is None
    assert not torch.equal(view, written), "a location cannot keep two values"


@pytest.mark.parametrize(
    ("sizes", "strides"), [((3, 2), (2, 3)), ((2, 3, 2), (6, 2, 3)), ((2, 2, 2), (3, 5, 9))]
)
def test_strides_that_interleave_need_not_overlap(sizes, strides):
    found = explain(torch.zeros(64).as_strided(sizes, strides))
    assert found.write_is_safe and found.occupied == found.elements
    span = 1 + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    assert span >= found.elements


def test_the_offset_moves_every_element_and_makes_no_overlap():
    base = torch.zeros(20)
    for view in (base[5:9], base[17:], base.as_strided((3, 2), (2, 3), 11)):
        found = explain(view)
        assert found.offset == view.storage_offset() > 0
        assert not found.overlaps
        places = locations(found.shape, found.strides, found.offset)
        for index, place in np.ndenumerate(places):
            assert view[index].storage_offset() == place


def test_huge_views_cost_no_memory_and_no_enumeration():
    big = 2**40
    assert shared_pair((big, big), (big, 1)) is None
    assert shared_pair((big, big), (1, big)) is None
    assert shared_pair((big, 3), (big + 1, big)) is None  # interleaved: Euclid, not a loop
    pair = shared_pair((big + 1, big + 2), (big + 1, big))
    assert pair == ((0, big + 1), (big, 0))
    assert shared_pair((big, big + 2), (big + 1, big)) is None
    windows = (big, 400)
    assert shared_pair(windows, (160, 1)) == ((0, 160), (1, 0))
    assert count_locations(windows, (160, 1)) == (big - 1) * 160 + 400
    image = ((big, 3, 5, 3, 3), (2 * 77, 2, 77 * big * 9, 77, 1))
    assert count_locations(*image) == 5 * (2 * (big - 1) + 3) * 7


def test_subset_sum_is_inside_the_equation():
    """Overlap of sizes (2, 2, …) asks for two subsets of the strides with equal sums."""
    assert shared_pair((2,) * 5, (6, 9, 11, 12, 13)) is None  # Conway–Guy: all sums differ
    pair = shared_pair((2,) * 5, (6, 9, 11, 12, 15))
    assert pair is not None
    sums = [sum(i * s for i, s in zip(index, (6, 9, 11, 12, 15), strict=True)) for index in pair]
    assert sums[0] == sums[1]


@settings(max_examples=2_000, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 4)), max_size=4), st.integers(-3, 60))
def test_bounded_solution_finds_one_exactly_if_there_is_one(terms, total):
    coefficients, bounds = [c for c, _ in terms], [b for _, b in terms]
    every = itertools.product(*(range(b + 1) for b in bounds))
    exists = any(sum(map(int.__mul__, x, coefficients)) == total for x in every)
    found = bounded_solution(coefficients, bounds, total)
    assert (found is not None) == exists
    if found is not None:
        assert sum(map(int.__mul__, found, coefficients)) == total
        assert all(0 <= x <= b for x, b in zip(found, bounds, strict=True))


def test_dense_means_the_same_here_and_in_torch():
    rng = np.random.default_rng(3)
    for _ in range(3_000):
        view = random_view(rng)
        expected = torch.ops.aten.is_non_overlapping_and_dense(view)
        assert is_non_overlapping_and_dense(view.shape, view.stride()) == expected
    last = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
    assert torch_check(last.shape, last.stride()) == "no"


# -- two tensors -----------------------------------------------------------------------------------


def bytes_of(tensor):
    places = (
        tensor.data_ptr()
        + tensor.element_size() * (locations(tensor.shape, tensor.stride()).ravel()[:, None])
    )
    return set((places + np.arange(tensor.element_size())).ravel().tolist())


def window(rng, storage, sizes):
    """Dense in half of the cases: those are what torch looks at."""
    strides = rng.integers(0, 6, size=len(sizes)).tolist()
    if rng.random() < 0.5:
        order = rng.permutation(len(sizes)).tolist()
        strides = (
            torch.zeros([sizes[k] for k in order]).permute(np.argsort(order).tolist()).stride()
        )
    return storage.as_strided(sizes, strides, int(rng.integers(0, 12)))


def some_sizes(rng):
    return rng.integers(0 if rng.random() < 0.1 else 1, 4, size=rng.integers(0, 4)).tolist()


def test_ten_thousand_pairs_of_windows_agree_with_torch_and_with_enumeration(record_property):
    rng = np.random.default_rng(11)
    storage = torch.zeros(64)
    counts = {}
    for _ in range(10_000):
        sizes = some_sizes(rng)
        written, read = window(rng, storage, sizes), window(rng, storage, sizes)
        found = explain_pair(written, read)
        assert (found.pair is not None) == bool(bytes_of(written) & bytes_of(read))
        if found.pair:
            assert written[found.pair[0]].data_ptr() == read[found.pair[1]].data_ptr()
        if explain(written).write_is_legal:
            assert raised(written.add_, read) == found.error
            case = found.check, found.pair is not None
            counts[case] = counts.get(case, 0) + 1
    assert set(counts) == {
        *(("no", False), ("full", True), ("partial", True)),
        *(("too hard", False), ("too hard", True)),
    }
    assert min(counts.values()) > 100
    record_property("summary", f"memory overlap: 10000 pairs, written {counts}")


def test_pairs_of_different_types_share_bytes():
    rng = np.random.default_rng(12)
    storage = torch.zeros(64, dtype=torch.float64)
    types = (torch.float64, torch.float32, torch.int16, torch.uint8)
    for _ in range(3_000):
        written, read = (
            window(rng, storage.view(types[rng.integers(4)]), some_sizes(rng)) for _ in range(2)
        )
        found = explain_pair(written, read)
        assert (found.pair is not None) == bool(bytes_of(written) & bytes_of(read))
        if found.pair:
            assert bytes_of(written[found.pair[0]]) & bytes_of(read[found.pair[1]])


def test_partial_overlap_is_refused_full_overlap_and_copies_are_not():
    x = torch.arange(6.0)
    assert explain_pair(x[1:], x[:-1]).error == PARTIAL_OVERLAP == raised(x[1:].add_, x[:-1])
    assert explain_pair(x, x.view(6)).check == "full" and raised(x.add_, x.view(6)) is None
    assert explain_pair(x, x).check == "same" and raised(x.add_, x) is None
    assert explain_pair(x[1:], x[:-1].clone()) == explain_pair(x[1:], torch.ones(5))
    square = torch.arange(9.0).view(3, 3)
    assert explain_pair(square, square.T).error == raised(square.add_, square.T) == PARTIAL_OVERLAP


def test_partial_overlap_that_torch_does_not_see_reads_what_was_written():
    x = torch.arange(10.0)
    written, read = x[::2][1:], x[::2][:-1]
    found = explain_pair(written, read)
    assert (found.check, found.error) == ("too hard", None) and found.pair is not None
    right = written + read
    written.add_(read)
    assert not torch.equal(written, right)


# -- autograd's own rules --------------------------------------------------------------------------


def test_leaves_are_refused_before_overlap_and_not_without_gradients():
    leaf = torch.zeros(3, 1, requires_grad=True)
    for tensor, message in (
        (leaf, LEAF),
        (leaf.expand(3, 4), VIEW_OF_LEAF),
        (leaf[1:], VIEW_OF_LEAF),
        ((leaf * 1).expand(3, 4), INTERNAL_OVERLAP),
        (leaf.detach().expand(3, 4), INTERNAL_OVERLAP),
        (leaf * 1, None),
        (leaf.detach(), None),
        (nn.Parameter(torch.zeros(1).expand(3)), LEAF),
    ):
        assert explain(tensor).error == message == raised(tensor.add_, 1)
    with torch.no_grad():
        for tensor, message in (
            (leaf, None),
            (leaf.expand(3, 4), INTERNAL_OVERLAP),
            (nn.Parameter(torch.zeros(1).expand(3)), INTERNAL_OVERLAP),
        ):
            assert explain(tensor).error == message == raised(tensor.add_, 1)


# -- reports and errors ----------------------------------------------------------------------------


def test_the_report_says_it_in_words():
    text = str(explain(torch.zeros(3, 1).expand(3, 4)))
    assert "shape (3, 4), strides (1, 0), offset 0, float32" in text
    assert "12 elements in 3 locations (12 bytes) of a storage of 3 (12 bytes)" in text
    assert "yes: elements [0, 0] and [0, 1], for example" in text
    assert "refused, RuntimeError: unsupported operation: more than one element" in text

    text = str(explain(torch.zeros(6, dtype=torch.float64).unfold(0, 3, 1)))
    assert "12 elements in 6 locations (48 bytes)" in text
    assert "too hard" in text and "passes, but must not be used" in text
    assert "passes, and is safe" in str(explain(torch.zeros(2, 3)))


def test_the_table_says_the_same_as_the_text():
    found = explain(torch.zeros(3, 1).expand(3, 4))
    words = re.sub(r"<[^>]+>", " ", found._repr_html_())
    assert repr(found) == str(found)
    for name, text in found.rows.items():
        assert name.replace("'", "&#x27;") in words and text.replace("'", "&#x27;") in words


def test_the_report_of_a_pair_names_the_common_elements():
    x = torch.arange(6.0)
    found = explain_pair(x[1:], x[:-1])
    text, (first, second) = str(found), found.pair
    assert first[0] + 1 == second[0]
    assert f"written{list(first)} is read{list(second)}, for example" in text
    assert "refused, RuntimeError: unsupported" in text
    assert "none" in str(explain_pair(x[1:], x[:1])) and "passes" in str(explain_pair(x, x))


def test_reports_do_not_read_or_change_the_tensor():
    x = torch.full((3, 1), float("nan")).expand(3, 4)
    version = x._version
    explain(x), explain_pair(x, x[0])
    assert x._version == version and x.isnan().all()


@pytest.mark.parametrize("function", [explain, lambda x: explain_pair(torch.zeros(1), x)])
def test_what_has_no_strided_memory_is_refused(function):
    for wrong in (np.zeros(3), [1.0], None):
        with pytest.raises(TypeError, match=r"takes a torch\.Tensor, got "):
            function(wrong)
    for wrong in (torch.zeros(3, device="meta"), torch.eye(2).to_sparse()):
        with pytest.raises(ValueError, match="takes a strided tensor with memory, got layout"):
            function(wrong)


@pytest.mark.parametrize("function", [locations, shared_pair, count_locations])
def test_geometry_that_is_none_is_refused(function):
    with pytest.raises(ValueError, match="strides: takes one for each of the 2 sizes"):
        function((2, 3), (1,))
    with pytest.raises(ValueError, match="sizes: takes whole numbers >= 0"):
        function((2, -3), (1, 1))
