"""The atlas is complete, every pair is equal, and no pair would be equal to another call."""

import ast
import copy
import inspect
import warnings
from functools import cache
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from speccore.foundations import functional_pairs
from speccore.foundations.functional_pairs import (
    NEW,
    PAIRS,
    ConvClassifier,
    Pair,
    TransformerBlock,
    build,
    conv_classifier,
    differences,
    discover,
    examine,
    function_of,
    observe,
    overhead,
    plain_state,
    tensors_of,
    transformer_block,
)

every_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.module_name)
NAMED = {pair.module_name: pair for pair in PAIRS}


@cache
def report(name):
    return examine(NAMED[name])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """These tensors are tiny: a second thread only waits for the first."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def namespace(original, **changes):
    """A torch.nn or torch.nn.functional of another version; None removes a name."""
    names = {**vars(original), **changes}
    return SimpleNamespace(**{name: found for name, found in names.items() if found is not None})


# -- completeness ----------------------------------------------------------------------------------


def test_everything_public_in_the_installed_torch_is_paired_or_explained():
    atlas = discover()
    assert atlas.unexplained == ()
    assert atlas.missing == ()
    modules = {
        name
        for name in dir(nn)
        if inspect.isclass(getattr(nn, name)) and issubclass(getattr(nn, name), nn.Module)
    }
    assert {*atlas.pairs, *atlas.modules_alone} == modules
    assert len(atlas.pairs) == len(PAIRS) >= 100
    assert not set(atlas.pairs) & set(atlas.modules_alone)
    called = {pair.function_name for pair in atlas.pairs.values()}
    assert not called & set(atlas.functions_alone)
    # PyTorch's own list: what a tensor subclass may override in nn.functional.
    overridable = {
        f for f in torch.overrides.get_overridable_functions()[F] if f.__name__[0] != "_"
    }
    assert len(overridable) > 100
    assert overridable <= {getattr(F, name) for name in {*called, *atlas.functions_alone}}


def test_reasons_are_given_for_each_thing_once():
    atlas = discover()
    assert all(len(reason) > 15 for reason in atlas.modules_alone.values())
    assert all(len(reason) > 15 for reason in atlas.functions_alone.values())
    assert len({pair.module_name for pair in PAIRS}) == len(PAIRS)


def test_functions_that_the_reasons_name_exist_and_compute_the_same():
    x = torch.randn(2, 3, 4)
    assert torch.equal(nn.Flatten()(x), torch.flatten(x, 1))
    assert torch.equal(nn.Unflatten(2, (2, 2))(x), torch.unflatten(x, 2, (2, 2)))
    cell, hidden = nn.GRUCell(4, 5), torch.randn(3, 5)
    of_function = torch.gru_cell(x[0], hidden, *cell.parameters())
    assert torch.equal(cell(x[0], hidden), of_function)
    cell = nn.LSTMCell(4, 5)
    of_function = torch.lstm_cell(x[0], (hidden, hidden), *cell.parameters())
    assert torch.equal(cell(x[0], (hidden, hidden))[0], of_function[0])
    for kind in ("tanh", "relu"):
        cell = nn.RNNCell(4, 5, nonlinearity=kind)
        of_function = getattr(torch, f"rnn_{kind}_cell")(x[0], hidden, *cell.parameters())
        assert torch.equal(cell(x[0], hidden), of_function)
    start = torch.zeros(1, 3, 5)
    for layer, function in ((nn.GRU(4, 5), torch.gru), (nn.RNN(4, 5), torch.rnn_tanh)):
        weights = list(layer.parameters())
        of_function = function(x, start, weights, True, 1, 0.0, True, False, False)
        assert torch.equal(layer(x, start)[0], of_function[0])
    layer = nn.LSTM(4, 5)
    weights = list(layer.parameters())
    of_function = torch.lstm(x, (start, start), weights, True, 1, 0.0, True, False, False)
    assert torch.equal(layer(x, (start, start))[0], of_function[0])


def test_a_newer_torch_shows_what_it_adds_as_unpaired():
    class Swirl(nn.Module):
        pass

    def swirl(x):
        return x

    swirl.__module__ = "torch.nn.functional"
    atlas = discover(namespace(nn, Swirl=Swirl), namespace(F, swirl=swirl))
    assert atlas.unexplained == ("nn.Swirl", "F.swirl")
    assert atlas.modules_alone["Swirl"] == atlas.functions_alone["swirl"] == NEW
    assert atlas.pairs == discover().pairs
    pair = Pair("nn.Swirl()", "F.swirl(x)", "x=normal(2)")
    atlas = discover(namespace(nn, Swirl=Swirl), namespace(F, swirl=swirl), (*PAIRS, pair))
    assert atlas.unexplained == ()


def test_an_older_torch_shows_what_it_lacks_as_missing():
    older = namespace(nn, LinearCrossEntropyLoss=None), namespace(F, linear_cross_entropy=None)
    atlas = discover(*older)
    assert atlas.missing == ("nn.LinearCrossEntropyLoss", "F.linear_cross_entropy")
    assert "LinearCrossEntropyLoss" not in atlas.pairs
    assert discover(functions=older[1]).modules_alone["LinearCrossEntropyLoss"] == NEW


@every_pair
def test_a_pair_that_is_dropped_does_not_go_unnoticed(pair):
    atlas = discover(pairs=[each for each in PAIRS if each != pair])
    assert f"nn.{pair.module_name}" in atlas.unexplained


# -- equality --------------------------------------------------------------------------------------


@every_pair
@pytest.mark.parametrize("seed", [1, 2])
def test_module_and_function_are_equal_to_the_last_bit(pair, seed):
    assert report(pair.module_name).differences == ()
    assert examine(pair, seed).differences == ()


@every_pair
def test_gradients_of_all_that_can_have_one_are_compared(pair):
    module, inputs = build(pair)
    fractional = [name for name, tensor in inputs.items() if tensor.is_floating_point()]
    parameters = [name for name, _ in module.named_parameters()]
    assert list(report(pair.module_name).gradients) == fractional + parameters


@every_pair
def test_the_call_is_the_named_function_and_uses_tensors_and_mode_alone(pair):
    call = ast.parse(pair.function, mode="eval").body
    assert ast.unparse(call.func) == f"F.{pair.function_name}"
    module, inputs = build(pair)
    assert isinstance(module, getattr(nn, pair.module_name)) or "Lazy" in pair.module
    found = report(pair.module_name)
    used = {ast.unparse(n) for n in ast.walk(call) if isinstance(n, ast.Attribute)}
    own = {name.removeprefix("m.") for name in used if name.startswith("m.")}
    tensors = {*found.parameters, *found.buffers}
    parents = {name.rpartition(".")[0] for name in tensors}
    assert own <= {"training", *tensors, *parents}
    assert set(inputs) <= {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}


def test_what_modules_add_is_what_the_documentation_says():
    reports = {name: report(name) for name in NAMED}
    adds = {name: found.adds for name, found in reports.items()}
    assert adds["ReLU"] == adds["MaxPool2d"] == adds["MSELoss"] == "nothing"
    assert adds["Conv2d"] == adds["Linear"] == adds["LayerNorm"] == "weight, bias"
    assert adds["PReLU"] == adds["Embedding"] == adds["RMSNorm"] == "weight"
    assert adds["Dropout"] == "mode"
    assert adds["BatchNorm2d"] == (
        "weight, bias, running_mean, running_var, num_batches_tracked, mode"
    )
    dropout = {name for name in NAMED if "Dropout" in name}
    norms = {name for name in NAMED if "BatchNorm" in name or "InstanceNorm" in name}
    moded = {name for name, found in reports.items() if found.mode_matters}
    assert moded == {*dropout, *norms, "RReLU", "MultiheadAttention"}
    random = {name for name, found in reports.items() if found.random}
    pools = {"FractionalMaxPool2d", "FractionalMaxPool3d"}
    assert random == {*dropout, *pools, "RReLU", "MultiheadAttention"}
    counted = {name for name, found in reports.items() if found.module_only}
    assert counted == {name for name in norms if "BatchNorm" in name}
    assert report("BatchNorm1d").module_only == ("num_batches_tracked",)


# -- sensitivity: each pair against wrong calls ----------------------------------------------------

OTHER_WORD = {
    "sum": "mean",
    "batchmean": "sum",
    "reflect": "replicate",
    "replicate": "reflect",
    "circular": "reflect",
    "tanh": "none",
    "bicubic": "bilinear",
    "bilinear": "bicubic",
    "nearest": "bilinear",
}


def mutants(pair):
    """Calls that are wrong in one place, as text: what a typing error or a lapse would give."""
    found = report(pair.module_name)
    tensors = {*found.parameters, *found.buffers}
    tree = ast.parse(pair.function, mode="eval")
    inside = [node for node in ast.walk(tree) if node is not tree.body.func]
    for number, node in enumerate(inside):
        for wrong in _instead_of(node, tensors):
            yield _rewritten(tree, number, wrong)
    for keyword in range(len(tree.body.keywords)):
        changed = copy.deepcopy(tree)
        del changed.body.keywords[keyword]
        yield ast.unparse(changed)


def _instead_of(node, tensors):
    """What could stand there by mistake."""
    match node:
        case ast.Constant(value=bool(value)):
            yield str(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield str(value + 1)
        case ast.Constant(value=str(value)):
            yield repr(OTHER_WORD[value])
        case ast.Attribute(attr="training"):
            yield from ("True", "False", "not m.training")
        case ast.Attribute() if ast.unparse(node).removeprefix("m.") in tensors:
            yield f"torch.ones_like({ast.unparse(node)})"


def _rewritten(tree, number, wrong):
    changed = copy.deepcopy(tree)
    target = [node for node in ast.walk(changed) if node is not changed.body.func][number]
    for parent in ast.walk(changed):
        for field, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, field, ast.parse(wrong, mode="eval").body)
            elif isinstance(value, list):
                value[:] = [
                    ast.parse(wrong, mode="eval").body if each is target else each for each in value
                ]
    return ast.unparse(changed)


def without_gradient(pair):
    """Calls with the right value through which no gradient comes back to one of the tensors."""
    tree = ast.parse(pair.function, mode="eval")
    inside = [node for node in ast.walk(tree) if node is not tree.body.func]
    for number, node in enumerate(inside):
        name = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
        if name.removeprefix("m.") in report(pair.module_name).gradients:
            yield _rewritten(tree, number, f"{name}.detach()")


def survives(pair, call):
    """Whether the atlas would believe this call; one that ends in an error, it would not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return examine(pair._replace(function=call)).equal
    except (TypeError, ValueError, RuntimeError, AttributeError, AssertionError, IndexError):
        return False


# Left out, the dimension is guessed, by a deprecated rule that gives the same for four dimensions.
HARMLESS = {"F.softmax(x)"}


@every_pair
def test_no_wrong_call_is_believed(pair):
    believed = [call for call in mutants(pair) if survives(pair, call)]
    assert set(believed) <= (HARMLESS if pair.module_name == "Softmax2d" else set())


@every_pair
def test_a_lost_gradient_is_noticed(pair):
    calls = list(without_gradient(pair))
    assert len(calls) >= len(report(pair.module_name).gradients)
    for call in calls:
        wrong = examine(pair._replace(function=call)).differences
        # Value right, gradient wrong: the values alone would not have told.
        assert wrong and all("gradient" in each for each in wrong), call


@every_pair
def test_a_tensor_that_is_forgotten_changes_a_value(pair):
    """Not only a gradient or a state: parameters are examined away from where they start."""
    for call in (call for call in mutants(pair) if "torch.ones_like(" in call):
        wrong = examine(pair._replace(function=call)).differences
        assert any("output" in each for each in wrong), call


def test_there_are_many_wrong_calls():
    assert sum(len(list(mutants(pair))) for pair in PAIRS) > 500
    assert sum(len(list(without_gradient(pair))) for pair in PAIRS) > 200
    conv = NAMED["Conv2d"]
    calls = list(mutants(conv))
    assert conv.function.replace("padding=1", "padding=2") in calls
    assert conv.function.replace(", groups=2", "") in calls


def test_the_other_mode_alone_can_be_wrong():
    dropout = NAMED["Dropout"]
    always = examine(dropout._replace(function="F.dropout(x, 0.3)"))
    assert always.differences == ("eval: output 0", "eval: gradient of x")
    never = examine(dropout._replace(function="F.dropout(x, 0.3, training=False)"))
    assert never.differences == ("train: output 0", "train: gradient of x")


def test_state_that_is_left_behind_is_compared():
    norm = NAMED["BatchNorm1d"]
    slow = examine(norm._replace(function=norm.function.replace("0.3", "0.1")))
    assert slow.differences == ("train: state running_mean", "train: state running_var")


def test_observations_differ_in_dtype_and_in_what_is_there():
    one = {"output 0": torch.ones(2)}
    assert differences(one, {"output 0": torch.ones(2)}) == ()
    assert differences(one, {"output 0": torch.ones(2, dtype=torch.float64)}) == ("output 0",)
    assert differences(one, {"output 0": torch.ones(1)}) == ("output 0",)
    assert differences(one, {}) == differences({}, one) == ("output 0",)


def test_examining_leaves_random_numbers_and_inputs_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    for name in ("Dropout", "BatchNorm1d", "FractionalMaxPool2d"):
        assert examine(NAMED[name]) == report(name)
        module, inputs = build(NAMED[name])
        kept = inputs["x"].clone()
        observe(module, module, inputs, seed=3)
        assert torch.equal(inputs["x"], kept) and not inputs["x"].requires_grad
    overhead(PAIRS[0], repeats=2, calls=1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_function_gets_no_module():
    attention = NAMED["MultiheadAttention"]
    module, inputs = build(attention)
    bare = tensors_of(module.eval())
    assert type(bare) is type(bare.out_proj) is SimpleNamespace
    assert bare.training is False and bare.out_proj.weight is module.out_proj.weight
    output, _ = function_of(attention, inputs)(bare, *inputs.values())
    assert torch.equal(output, module(*inputs.values())[0])


# -- overhead --------------------------------------------------------------------------------------


def test_overhead_is_measured_with_its_spread():
    slow = Pair("nn.ReLU()", "F.relu(x)", "x=normal(4)")
    cost = overhead(slow, repeats=30, calls=20)
    assert cost.module > 0 and cost.function > 0
    assert cost.quartiles[0] <= cost.extra <= cost.quartiles[1]


def test_overhead_finds_a_cost_that_is_known():
    """A function that first makes 300 tensors is slower than a module that makes none."""
    wasteful = Pair(
        "nn.ReLU()", "F.relu(x + sum(torch.zeros(1) for _ in range(300)))", "x=normal(4)"
    )
    assert overhead(wasteful, repeats=10, calls=2).extra < -50


def test_overhead_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="repeats: takes a whole number >= 2, got 1"):
        overhead(PAIRS[0], repeats=1)
    with pytest.raises(ValueError, match="calls: takes a whole number >= 1, got 0"):
        overhead(PAIRS[0], calls=0)


# -- the same models both ways ---------------------------------------------------------------------

IMAGES = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(16, (3, 7), generator=torch.Generator().manual_seed(0))
MODELS = {
    "conv classifier": (ConvClassifier, conv_classifier, IMAGES),
    "transformer block": (TransformerBlock, transformer_block, TOKENS),
}
both_models = pytest.mark.parametrize(("make", "function", "x"), MODELS.values(), ids=MODELS)


def seeded(seed, call):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return call()


@both_models
def test_models_written_both_ways_stay_identical_while_they_learn(make, function, x):
    module = seeded(0, make)
    state = plain_state(module)
    assert list(state) and state.keys() == module.state_dict().keys()
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    for step in range(10):
        logits = seeded(step, lambda: module(x))
        of_function = seeded(step, lambda: function(state, x, training=True))
        assert torch.equal(logits, of_function)
        optimiser.zero_grad()
        logits.square().mean().backward()
        of_function.square().mean().backward()
        optimiser.step()
        for name, parameter in module.named_parameters():
            assert torch.equal(parameter.grad, state[name].grad), name
            with torch.no_grad():
                state[name].add_(state[name].grad, alpha=-0.1)  # one rounding, as in SGD
            state[name].grad = None
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    module.eval()
    assert torch.equal(module(x), function(state, x, training=False))


@both_models
def test_state_of_a_function_loads_into_a_module_and_back(make, function, x):
    module, other = seeded(1, make).eval(), seeded(2, make).eval()
    state = plain_state(other)
    assert not torch.equal(module(x), other(x))
    assert str(module.load_state_dict(state)) == "<All keys matched successfully>"
    assert torch.equal(module(x), other(x))
    assert torch.equal(function(plain_state(module), x, training=False), other(x))
    assert torch.equal(torch.func.functional_call(seeded(3, make).eval(), state, (x,)), other(x))


def test_plain_state_shares_nothing_with_the_module():
    module = seeded(0, ConvClassifier)
    state = plain_state(module)
    conv_classifier(state, IMAGES, training=True)
    assert not module.norm1.running_mean.any() and state["norm1.running_mean"].any()
    assert state["norm1.num_batches_tracked"] == 1
    assert all(state[name].requires_grad for name, _ in module.named_parameters())
    assert not state["norm1.running_mean"].requires_grad


def test_the_transformer_sees_no_later_token():
    module = seeded(0, TransformerBlock).eval()
    changed = TOKENS.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 16
    one, other = module(TOKENS), module(changed)
    assert torch.equal(one[:, :4], other[:, :4])
    assert not torch.allclose(one[:, 4:], other[:, 4:])


def test_everything_is_exported():
    assert all(hasattr(functional_pairs, name) for name in functional_pairs.__all__)
    assert len(set(functional_pairs.__all__)) == len(functional_pairs.__all__)
