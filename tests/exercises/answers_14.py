"""Chapter 14: solutions as a reader would write them, without the package, and wrong ones."""

import numpy as np


def acceptance_of_two_laws(p, q):
    return 1 - abs(p - q).sum() / 2


def one_step(p, q, chance):
    x = chance.draw(q)
    if chance.accepts(p[x], q[x]):
        return x
    residual = np.maximum(0, p - q)
    return chance.draw(residual / residual.sum())


def best_length(alpha, pass_times, guess_time):
    best, best_speed = 0, 0.0
    for length in range(len(pass_times)):
        tokens = sum(alpha**k for k in range(length + 1))
        speed = tokens / (pass_times[length] + length * guess_time)
        if speed > best_speed:
            best, best_speed = length, speed
    return best


SOLUTIONS = (
    acceptance_of_two_laws,
    one_step,
    best_length,
)


# Wrong answers besides the usual mistakes.


def largest_common_part(p, q):
    return np.minimum(p, q).max()


def always_from_the_target(p, q, chance):
    return chance.draw(np.maximum(p, 0.5 * q))


def right_but_without_a_guess(p, q, chance):
    return chance.draw(p)


def right_but_blind_to_its_guess(p, q, chance):
    chance.draw(q)
    return chance.draw(p)


def kept_if_the_target_finds_it_likelier(p, q, chance):
    x = chance.draw(q)
    return x if p[x] >= q[x] else chance.draw(np.maximum(0, p - q))


def most_of_the_residual(p, q, chance):
    x = chance.draw(q)
    return x if chance.accepts(p[x], q[x]) else int(np.argmax(p - q))


def the_longest(alpha, pass_times, guess_time):
    return len(pass_times) - 1


def one_too_many(alpha, pass_times, guess_time):
    return best_length(alpha, pass_times, guess_time) + 1


WRONG = {
    "acceptance_of_two_laws": [largest_common_part],
    "one_step": [
        always_from_the_target,
        right_but_without_a_guess,
        right_but_blind_to_its_guess,
        kept_if_the_target_finds_it_likelier,
        most_of_the_residual,
    ],
    "best_length": [the_longest, one_too_many],
}
