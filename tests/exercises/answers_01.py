"""Chapter 01: solutions as a reader would write them, without the package, and wrong ones."""

import numpy as np


def bellman_backup(outcomes, policy, values, gamma):
    total = 0.0
    for action in outcomes:
        for probability, next_state, reward, terminated in outcomes[action]:
            following = 0.0 if terminated else values[next_state]
            total += policy[action] * probability * (reward + gamma * following)
    return total


def policy_values(transitions, rewards, policy, gamma):
    states = len(rewards)
    matrix = sum(policy[:, a, None] * transitions[:, a] for a in range(rewards.shape[1]))
    return np.linalg.inv(np.eye(states) - gamma * matrix) @ (policy * rewards).sum(axis=1)


def value_iteration_sweep(transitions, rewards, values, gamma):
    new = np.empty_like(values)
    for state in range(len(values)):
        new[state] = max(
            rewards[state, action] + gamma * transitions[state, action] @ values
            for action in range(rewards.shape[1])
        )
    return new, gamma / (1 - gamma) * max(abs(new - values))


SOLUTIONS = (
    bellman_backup,
    policy_values,
    value_iteration_sweep,
)


# Wrong answers besides the usual mistakes.


def wrong_backup(outcomes, policy, values, gamma):
    return bellman_backup(outcomes, policy, values, gamma**2)


def most_likely_backup(outcomes, policy, values, gamma):
    return bellman_backup({a: [max(each)] for a, each in outcomes.items()}, policy, values, gamma)


def values_of_the_greedy_policy(transitions, rewards, policy, gamma):
    return policy_values(transitions, rewards, np.eye(policy.shape[1])[policy.argmax(1)], gamma)


def bound_of_the_mean_change(transitions, rewards, values, gamma):
    new, _ = value_iteration_sweep(transitions, rewards, values, gamma)
    return new, gamma / (1 - gamma) * abs(new - values).mean()


def values_without_bound(transitions, rewards, values, gamma):
    return value_iteration_sweep(transitions, rewards, values, gamma)[0]


WRONG = {
    "bellman_backup": [wrong_backup, most_likely_backup],
    "policy_values": [values_of_the_greedy_policy],
    "value_iteration_sweep": [bound_of_the_mean_change, values_without_bound],
}
