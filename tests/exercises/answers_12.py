"""Chapter 12: solutions as a reader would write them, without the package, and wrong ones."""

import numpy as np


def next_scale(scale, good_steps, overflow, growth, backoff, interval):
    if overflow:
        return backoff * scale, 0
    if good_steps + 1 < interval:
        return scale, good_steps + 1
    return growth * scale, 0


def largest_scale(gradients):
    scale = 2.0**-64
    with np.errstate(over="ignore"):
        while np.isfinite(np.float16(gradients * (2 * scale))).all() and scale < 2.0**63:
            scale *= 2
    return scale


def master_step(master, scaled_gradient, scale, max_norm, learning_rate):
    if np.isfinite(scaled_gradient).all():
        gradient = scaled_gradient / scale
        norm = np.sqrt((gradient**2).sum())
        if norm > max_norm:
            gradient = gradient * max_norm / norm
        master = master - learning_rate * gradient
    return master, master.astype(np.float16)


SOLUTIONS = (
    next_scale,
    largest_scale,
    master_step,
)


# Wrong answers besides the usual mistakes.


def scale_alone(*arguments):
    return next_scale(*arguments)[0]


def growth_in_every_good_step(scale, good_steps, overflow, growth, backoff, interval):
    return (backoff * scale, 0) if overflow else (growth * scale, 0)


def no_power_of_two(gradients):
    return 65504 / abs(gradients).max()


def one_power_too_small(gradients):
    return largest_scale(gradients) / 2


def masters_alone(*arguments):
    return master_step(*arguments)[0]


def infinite_gradients_applied(master, scaled_gradient, scale, max_norm, learning_rate):
    new = master - learning_rate * np.clip(scaled_gradient / scale, -max_norm, max_norm)
    return new, new.astype(np.float16)


WRONG = {
    "next_scale": [scale_alone, growth_in_every_good_step],
    "largest_scale": [no_power_of_two, one_power_too_small],
    "master_step": [masters_alone, infinite_gradients_applied],
}
