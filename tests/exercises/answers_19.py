"""Chapter 19: solutions as a reader would write them, without the package, and wrong ones."""

import numpy as np


def tokens_by_guess(accepted, count):
    written = []
    for kept in accepted:
        written += [True] * kept + [False]
    return written[:count]


def speedup_from_steps(accepted, sizes, times, drafting):
    tokens = seconds = 0
    for kept, guesses in zip(accepted, sizes, strict=True):
        tokens += kept + 1
        seconds += times[guesses] + drafting
    return tokens * times[0] / seconds


def honest_speedup(tokens, seconds, plain_tokens, plain_seconds, tuning):
    reported = [n for n in range(len(plain_tokens)) if n not in tuning]

    def speed(row, prompts):
        return sum(tokens[row][n] for n in prompts) / sum(seconds[row][n] for n in prompts)

    best = max(range(len(tokens)), key=lambda row: speed(row, tuning))
    plain = sum(plain_tokens[n] for n in reported) / sum(plain_seconds[n] for n in reported)
    return best, speed(best, reported) / plain


SOLUTIONS = (
    tokens_by_guess,
    speedup_from_steps,
    honest_speedup,
)


# Wrong answers besides the usual mistakes.


def everything_guessed(accepted, count):
    return [True] * count


def one_token_too_few(accepted, count):
    return tokens_by_guess(accepted, count - 1)


def draft_paid_a_guess(accepted, sizes, times, drafting):
    tokens = sum(accepted) + len(accepted)
    return tokens * times[0] / sum(times[n] + n * drafting for n in sizes)


def drafting_for_nothing(accepted, sizes, times, drafting):
    return speedup_from_steps(accepted, sizes, times, 0.0)


def slowest_setting(tokens, seconds, plain_tokens, plain_seconds, tuning):
    return honest_speedup(tokens, -seconds, plain_tokens, -plain_seconds, tuning)


def seconds_as_they_are(tokens, seconds, plain_tokens, plain_seconds, tuning):
    best, _ = honest_speedup(tokens, seconds, plain_tokens, plain_seconds, tuning)
    reported = np.setdiff1d(np.arange(len(plain_tokens)), tuning)
    return best, plain_seconds[reported].mean() / np.median(seconds[best][reported])


WRONG = {
    "tokens_by_guess": [everything_guessed, one_token_too_few],
    "speedup_from_steps": [draft_paid_a_guess, drafting_for_nothing],
    "honest_speedup": [slowest_setting, seconds_as_they_are],
}
