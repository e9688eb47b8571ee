"""Chapter 18: solutions as a reader would write them, without the package, and wrong ones."""

import numpy as np


def guess_reads(method, k, i):
    if method in {"Medusa", "blockwise"}:
        return [i], []
    if method == "Meta":
        return list(range(i + 1)), []
    return list(range(i + 1)), list(range(1, i + k + 1))


def one_head_at_a_time(maps, heads, x, targets):
    features = maps.T @ x
    collected = 0.0
    for_heads = []
    for weights, target in zip(heads, targets, strict=True):
        law = np.exp(weights.T @ features)
        law = law / law.sum()
        error = law - np.eye(len(law))[target]
        for_heads.append(features[:, None] * error[None, :])
        collected = collected + weights @ error
    return x[:, None] * collected[None, :], for_heads


def best_nodes(parents, confidence, count):
    values = {-1: 1.0}
    for node, parent in enumerate(parents):
        values[node] = values[parent] * confidence[node]
    del values[-1]
    return sorted(sorted(values, key=values.get, reverse=True)[:count])


SOLUTIONS = (
    guess_reads,
    one_head_at_a_time,
    best_nodes,
)


# Wrong answers besides the usual mistakes.


def feature_of_the_last_column_only(method, k, i):
    return [i], guess_reads(method, k, i)[1]


def only_the_committed_tokens(method, k, i):
    return guess_reads(method, 1, i)


def probability_without_the_target(maps, heads, x, targets):
    features = maps.T @ x
    collected = sum(np.exp(w.T @ features) @ w.T for w in heads)
    return np.outer(x, collected), one_head_at_a_time(maps, heads, x, targets)[1]


def heads_swapped(maps, heads, x, targets):
    trunk, for_heads = one_head_at_a_time(maps, heads, x, targets)
    return trunk, for_heads[::-1]


def smallest_values(parents, confidence, count):
    return sorted(set(range(len(parents))) - set(best_nodes(parents, confidence, count)))


def sum_along_the_path(parents, confidence, count):
    values = {-1: 0.0}
    for node, parent in enumerate(parents):
        values[node] = values[parent] + confidence[node]
    del values[-1]
    return sorted(sorted(values, key=values.get, reverse=True)[:count])


WRONG = {
    "guess_reads": [feature_of_the_last_column_only, only_the_committed_tokens],
    "one_head_at_a_time": [probability_without_the_target, heads_swapped],
    "best_nodes": [smallest_values, sum_along_the_path],
}
