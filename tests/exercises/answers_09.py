"""Chapter 09: solutions as a reader would write them, without the package, and wrong ones."""

import numpy as np


def dropout_output(x, u, p, training):
    if not training:
        return x
    return x * (u >= p) / (1 - p)


def batch_norm_step(x, running_mean, running_var, momentum, eps, training):
    if not training:
        return (x - running_mean) / (running_var + eps) ** 0.5, running_mean, running_var
    n = len(x)
    mean = x.sum(axis=0) / n
    squares = ((x - mean) ** 2).sum(axis=0)
    new_mean = running_mean + momentum * (mean - running_mean)
    new_var = running_var + momentum * (squares / (n - 1) - running_var)
    return (x - mean) / (squares / n + eps) ** 0.5, new_mean, new_var


def mlp_from_state(state, x):
    count = len(state) // 2
    for layer in range(count):
        x = x @ state[f"{2 * layer}.weight"].T + state[f"{2 * layer}.bias"]
        if layer < count - 1:
            x = np.maximum(x, 0)
    return x


SOLUTIONS = (
    dropout_output,
    batch_norm_step,
    mlp_from_state,
)


# Wrong answers besides the usual mistakes.


def scaled_by_what_was_drawn(x, u, p, training):
    if not training:
        return x
    kept = u >= p
    return x * kept / max(kept.mean(), 1e-9)


def always_off(x, u, p, training):
    return x


def running_statistics_in_training(x, running_mean, running_var, momentum, eps, training):
    _, new_mean, new_var = batch_norm_step(x, running_mean, running_var, momentum, eps, training)
    return (x - running_mean) / (running_var + eps) ** 0.5, new_mean, new_var


def eps_outside_the_root(x, running_mean, running_var, momentum, eps, training):
    _, new_mean, new_var = batch_norm_step(x, running_mean, running_var, momentum, eps, training)
    mean, var = (x.mean(axis=0), x.var(axis=0)) if training else (running_mean, running_var)
    return (x - mean) / (var**0.5 + eps), new_mean, new_var


def one_layer_too_few(state, x):
    return mlp_from_state({name: state[name] for name in sorted(state)[:-2]}, x)


def sigmoid_between(state, x):
    count = len(state) // 2
    for layer in range(count):
        x = x @ state[f"{2 * layer}.weight"].T + state[f"{2 * layer}.bias"]
        if layer < count - 1:
            x = 1 / (1 + np.exp(-x))
    return x


WRONG = {
    "dropout_output": [scaled_by_what_was_drawn, always_off],
    "batch_norm_step": [running_statistics_in_training, eps_outside_the_root],
    "mlp_from_state": [one_layer_too_few, sigmoid_between],
}
