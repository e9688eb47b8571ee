"""The race itself: every method on every prompt, in turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from rlcore.validation import check_count
from speccore.decoding.chance import Chance
from speccore.decoding.drafters import Drafter, NoDrafter
from speccore.decoding.generate import Output, Text, decode
from speccore.decoding.sampling import Sampling
from speccore.models.chat_prompts import CHAT_PROMPTS, TUNING_PROMPTS
from speccore.models.text import SubwordTokenizer, batches, standard_library
from speccore.models.transformer import Transformer
from speccore.race.methods import METHODS, PLAIN, Track, contestants
from speccore.race.results import PHASES, Prompt, Race, Run, differences

NEW_TOKENS = 48
ROUNDS = 2


def prompts_of(model: Transformer, *, tuning: bool = False) -> list[Prompt]:
    """The prompts of a model: tasks for one that chats, pieces of held-out files for one of bytes.

    Args:
        model: with its tokenizer.
        tuning: those on which settings are chosen, not those that are reported.
    """
    tokenizer = model.tokenizer
    if isinstance(tokenizer, SubwordTokenizer):
        kinds = TUNING_PROMPTS if tuning else CHAT_PROMPTS
        return [
            Prompt(kind, text, tuple(tokenizer.chat(text)))
            for kind, texts in kinds.items()
            for text in texts
        ]
    pieces = held_out_prompts(12, seed=8 if tuning else 7)
    return [
        Prompt("held-out code", bytes(ids).decode(errors="replace"), tuple(ids)) for ids in pieces
    ]


def held_out_prompts(count: int = 24, length: int = 64, *, seed: int = 7) -> list[list[int]]:
    """Pieces of files of the standard library on which no model of the course was trained."""
    generator = torch.Generator().manual_seed(seed)
    text = standard_library().validation
    pieces, _ = next(batches(text, batch=count, length=length, generator=generator))
    found: list[list[int]] = pieces.tolist()
    return found


def timed(
    model: Transformer, ids: Sequence[int], drafter: Drafter | None, new_tokens: int
) -> tuple[Output, list[float]]:
    """``generate`` for one prompt at temperature 0, with the seconds of each step."""
    text = Text(list(ids), new_tokens, drafter or NoDrafter(), Chance(0))
    clock = [0.0]
    for seconds in decode(model, [text], Sampling(0.0)):
        clock.append(sum(seconds[phase] for phase in PHASES))
    return text.output(seconds), np.diff(clock).tolist()


def take_turns(
    model: Transformer,
    prompts: Sequence[Prompt],
    drafters: Mapping[str, Drafter | None],
    *,
    rounds: int = ROUNDS,
    new_tokens: int = NEW_TOKENS,
    progress: bool = False,
) -> dict[str, tuple[Run, ...]]:
    """Decode every prompt with every drafter; a slow moment of the machine falls on all of them.

    Args:
        model: the target.
        prompts: in this order.
        drafters: name → drafter, None for plain decoding; who comes first changes from prompt to
            prompt.
        rounds: >= 1, after a prompt that does not count.
        new_tokens: >= 1, of a text at most.
        progress: show a bar.

    Returns:
        Name → a run for each prompt.

    Raises:
        RuntimeError: a round wrote another text than the one before: something is not repeatable.
    """
    check_count("rounds", rounds)
    check_count("new_tokens", new_tokens)
    names = list(drafters)
    found: dict[tuple[str, int], list[tuple[Output, list[float]]]] = {}
    for name in names:
        timed(model, prompts[0].ids, drafters[name], new_tokens)
    turns = list(product(range(rounds), range(len(prompts))))
    for turn, number in tqdm(turns, disable=not progress):
        first = (turn + number) % len(names)
        for name in names[first:] + names[:first]:
            one = timed(model, prompts[number].ids, drafters[name], new_tokens)
            before = found.setdefault((name, number), [])
            if before and _without_times(before[0][0]) != _without_times(one[0]):
                raise RuntimeError(f"{name} wrote prompt {number} in two ways")
            before.append(one)
    return {
        name: tuple(_run(found[name, number]) for number in range(len(prompts))) for name in names
    }


def _without_times(output: Output) -> tuple[Any, ...]:
    return output.tokens, output.accepted_lengths, output.draft_lengths, output.draft_sizes


def _run(rounds: Sequence[tuple[Output, list[float]]]) -> Run:
    outputs, steps = zip(*rounds, strict=True)
    return Run(outputs, tuple(np.median(steps, axis=0).tolist()))


def run_race(
    where: Track, *, rounds: int = ROUNDS, new_tokens: int = NEW_TOKENS, progress: bool = False
) -> Race:
    """Every method of a track on every prompt that is reported.

    Args:
        where: the model.
        rounds, new_tokens, progress: as of ``take_turns``.
    """
    prompts = prompts_of(where.model)
    drafters = contestants(where)
    runs = take_turns(
        where.model, prompts, drafters, rounds=rounds, new_tokens=new_tokens, progress=progress
    )
    tokenizer = where.model.tokenizer
    assert tokenizer is not None
    written = {token for each in runs.values() for run in each for token in run.output.tokens}
    margins = {}
    for name, number, place in differences(runs):
        text = [*prompts[number].ids, *runs[PLAIN][number].output.tokens[:place]]
        margins[name, number] = margin(where.model, text)
    return Race(
        model=where.name,
        sha256=where.sha256,
        pass_times=where.times,
        reading_time=where.reading_time,
        settings={
            name: dict(METHODS[where.name][name].settings) if name != PLAIN else {} for name in runs
        },
        prompts=tuple(prompts),
        runs=runs,
        vocabulary={token: tokenizer.decode([token]) for token in sorted(written)},
        margins=margins,
    )


@torch.inference_mode()
def margin(model: Transformer, ids: Sequence[int]) -> float:
    """How far the two largest logits after a text are apart."""
    given = torch.tensor([list(ids)], device=model.device)
    best = model(given)[0, -1].cpu().double().topk(2).values
    return float(best[0] - best[1])


def tune(
    where: Track, *, rounds: int = ROUNDS, new_tokens: int = NEW_TOKENS, progress: bool = False
) -> Iterator[tuple[str, dict[str, float]]]:
    """How fast each combination of settings is on the tuning prompts, against plain decoding.

    All of a method take turns, as in the race. A setting's number is the time that plain decoding
    takes for all texts together over its own.

    Args:
        where: the model.
        rounds, new_tokens, progress: as of ``take_turns``.

    Yields:
        Each method with its settings, as Python writes them → speed-up.
    """
    prompts = prompts_of(where.model, tuning=True)
    for name, method in METHODS[where.name].items():
        if not (method.is_available and method.tried):
            continue
        several = [
            {**method.settings, **dict(zip(method.tried, values, strict=True))}
            for values in product(*method.tried.values())
        ]
        drafters = {repr(settings): method.make(where, **settings) for settings in several}
        runs = take_turns(
            where.model,
            prompts,
            {PLAIN: None, **drafters},
            rounds=rounds,
            new_tokens=new_tokens,
            progress=progress,
        )
        speeds = {each: _speed(found) for each, found in runs.items()}
        yield name, {each: speeds[each] / speeds[PLAIN] for each in drafters}


def _speed(runs: Sequence[Run]) -> float:
    return Output.pooled(output for run in runs for output in run.outputs).tokens_per_second
