"""Chapter 08: solutions as a reader would write them, without the package, and wrong ones."""

import numpy as np


def huber_gradient(y, q):
    error = q - y
    return np.where(np.abs(error) <= 1, error, np.sign(error)) / len(error)


def dqn_targets(rewards, terminated, next_q, next_q_target, gamma, double):
    targets = []
    for i, reward in enumerate(rewards):
        chooser = next_q if double else next_q_target
        value = next_q_target[i][chooser[i].argmax()]
        targets.append(reward if terminated[i] else reward + gamma * value)
    return targets


def remember(memory, position, size, new):
    memory = memory.copy()
    for row in new:
        memory[position] = row
        position = (position + 1) % len(memory)
        size = min(size + 1, len(memory))
    return memory, position, size


SOLUTIONS = (
    huber_gradient,
    dqn_targets,
    remember,
)


# Wrong answers besides the usual mistakes.


def loss_instead_of_gradient(y, q):
    size = np.abs(q - y)
    return np.where(size <= 1, size**2 / 2, size - 0.5) / len(y)


def clipped_once_for_the_batch(y, q):
    return (q - y) / max(1.0, np.abs(q - y).max()) / len(y)


def smaller_of_both_networks(rewards, terminated, next_q, next_q_target, gamma, double):
    value = np.minimum(next_q, next_q_target).max(axis=1)
    return rewards + np.where(terminated, 0, gamma) * value


def no_reward_at_the_end(rewards, terminated, next_q, next_q_target, gamma, double):
    targets = dqn_targets(rewards, terminated, next_q, next_q_target, gamma, double)
    return np.where(terminated, 0.0, targets)


def one_row_alone(memory, position, size, new):
    return remember(memory, position, size, new[:1])


def shifted(memory, position, size, new):
    kept = np.concatenate([memory[:size], new])[-len(memory) :]
    full = np.zeros_like(memory)
    full[: len(kept)] = kept
    return full, len(kept) % len(memory), len(kept)


WRONG = {
    "huber_gradient": [loss_instead_of_gradient, clipped_once_for_the_batch],
    "dqn_targets": [smaller_of_both_networks, no_reward_at_the_end],
    "remember": [one_row_alone, shifted],
}
