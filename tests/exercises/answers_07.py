"""Chapter 07: solutions as a reader would write them, without the package, and wrong ones."""

import numpy as np


def linear_q_update(weights, phi, action, reward, next_phi, terminated, alpha, gamma):
    target = reward if terminated else reward + gamma * max(weights @ next_phi)
    new = weights.copy()
    new[action] += alpha * (target - weights[action] @ phi) * phi
    return new


def one_weight_divergence(features, distribution, transition, gamma, alpha):
    here = following = 0.0
    for s, phi in enumerate(features):
        here += distribution[s] * phi * phi
        following += distribution[s] * phi * sum(transition[s] * features)
    critical = here / following if following > 0 else float("inf")
    return 1 - alpha * here + alpha * gamma * following, critical


def tdc_update(w, h, phi, reward, next_phi, terminated, ratio, alpha, beta, gamma):
    discount = 0.0 if terminated else gamma
    delta = reward + discount * w @ next_phi - w @ phi
    new_w = w + alpha * ratio * (delta * phi - discount * (phi @ h) * next_phi)
    new_h = h + beta * ratio * (delta - phi @ h) * phi
    return new_w, new_h


SOLUTIONS = (
    linear_q_update,
    one_weight_divergence,
    tdc_update,
)


# Wrong answers besides the usual mistakes.


def value_instead_of_weights(weights, phi, action, *rest):
    return linear_q_update(weights, phi, action, *rest)[action] @ phi


def divided_by_the_features(weights, phi, action, reward, next_phi, terminated, alpha, gamma):
    return linear_q_update(
        weights, phi, action, reward, next_phi, terminated, alpha / (phi @ phi), gamma
    )


def mean_of_the_next_actions(weights, phi, action, reward, next_phi, terminated, alpha, gamma):
    averaged = np.tile(weights.mean(axis=0), (len(weights), 1))
    averaged[action] = weights[action]
    return linear_q_update(averaged, phi, action, reward, next_phi, terminated, alpha, gamma)


def critical_gamma_only(*arguments):
    return one_weight_divergence(*arguments)[1]


def never_above_one(features, distribution, transition, gamma, alpha):
    factor, critical = one_weight_divergence(features, distribution, transition, gamma, alpha)
    return factor, min(critical, 1.0)


def alpha_forgotten(features, distribution, transition, gamma, alpha):
    return one_weight_divergence(features, distribution, transition, gamma, 1.0)


def gtd2(w, h, phi, reward, next_phi, terminated, ratio, alpha, beta, gamma):
    discount = 0.0 if terminated else gamma
    _, new_h = tdc_update(w, h, phi, reward, next_phi, terminated, ratio, alpha, beta, gamma)
    return w + alpha * ratio * (phi - discount * next_phi) * (phi @ h), new_h


def step_sizes_swapped(w, h, phi, reward, next_phi, terminated, ratio, alpha, beta, gamma):
    return tdc_update(w, h, phi, reward, next_phi, terminated, ratio, beta, alpha, gamma)


def h_not_returned(*arguments):
    return tdc_update(*arguments)[0]


WRONG = {
    "linear_q_update": [
        value_instead_of_weights,
        divided_by_the_features,
        mean_of_the_next_actions,
    ],
    "one_weight_divergence": [critical_gamma_only, never_above_one, alpha_forgotten],
    "tdc_update": [gtd2, step_sizes_swapped, h_not_returned],
}
