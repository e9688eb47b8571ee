"""Chapter 15: solutions as a reader would write them, without the package, and wrong ones."""

from collections import Counter

import numpy as np


def lookup(text, longest, shortest):
    for size in range(longest, shortest - 1, -1):
        for start in range(len(text) - size - 1, -1, -1):
            if text[start : start + size] == text[len(text) - size :]:
                return text[start + size]
    return -1


def witten_bell(text, context, vocab_size):
    law = np.full(vocab_size, 1 / vocab_size)
    for size in range(len(context) + 1):
        h = tuple(context[len(context) - size :])
        windows = zip(*(text[k:] for k in range(size + 1)), strict=False)
        counts = Counter(window[-1] for window in windows if window[:-1] == h)
        total, different = sum(counts.values()), len(counts)
        if total:
            seen = np.array([counts[x] for x in range(vocab_size)])
            law = (seen + different * law) / (total + different)
    return law


def best_exit(acceptance, layers):
    best, answer = 1.0, (0, 0)
    for k, alpha in enumerate(acceptance, start=1):
        for length in range(1, 65):
            tokens = sum(alpha**i for i in range(length + 1))
            gain = tokens / (1 + length * k / layers)
            if gain > best + 1e-12:
                best, answer = gain, (k, length)
    return answer


SOLUTIONS = (
    lookup,
    witten_bell,
    best_exit,
)


# Wrong answers besides the usual mistakes.


def always_shortest_size(text, longest, shortest):
    return lookup(text, shortest, shortest)


def whole_continuation(text, longest, shortest):
    return [lookup(text, longest, shortest)]


def longest_context_alone(text, context, vocab_size):
    following = [
        text[i + len(context)]
        for i in range(len(text) - len(context))
        if text[i : i + len(context)] == context
    ]
    counts = np.bincount(following or [0], minlength=vocab_size)
    uniform, different = 1 / vocab_size, np.count_nonzero(counts)
    return (counts + different * uniform) / (counts.sum() + different)


def not_normalised(text, context, vocab_size):
    return 2 * witten_bell(text, context, vocab_size)


def exit_alone(acceptance, layers):
    return best_exit(acceptance, layers)[0]


def pays_above_one_half(acceptance, layers):
    for k, alpha in enumerate(acceptance, start=1):
        if alpha > 0.5:
            return k, 4
    return 0, 0


WRONG = {
    "lookup": [always_shortest_size, whole_continuation],
    "witten_bell": [longest_context_alone, not_normalised],
    "best_exit": [exit_alone, pays_above_one_half],
}
