"""Exercises of chapter 19: the race."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rlcore.exercises.exercise import Arguments, Exercise
from rlcore.validation import Floats

# -- who guessed what ------------------------------------------------------------------------------


def _tokens_by_guess(accepted: Sequence[int], count: int) -> list[bool]:
    each = [k < kept for kept in accepted for k in range(kept + 1)]
    return each[:count]


def _own_token_first(accepted: Sequence[int], count: int) -> list[bool]:
    return [k > 0 for kept in accepted for k in range(kept + 1)][:count]


def _guesses_alone(accepted: Sequence[int], count: int) -> list[bool]:
    return [k < kept for kept in accepted for k in range(max(1, kept))][:count]


def _without_the_cut(accepted: Sequence[int], count: int) -> list[bool]:
    return _tokens_by_guess(accepted, count + len(accepted))


def _tokens_by_guess_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"accepted": [2], "count": 3}
    yield {"accepted": [0, 2, 1], "count": 6}
    yield {"accepted": [1, 3], "count": 5}  # the text ends with the last guess
    for _ in range(3):
        accepted = rng.integers(0, 4, 6).tolist()
        yield {"accepted": accepted, "count": sum(accepted) + 6 - int(accepted[-1] > 0)}


# -- what a step costs -----------------------------------------------------------------------------


def _speedup_from_steps(
    accepted: Sequence[int], sizes: Sequence[int], times: Floats, drafting: float
) -> float:
    tokens = sum(accepted) + len(accepted)
    seconds = sum(times[n] for n in sizes) + drafting * len(sizes)
    return float(tokens * times[0] / seconds)


def _root_left_out(
    accepted: Sequence[int], sizes: Sequence[int], times: Floats, drafting: float
) -> float:
    tokens = sum(accepted) + len(accepted)
    seconds = sum(times[max(0, n - 1)] for n in sizes) + drafting * len(sizes)
    return float(tokens * times[0] / seconds)


def _bonus_left_out(
    accepted: Sequence[int], sizes: Sequence[int], times: Floats, drafting: float
) -> float:
    return _speedup_from_steps(accepted, sizes, times, drafting) * (
        sum(accepted) / (sum(accepted) + len(accepted))
    )


def _time_of_what_was_kept(
    accepted: Sequence[int], sizes: Sequence[int], times: Floats, drafting: float
) -> float:
    return _speedup_from_steps(accepted, accepted, times, drafting)


def _mean_of_steps(
    accepted: Sequence[int], sizes: Sequence[int], times: Floats, drafting: float
) -> float:
    pairs = zip(accepted, sizes, strict=True)
    return float(np.mean([(k + 1) * times[0] / (times[n] + drafting) for k, n in pairs]))


def _speedup_from_steps_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    curve = np.array([1.0, 1.1, 1.2, 1.3, 1.5, 1.8])
    yield {"accepted": [2], "sizes": [3], "times": curve, "drafting": 0.0}
    yield {"accepted": [0, 2, 4], "sizes": [2, 2, 5], "times": curve, "drafting": 0.25}
    for _ in range(4):
        sizes = rng.integers(1, 6, 5)
        yield {
            "accepted": [int(rng.integers(0, n + 1)) for n in sizes] or [0],
            "sizes": sizes.tolist(),
            "times": 0.04 * curve,
            "drafting": round(float(rng.uniform(0.001, 0.02)), 3),
        }


# -- choose here, report there ---------------------------------------------------------------------


def _ratios(
    tokens: Floats, seconds: Floats, plain_tokens: Floats, plain_seconds: Floats, rows: Floats
) -> Floats:
    """(settings,) all tokens by all seconds, against plain decoding."""
    speed = tokens[:, rows].sum(axis=1) / seconds[:, rows].sum(axis=1)
    return np.asarray(speed * plain_seconds[rows].sum() / plain_tokens[rows].sum())


def _honest_speedup(
    tokens: Floats,
    seconds: Floats,
    plain_tokens: Floats,
    plain_seconds: Floats,
    tuning: Sequence[int],
) -> tuple[int, float]:
    here = np.zeros(tokens.shape[1], dtype=bool)
    here[list(tuning)] = True
    every = (tokens, seconds, plain_tokens, plain_seconds)
    chosen = int(np.argmax(_ratios(*every, here)))
    return chosen, float(_ratios(*every, ~here)[chosen])


def _chosen_where_reported(
    tokens: Floats,
    seconds: Floats,
    plain_tokens: Floats,
    plain_seconds: Floats,
    tuning: Sequence[int],
) -> tuple[int, float]:
    there = np.ones(tokens.shape[1], dtype=bool)
    there[list(tuning)] = False
    found = _ratios(tokens, seconds, plain_tokens, plain_seconds, there)
    return int(np.argmax(found)), float(found.max())


def _reported_where_chosen(
    tokens: Floats,
    seconds: Floats,
    plain_tokens: Floats,
    plain_seconds: Floats,
    tuning: Sequence[int],
) -> tuple[int, float]:
    here = np.zeros(tokens.shape[1], dtype=bool)
    here[list(tuning)] = True
    found = _ratios(tokens, seconds, plain_tokens, plain_seconds, here)
    return int(np.argmax(found)), float(found.max())


def _all_prompts(
    tokens: Floats,
    seconds: Floats,
    plain_tokens: Floats,
    plain_seconds: Floats,
    tuning: Sequence[int],
) -> tuple[int, float]:
    found = _ratios(
        tokens, seconds, plain_tokens, plain_seconds, np.ones(tokens.shape[1], dtype=bool)
    )
    return int(np.argmax(found)), float(found.max())


def _mean_of_ratios(
    tokens: Floats,
    seconds: Floats,
    plain_tokens: Floats,
    plain_seconds: Floats,
    tuning: Sequence[int],
) -> tuple[int, float]:
    chosen, _ = _honest_speedup(tokens, seconds, plain_tokens, plain_seconds, tuning)
    ratios = tokens[chosen] / seconds[chosen] * plain_seconds / plain_tokens
    return chosen, float(np.delete(ratios, list(tuning)).mean())


def _honest_speedup_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    # On the tuning prompt the second setting is faster, on the other the first.
    yield {
        "tokens": np.array([[10.0, 30.0], [10.0, 30.0]]),
        "seconds": np.array([[1.0, 1.0], [0.5, 2.0]]),
        "plain_tokens": np.array([10.0, 30.0]),
        "plain_seconds": np.array([1.0, 3.0]),
        "tuning": [0],
    }
    for settings, prompts in ((2, 4), (3, 6), (4, 6)):
        lengths = rng.integers(10, 60, prompts).astype(float)
        gains = rng.uniform(0.7, 3.0, (settings, prompts))
        yield {
            "tokens": np.tile(lengths, (settings, 1)),
            "seconds": (lengths / gains).round(1),
            "plain_tokens": lengths,
            "plain_seconds": (lengths * rng.uniform(0.9, 1.1, prompts)).round(1),
            "tuning": sorted(rng.choice(prompts, prompts // 2, replace=False).tolist()),
        }


EXERCISES = (
    Exercise(
        19,
        1,
        "tokens_by_guess",
        "Who guessed what",
        "easy",
        10,
        _tokens_by_guess,
        _tokens_by_guess_cases,
        {
            "the target's own token ends a step, it does not begin it": _own_token_first,
            "every step has one token more than were kept": _guesses_alone,
            "the text may end within the guesses of the last step: count says where": (
                _without_the_cut
            ),
        },
    ),
    Exercise(
        19,
        2,
        "speedup_from_steps",
        "What a step costs",
        "medium",
        15,
        _speedup_from_steps,
        _speedup_from_steps_cases,
        {
            "the pass scores the root as well: n guesses take T(n + 1)": _root_left_out,
            "each step gives one token more than were kept": _bonus_left_out,
            "guesses that were rejected took time, too": _time_of_what_was_kept,
            "all tokens by all the time, not the mean over the steps": _mean_of_steps,
        },
    ),
    Exercise(
        19,
        3,
        "honest_speedup",
        "Choose here, report there",
        "hard",
        20,
        _honest_speedup,
        _honest_speedup_cases,
        {
            "the setting was chosen on the prompts that are reported": _chosen_where_reported,
            "what is reported are the prompts on which nothing was chosen": _reported_where_chosen,
            "choose on the tuning prompts alone, and report the others alone": _all_prompts,
            "all tokens by all the time, not the mean of the prompts' ratios": _mean_of_ratios,
        },
    ),
)
