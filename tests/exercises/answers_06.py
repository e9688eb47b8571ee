"""Chapter 06: solutions as a reader would write them, without the package, and wrong ones."""

import math

import numpy as np


def active_tiles(x, low, high, tiles, tilings):
    found = []
    for k in range(tilings):
        tile = math.floor((x - low) / (high - low) * tiles + k / tilings)
        found.append(k * (tiles + 1) + min(max(tile, 0), tiles))
    return found


def linear_td_update(weights, features, reward, next_features, terminated, alpha, gamma):
    target = reward if terminated else reward + gamma * weights @ next_features
    return weights + alpha * (target - weights @ features) * features


def td_linear(features, transition, rewards, distribution, gamma):
    D, identity = np.diag(distribution), np.eye(len(rewards))
    A = features.T @ D @ (identity - gamma * transition) @ features
    b = features.T @ D @ rewards
    return A, b, np.linalg.inv(A) @ b


SOLUTIONS = (active_tiles, linear_td_update, td_linear)


# Wrong answers besides the usual mistakes.


def shifted_the_other_way(x, low, high, tiles, tilings):
    at = (x - low) / (high - low) * tiles - np.arange(tilings) / tilings
    return np.arange(tilings) * (tiles + 1) + np.clip(np.floor(at), 0, tiles)


def shifted_in_units_of_the_box(x, low, high, tiles, tilings):
    return [
        k * (tiles + 1)
        + min(max(math.floor(tiles * ((x - low) / (high - low) + k / tilings)), 0), tiles)
        for k in range(tilings)
    ]


def low_is_taken_for_zero(x, low, high, tiles, tilings):
    return active_tiles(x, 0.0, high - low, tiles, tilings)


def binary_features_instead(x, low, high, tiles, tilings):
    phi = np.zeros(tilings * (tiles + 1))
    phi[active_tiles(x, low, high, tiles, tilings)] = 1
    return phi


def divided_by_the_number_of_features(
    weights, features, reward, next_features, terminated, alpha, gamma
):
    alpha = alpha / len(features)
    return linear_td_update(weights, features, reward, next_features, terminated, alpha, gamma)


def normalized(weights, features, reward, next_features, terminated, alpha, gamma):
    alpha = alpha / (features @ features)
    return linear_td_update(weights, features, reward, next_features, terminated, alpha, gamma)


def only_the_change(weights, *rest):
    return linear_td_update(weights, *rest) - weights


def moves_to_the_reward(weights, features, reward, next_features, terminated, alpha, gamma):
    return linear_td_update(weights, features, reward, next_features, True, alpha, gamma)


def weights_alone(*arguments):
    return td_linear(*arguments)[2]


def bellman_error_minimum(features, transition, rewards, distribution, gamma):
    change = features - gamma * transition @ features
    A, b = change.T * distribution @ change, change.T * distribution @ rewards
    return A, b, np.linalg.solve(A, b)


def successor_features_on_the_left(features, transition, rewards, distribution, gamma):
    following = (transition @ features).T * distribution
    A, b = following @ (features - gamma * transition @ features), following @ rewards
    return A, b, np.linalg.lstsq(A, b, rcond=None)[0]


WRONG = {
    "active_tiles": [
        shifted_the_other_way,
        shifted_in_units_of_the_box,
        low_is_taken_for_zero,
        binary_features_instead,
    ],
    "linear_td_update": [
        divided_by_the_number_of_features,
        normalized,
        only_the_change,
        moves_to_the_reward,
    ],
    "td_linear": [weights_alone, bellman_error_minimum, successor_features_on_the_left],
}
