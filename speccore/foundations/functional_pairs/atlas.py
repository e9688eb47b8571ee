"""The atlas: which modules and functions this torch has, which belong together, and the proof."""

from __future__ import annotations

import copy
import inspect
import timeit
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlcore.threads import one_thread as _one_thread
from rlcore.validation import check_count
from speccore.foundations.functional_pairs.pairs import PAIRS, Pair
from speccore.foundations.functional_pairs.reasons import FUNCTIONS_ALONE, MODULES_ALONE

NEW = "unpaired: new in this torch, or forgotten"
# Where torch.nn.functional imports its own machinery from: these are not operations.
MACHINERY = {"torch._C", "torch._jit_internal", "torch.overrides"}


def public_modules(namespace: Any = nn) -> dict[str, type[nn.Module]]:
    """The module classes of ``torch.nn`` by name, found in the torch that is installed."""
    return {
        name: found
        for name, found in sorted(vars(namespace).items())
        if not name.startswith("_") and inspect.isclass(found) and issubclass(found, nn.Module)
    }


def public_functions(namespace: Any = F) -> dict[str, Callable[..., Any]]:
    """The functions of ``torch.nn.functional`` by name, found in the torch that is installed."""
    return {
        name: found
        for name, found in sorted(vars(namespace).items())
        if not name.startswith("_")
        and inspect.isroutine(found)
        and getattr(found, "__module__", None) not in MACHINERY
    }


@dataclass(frozen=True)
class Atlas:
    """Every public module and function of one torch: paired, or alone with the reason."""

    pairs: Mapping[str, Pair]
    """Name of a module → its pair."""
    modules_alone: Mapping[str, str]
    """Name of a module without a function → the reason, or ``NEW``."""
    functions_alone: Mapping[str, str]
    """Name of a function without a module → the reason, or ``NEW``."""
    missing: tuple[str, ...]
    """Names that the lists of the atlas have and this torch has not."""

    @property
    def unexplained(self) -> tuple[str, ...]:
        """Modules and functions that stand in no list: what a newer torch has added."""
        alone = [
            *((f"nn.{name}", reason) for name, reason in self.modules_alone.items()),
            *((f"F.{name}", reason) for name, reason in self.functions_alone.items()),
        ]
        return tuple(name for name, reason in alone if reason == NEW)


def discover(modules: Any = nn, functions: Any = F, pairs: Sequence[Pair] = PAIRS) -> Atlas:
    """Look up what this torch has, and hold the list of pairs against it.

    Nothing is left out silently: what is in torch and in no list comes back as ``NEW``, and what
    is in a list but not in torch as ``missing``.

    Args:
        modules: the namespace of the modules.
        functions: the namespace of the functions.
        pairs: the pairs to look for.
    """
    classes, calls = public_modules(modules), public_functions(functions)
    found = {
        pair.module_name: pair
        for pair in pairs
        if pair.module_name in classes and pair.function_name in calls
    }
    called = {pair.function_name for pair in found.values()}
    listed_modules = {*(pair.module_name for pair in pairs), *MODULES_ALONE}
    listed_functions = {*(pair.function_name for pair in pairs), *FUNCTIONS_ALONE}
    return Atlas(
        pairs=found,
        modules_alone={n: MODULES_ALONE.get(n, NEW) for n in classes if n not in found},
        functions_alone={n: FUNCTIONS_ALONE.get(n, NEW) for n in calls if n not in called},
        missing=(
            *(f"nn.{name}" for name in sorted(listed_modules - set(classes))),
            *(f"F.{name}" for name in sorted(listed_functions - set(calls))),
        ),
    )


# -- one pair, run ---------------------------------------------------------------------------------


def build(pair: Pair, seed: int = 0) -> tuple[nn.Module, dict[str, Tensor]]:
    """The module of a pair, and inputs for it.

    Parameters and buffers are moved away from where modules start (weights of 1, biases and means
    of 0): there, a call that forgets one would give the same numbers.

    Returns:
        The module in training mode, and its inputs by name.
    """
    names = _names(seed)
    inputs = eval(f"dict({pair.inputs})", names)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(seed)
        warnings.simplefilter("ignore", FutureWarning)  # a deprecated name is still a name
        module = eval(pair.module, names)
        module(*inputs.values())  # lazy modules make their parameters now
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor += names["positive"](*tensor.shape)
    return module, inputs


def function_of(pair: Pair, inputs: Mapping[str, Tensor]) -> Callable[..., Any]:
    """The functional call of a pair as a function of ``m`` and the inputs."""
    return eval(f"lambda m, {', '.join(inputs)}: {pair.function}", _names(0))


def _copy(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # a deprecated name warns of each copy
        return copy.deepcopy(module)


def tensors_of(module: nn.Module) -> SimpleNamespace:
    """What a functional call may use of a module: its tensors and its mode, and no method."""
    kept: dict[str, Any] = dict(module.named_parameters(recurse=False))
    kept |= dict(module.named_buffers(recurse=False))
    kept |= {name: tensors_of(child) for name, child in module.named_children()}
    return SimpleNamespace(training=module.training, **kept)


def _names(seed: int) -> dict[str, Any]:
    """What the texts of a pair may use: random tensors of a seed of their own, and torch."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def uniform(*shape: int) -> Tensor:
        return 0.05 + 0.9 * torch.rand(*shape, generator=generator)

    def positive(*shape: int) -> Tensor:
        return 0.5 + torch.rand(*shape, generator=generator)

    return {
        "torch": torch,
        "nn": nn,
        "F": F,
        "normal": normal,
        "uniform": uniform,
        "positive": positive,
    }


Observation = dict[str, Tensor]


def observe(
    call: Callable[..., Any],
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    seed: int,
) -> Observation:
    """Everything that one call does: outputs, gradients of all it depends on, state left behind.

    The gradients are those of a random linear function of the outputs, so that an error in any
    entry of a Jacobian shows.

    Args:
        call: a function of the inputs.
        module: whose parameters and buffers the call uses.
        inputs: name → tensor; those with a fractional dtype get a gradient.
        seed: of the randomness that the call may use.
    """
    ours = {name: tensor.detach().clone() for name, tensor in inputs.items()}
    sources = {n: t.requires_grad_() for n, t in ours.items() if t.is_floating_point()}
    sources |= dict(module.named_parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        outputs = list(_flat(call(*ours.values())))
    seen = {f"output {number}": output.detach() for number, output in enumerate(outputs)}
    smooth = [output for output in outputs if output.requires_grad]
    if smooth:
        generator = torch.Generator().manual_seed(0)
        directions = [torch.randn(each.shape, generator=generator) for each in smooth]
        gradients = torch.autograd.grad(
            smooth, list(sources.values()), directions, allow_unused=True
        )
        for name, gradient in zip(sources, gradients, strict=True):
            if gradient is not None:
                seen[f"gradient of {name}"] = gradient
    return seen | {f"state {name}": buffer.clone() for name, buffer in module.named_buffers()}


def _flat(outputs: Any) -> Iterator[Tensor]:
    if isinstance(outputs, Tensor):
        yield outputs
    else:
        for each in outputs:
            yield from _flat(each)


def differences(one: Observation, other: Observation) -> tuple[str, ...]:
    """What two observations disagree about: equal means equal to the last bit."""

    def same(name: str) -> bool:
        a, b = one.get(name), other.get(name)
        return a is not None and b is not None and a.dtype == b.dtype and torch.equal(a, b)

    return tuple(name for name in dict.fromkeys([*one, *other]) if not same(name))


@dataclass(frozen=True)
class Report:
    """What was found out about one pair."""

    pair: Pair
    differences: tuple[str, ...]
    """Where module and function disagree: ``train: gradient of weight``. Empty: they are equal."""
    gradients: tuple[str, ...]
    """Inputs and parameters whose gradients were compared."""
    parameters: tuple[str, ...]
    """Learnt tensors that the module keeps."""
    buffers: tuple[str, ...]
    """Other tensors that the module keeps."""
    mode_matters: bool
    """Whether the module does something else after ``eval()``."""
    random: bool
    """Whether another seed gives another result."""
    module_only: tuple[str, ...]
    """Buffers that the module updates by itself; the function is not even given them."""

    @property
    def equal(self) -> bool:
        """No difference in value, gradient or state, in either mode."""
        return not self.differences

    @property
    def kind(self) -> str:
        """What sort of thing the module adds: ``parameters + buffers + mode``, ``nothing`` …"""
        parts = {
            "parameters": self.parameters,
            "buffers": self.buffers,
            "mode": self.mode_matters,
        }
        return " + ".join(name for name, present in parts.items() if present) or "nothing"

    @property
    def adds(self) -> str:
        """What the module adds to the function, by name."""
        facts = [*self.parameters, *self.buffers, *(["mode"] if self.mode_matters else [])]
        return ", ".join(facts) or "nothing"


def examine(pair: Pair, seed: int = 0) -> Report:
    """Run module and function side by side, in both modes, and compare all that they do.

    Args:
        pair: to examine.
        seed: of parameters, inputs and the randomness of the calls.
    """
    with _one_thread():
        return _examine(pair, seed)


def _examine(pair: Pair, seed: int) -> Report:
    module, inputs = build(pair, seed)
    function = function_of(pair, inputs)
    found: list[str] = []
    module_only: set[str] = set()
    seen = {}
    for mode in ("train", "eval"):
        one, other = (_copy(module).train(mode == "train") for _ in range(2))
        seen[mode] = observe(one, one, inputs, seed)
        of_function = observe(partial(function, tensors_of(other)), other, inputs, seed)
        for name in differences(seen[mode], of_function):
            kind, _, what = name.partition(" ")
            if kind == "state" and f"m.{what}" not in pair.function:
                module_only.add(what)
            else:
                found.append(f"{mode}: {name}")
    again = _copy(module)
    return Report(
        pair=pair,
        differences=tuple(found),
        gradients=tuple(
            name.removeprefix("gradient of ") for name in seen["train"] if "gradient" in name
        ),
        parameters=tuple(name for name, _ in module.named_parameters()),
        buffers=tuple(name for name, _ in module.named_buffers()),
        mode_matters=bool(differences(seen["train"], seen["eval"])),
        random=bool(differences(seen["train"], observe(again, again, inputs, seed + 1))),
        module_only=tuple(sorted(module_only)),
    )


# -- what a module costs ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Overhead:
    """Time of a call, in microseconds."""

    module: float
    """Median of the module's call."""
    function: float
    """Median of the function's call."""
    extra: float
    """Median over the repeats of module − function."""
    quartiles: tuple[float, float]
    """The middle half of the repeats of module − function."""


def overhead(pair: Pair, *, repeats: int = 40, calls: int = 5) -> Overhead:
    """How much longer the module's call takes than the function's, one thread, without gradients.

    In each repeat one is timed right after the other, in turns first, so that a busy machine
    disturbs both alike; the median forgets the repeats in which it disturbed only one.

    Args:
        pair: to measure, on its own small inputs, where the overhead weighs most.
        repeats: number of pairs of measurements, at least 2.
        calls: number of calls in each measurement.
    """
    check_count("repeats", repeats, minimum=2)
    check_count("calls", calls)
    module, inputs = build(pair)
    names = {**_names(0), **inputs, "module": module, "m": tensors_of(module)}
    statements = [f"module({', '.join(inputs)})", pair.function]
    timers = [timeit.Timer(statement, globals=names) for statement in statements]
    times = np.empty((repeats, 2))
    with torch.no_grad(), torch.random.fork_rng(devices=[]), _one_thread():
        for timer in timers:
            timer.timeit(calls)  # the first calls are slower than all others
        for repeat in range(repeats):
            for which in (0, 1) if repeat % 2 else (1, 0):
                times[repeat, which] = timers[which].timeit(calls) / calls * 1e6
    extra = times[:, 0] - times[:, 1]
    of_module, of_function = np.median(times, axis=0)
    low, middle, high = np.quantile(extra, (0.25, 0.5, 0.75))
    return Overhead(float(of_module), float(of_function), float(middle), (float(low), float(high)))
