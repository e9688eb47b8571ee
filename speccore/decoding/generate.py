"""The loop: a draft is made, one pass of the target scores it, a rule keeps one path.

Plain decoding is the same loop with an empty draft. At the start of each step the cache holds all
committed tokens but the last, which is read together with the draft.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlcore.validation import Floats, check_count
from speccore.decoding.acceptance import Rule, Verdict, greedy
from speccore.decoding.chance import Chance, SourceOfChance
from speccore.decoding.drafters.drafter import Drafter, NoDrafter, Target
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import NO_DRAFT, Draft
from speccore.models.kv_cache import KVCache
from speccore.models.language_model import LanguageModel

Ends = Callable[[Sequence[int]], bool]
"""Whether a text ends with the last of its new tokens."""


@dataclass(frozen=True)
class Output:
    """What was generated from one prompt, and how."""

    tokens: tuple[int, ...]
    """The new tokens, an end-of-text token included, without the prompt."""
    accepted_lengths: tuple[int, ...]
    """For each step the number of its tokens that were guessed. One more, not guessed, ends each
    step, unless the text ended within the guesses."""
    draft_lengths: tuple[int, ...]
    """For each step the depth of its draft."""
    draft_sizes: tuple[int, ...]
    """For each step the number of nodes of its draft."""
    timings: Mapping[str, float]
    """Seconds in all, by phase: "prompt" (reading it), "draft", "verify", "accept", "cache". The
    texts of a batch share them."""

    @property
    def steps(self) -> int:
        """Verifying passes of the target."""
        return len(self.accepted_lengths)

    @property
    def tokens_per_step(self) -> float:
        """Tokens a verifying pass; 1 in plain decoding."""
        return len(self.tokens) / self.steps

    @property
    def tokens_per_second(self) -> float:
        """Tokens a second, without the time that the prompt took."""
        return len(self.tokens) / (sum(self.timings.values()) - self.timings["prompt"])

    @property
    def was_guessed(self) -> tuple[bool, ...]:
        """For each token whether a drafter guessed it."""
        each = [k < kept for kept in self.accepted_lengths for k in range(kept + 1)]
        return tuple(each[: len(self.tokens)])

    @property
    def acceptance_by_position(self) -> NDArray[np.float64]:
        """(deepest draft,) how often a guess at depth 1, 2, … was kept, of the steps that had one
        there and kept the one before it; NaN where there was none."""
        kept, drafted = np.array(self.accepted_lengths), np.array(self.draft_lengths)
        depths = np.arange(1, drafted.max() + 1)[:, None]
        tried = ((drafted >= depths) & (kept >= depths - 1)).sum(axis=1)
        won = (kept >= depths).sum(axis=1)
        return np.divide(won, tried, out=np.full(len(depths), np.nan), where=tried > 0)

    @classmethod
    def pooled(cls, outputs: Iterable[Output]) -> Output:
        """Several outputs as one long one: their tokens, steps and times together.

        Raises:
            ValueError: no outputs.
        """
        several = list(outputs)
        if not several:
            raise ValueError("outputs: takes at least one")
        return cls(
            tokens=tuple(token for each in several for token in each.tokens),
            accepted_lengths=tuple(n for each in several for n in each.accepted_lengths),
            draft_lengths=tuple(n for each in several for n in each.draft_lengths),
            draft_sizes=tuple(n for each in several for n in each.draft_sizes),
            timings={
                phase: sum(each.timings[phase] for each in several) for phase in several[0].timings
            },
        )


def generate(
    model: LanguageModel,
    ids: Sequence[int] | Sequence[Sequence[int]],
    *,
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    drafter: Drafter | None = None,
    acceptance: Rule | None = None,
    seed: int = 0,
    stop: Sequence[str] = (),
) -> Any:
    """Text of a model, token by token or faster.

    With the default acceptance a drafter changes the speed and nothing else: at temperature 0 the
    tokens are those of plain decoding (but for ties closer than the rounding errors of a longer
    pass), at others they have the same law.

    Args:
        model: the target: a ``Transformer``, ``packed`` or not, or an ``adapter.CausalLM``.
        ids: the prompt, at least one token; or several prompts, decoded together, each as if it
            were alone.
        max_new_tokens: >= 1. The text ends earlier with the model's end-of-text token, or with a
            stop string.
        temperature, top_k, top_p: see ``Sampling``.
        drafter: None for plain decoding.
        acceptance: a rule of ``acceptance``; None for ``greedy`` at temperature 0 and the drafter's
            lossless rule at others.
        seed: whole number >= 0; prompt i is continued with seed + i.
        stop: strings; the text ends with the token that completes one.

    Returns:
        An ``Output``, or a list of them, one a prompt.

    Raises:
        ValueError, TypeError: an argument outside what it takes: an empty prompt, a token outside
            the vocabulary, more tokens than the model's context, a drafter of another vocabulary.
        FloatingPointError: NaN or infinite logits.
    """
    several = len(ids) > 0 and not isinstance(ids[0], int | np.integer)
    prompts: Any = ids if several else [ids]
    check_count("seed", seed, minimum=0)
    texts = [
        Text(list(prompt), max_new_tokens, drafter or NoDrafter(), Chance(seed + row))
        for row, prompt in enumerate(prompts)
    ]
    sampling = Sampling(temperature, top_k, top_p)
    for seconds in decode(model, texts, sampling, acceptance, stop):  # noqa: B007
        pass
    outputs = [text.output(seconds) for text in texts]
    return outputs if several else outputs[0]


def stream(
    model: LanguageModel,
    ids: Sequence[int],
    *,
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    drafter: Drafter | None = None,
    acceptance: Rule | None = None,
    seed: int = 0,
    stop: Sequence[str] = (),
) -> Iterator[int]:
    """The tokens of ``generate`` for one prompt, those of a step as soon as it is done.

    Arguments and errors are those of ``generate``.
    """
    text = Text(list(ids), max_new_tokens, drafter or NoDrafter(), Chance(seed))
    sampling = Sampling(temperature, top_k, top_p)
    return _new_tokens(text, decode(model, [text], sampling, acceptance, stop))


def _new_tokens(text: Text, steps: Iterator[object]) -> Iterator[int]:
    seen = len(text.tokens)
    for _ in steps:
        yield from text.tokens[seen:]
        seen = len(text.tokens)


@dataclass(eq=False)
class Text:
    """A text that grows, one row of a batch."""

    tokens: list[int]
    """All committed tokens; at first the prompt."""
    max_new_tokens: int
    drafter: Drafter
    chance: SourceOfChance
    prompt_length: int = field(init=False)
    draft: Draft = NO_DRAFT
    """Of the step under way."""
    features: Tensor = field(init=False)
    """(1, m, C) of the target, for the committed tokens that its last pass has read."""
    done: bool = False
    accepted_lengths: list[int] = field(default_factory=list)
    draft_lengths: list[int] = field(default_factory=list)
    draft_sizes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.prompt_length = len(self.tokens)

    @property
    def remaining(self) -> int:
        """Tokens that may still come."""
        return self.prompt_length + self.max_new_tokens - len(self.tokens)

    def output(self, seconds: Mapping[str, float]) -> Output:
        """What has become of it."""
        return Output(
            tokens=tuple(self.tokens[self.prompt_length :]),
            accepted_lengths=tuple(self.accepted_lengths),
            draft_lengths=tuple(self.draft_lengths),
            draft_sizes=tuple(self.draft_sizes),
            timings=dict(seconds),
        )

    def commit(self, verdict: Verdict, ends: Ends) -> None:
        """Take over what a rule has kept, up to the token that ends the text."""
        tree = self.draft.tree
        new = [*(int(tree.tokens[node]) for node in verdict.path), verdict.token]
        self.draft_lengths.append(tree.depth)
        self.draft_sizes.append(len(tree))
        self.accepted_lengths.append(len(verdict.path))
        for count, token in enumerate(new, start=1):
            self.tokens.append(token)
            if self.remaining == 0 or ends(self.tokens[self.prompt_length :]):
                self.done = True
                self.accepted_lengths[-1] = min(len(verdict.path), count)
                return


def decode(
    model: LanguageModel,
    texts: Sequence[Text],
    sampling: Sampling,
    acceptance: Rule | None = None,
    stop: Sequence[str] = (),
) -> Iterator[dict[str, float]]:
    """Continue texts, one step at a time: the loop that the course is about.

    Arguments are checked at the call, before the first step is asked for.

    Args:
        model: the target.
        texts: continued in place, the rows of one batch.
        sampling: how tokens are drawn.
        acceptance, stop: see ``generate``.

    Yields:
        After each step the seconds so far, by phase.
    """
    ends = _ends(model, stop)
    _check(model, texts)
    for text in texts:
        text.drafter = text.drafter.begin(model)
    return _steps(model, texts, sampling, acceptance, ends)


def _steps(
    model: LanguageModel,
    texts: Sequence[Text],
    sampling: Sampling,
    acceptance: Rule | None,
    ends: Ends,
) -> Iterator[dict[str, float]]:
    watch = Stopwatch(("prompt", "draft", "verify", "accept", "cache"))
    cache = _read_prompts(model, texts)
    watch.lap("prompt")
    while active := [row for row, text in enumerate(texts) if not text.done]:
        for row in active:
            text = texts[row]
            target = Target(model, cache.row(row), text.features)
            text.draft = text.drafter.propose(text.tokens, sampling, text.chance, target)
            text.draft = text.draft.up_to(text.remaining - 1)
        watch.lap("draft")
        before = cache.lengths  # committed tokens - 1
        logits, features = _verify(model, cache, texts)
        watch.lap("verify")
        verdicts = {}
        for row in active:
            text, scores = texts[row], logits[row, : len(texts[row].draft.tree) + 1]
            rule = acceptance or (greedy if sampling.temperature == 0 else text.drafter.lossless)
            try:
                p = sampling.law(scores)
            except FloatingPointError as error:
                step = len(text.accepted_lengths) + 1
                raise FloatingPointError(f"step {step} of text {row}: {error}") from None
            verdicts[row] = rule(text.draft, p, text.chance)
            text.drafter.observe(text.draft, verdicts[row], scores)
        watch.lap("accept")
        for row, text in enumerate(texts):
            if row in verdicts:
                path = verdicts[row].path
                cache.keep(path, start=before[row] + 1, row=row)
                text.commit(verdicts[row], ends)
                if text.drafter.needs_features:
                    text.features = _of_path(features[row : row + 1], path)
            else:
                cache.keep((), start=before[row], row=row)
        watch.lap("cache")
        yield watch.seconds


def _of_path(features: Tensor, path: tuple[int, ...]) -> Tensor:
    """(1, m, C): those of the root and of the nodes of a path."""
    if path == tuple(range(len(path))):  # next to each other: no copy
        return features[:, : len(path) + 1]
    return features[:, [0, *(node + 1 for node in path)]]


@torch.inference_mode()
def _read_prompts(model: LanguageModel, texts: Sequence[Text]) -> KVCache:
    """A cache that holds all tokens but the last of each text."""
    lengths = [len(text.tokens) - 1 for text in texts]
    longest = max(len(text.tokens) + text.max_new_tokens for text in texts)
    nodes = max(text.drafter.most_nodes for text in texts)
    cache = KVCache.of(model, len(texts), longest + nodes)
    features = cache.keys.new_zeros(len(texts), 0, model.config.width)
    if max(lengths):
        tokens = np.zeros((len(texts), max(lengths)), dtype=np.int64)
        for row, text in enumerate(texts):
            tokens[row, : lengths[row]] = text.tokens[:-1]
        features = model.features(torch.from_numpy(tokens).to(cache.keys.device), cache=cache)[-1]
        cache.roll_back(lengths)  # what stands behind the end of a shorter text
    for row, text in enumerate(texts):
        text.features = features[row : row + 1, : lengths[row]]
    return cache


@torch.inference_mode()
def _verify(model: LanguageModel, cache: KVCache, texts: Sequence[Text]) -> tuple[Floats, Tensor]:
    """One pass over the last token of each text and its draft.

    Returns:
        (B, n + 1, V) logits and (B, n + 1, C) features, n of the largest draft; rows of smaller
        ones are filled up.
    """
    trees = [text.draft.tree for text in texts]
    count = 1 + max(map(len, trees))
    tokens = np.zeros((len(texts), count), dtype=np.int64)
    for row, (text, tree) in enumerate(zip(texts, trees, strict=True)):
        tokens[row, 0] = text.tokens[-1]
        tokens[row, 1 : len(tree) + 1] = tree.tokens
    positions: NDArray[np.int64] | None = None
    mask: NDArray[np.bool_] | None = None
    if len(texts) > 1:
        positions = np.zeros((len(texts), count), dtype=np.int64)
        mask = np.broadcast_to(np.eye(count, dtype=bool), (len(texts), count, count)).copy()
        for row, (text, tree) in enumerate(zip(texts, trees, strict=True)):
            positions[row] = len(text.tokens) - 1
            positions[row, 1 : len(tree) + 1] += tree.depths
            mask[row, : len(tree) + 1, : len(tree) + 1] = tree.mask
    elif not trees[0].is_chain:  # else they are what the model assumes
        positions = len(texts[0].tokens) - 1 + np.append(0, trees[0].depths)
        mask = trees[0].mask
    there = cache.keys.device
    features = model.features(
        torch.from_numpy(tokens).to(there),
        None if positions is None else torch.tensor(positions, device=there),
        None if mask is None else torch.tensor(mask, device=there),
        cache,
    )[-1]
    return model.logits(features).cpu().double().numpy(), features


def _ends(model: LanguageModel, stop: Sequence[str]) -> Ends:
    """Whether new tokens end with what ends a text."""
    tokenizer = model.tokenizer
    if isinstance(stop, str) or not all(isinstance(each, str) and each for each in stop):
        raise TypeError(f"stop: takes a sequence of strings that are not empty, got {stop!r}")
    if tokenizer is None:
        if stop:
            raise ValueError("stop: takes a model with a tokenizer, got one without")
        return lambda tokens: False
    # A token is one byte at least, so that these are enough to show the longest stop string.
    longest = max((len(each.encode()) for each in stop), default=0)

    def ends(tokens: Sequence[int]) -> bool:
        if tokens[-1] == tokenizer.end_of_text:
            return True
        return bool(stop) and any(each in tokenizer.decode(tokens[-longest:]) for each in stop)

    return ends


def _check(model: LanguageModel, texts: Sequence[Text]) -> None:
    if not texts:
        raise ValueError("ids: takes at least one prompt, got none")
    config = model.config
    for text in texts:
        check_count("max_new_tokens", text.max_new_tokens)
        if not text.tokens:
            raise ValueError("ids: takes a prompt of at least one token, got none")
        for token in text.tokens:
            if not isinstance(token, int | np.integer) or isinstance(token, bool):
                raise TypeError(f"ids: takes whole numbers, got {token!r}")
            if not 0 <= token < config.vocab_size:
                raise ValueError(
                    f"ids: takes numbers from 0 to {config.vocab_size - 1}, got {token}"
                )
        if len(text.tokens) + text.max_new_tokens > config.context:
            raise ValueError(
                f"max_new_tokens: takes at most context − prompt = {config.context} − "
                f"{len(text.tokens)}, got {text.max_new_tokens}"
            )


class Stopwatch:
    """Seconds by phase; every second belongs to one.

    Args:
        phases: their names.
    """

    def __init__(self, phases: Sequence[str]) -> None:
        self.seconds = dict.fromkeys(phases, 0.0)
        self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        """The time since the last lap belongs to this phase."""
        now = time.perf_counter()
        self.seconds[phase] += now - self._last
        self._last = now
