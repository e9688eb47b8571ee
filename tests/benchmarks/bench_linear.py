"""How fast linear control is, side by side with plain code doing the same: ``make bench``.

Mountain Car with 8 tilings of 8×8 tiles, α = 0.5/8, ε = 0, Sarsa and 4-step Sarsa. The plain loops
are what one writes first: numpy arrays, one step of Gymnasium after the other. They use the same
tile coder, once as a numpy expression of their own and once by calling the package's.
"""

import sys
import time
from collections import deque
from functools import partial

import gymnasium
import numpy as np

from rlcore.approximation import semi_gradient_n_step_sarsa, semi_gradient_sarsa, tile_coding
from rlcore.environments import MountainCar
from tests.benchmarks.measure import Table, in_turns

LOW, HIGH = np.array([-1.2, -0.07]), np.array([0.5, 0.07])
TILES = tile_coding(8, 8, LOW, HIGH)
ALPHA, EPISODES, COMPILED_RUNS = 0.5, 20, 20
SCALE, OFFSETS = TILES.arrays.scale, TILES.arrays.offsets
FIRST, ROW = 81 * np.arange(8), 9


def numpy_tiles(observation):
    """The indices of the tiles, all tilings at once."""
    tile = np.floor((observation - LOW) * SCALE + OFFSETS).astype(np.int64)
    tile = np.minimum(np.maximum(tile, 0), 8)
    return FIRST + ROW * tile[:, 0] + tile[:, 1]


def package_tiles(observation):
    return TILES([observation])[0]


def greedy(q, rng):
    best = np.flatnonzero(q == q.max())
    return int(best[rng.integers(len(best))])


def plain_sarsa(env, tiles, rng):
    """Steps taken; the boxes of Sutton & Barto 2018, section 10.1."""
    weights, steps = np.zeros((3, TILES.num_features)), 0
    for _ in range(EPISODES):
        observation, _ = env.reset()
        active = tiles(observation)
        action = greedy(weights[:, active].sum(axis=1), rng)
        done = False
        while not done:
            observation, reward, terminated, truncated, _ = env.step(action)
            next_active = tiles(observation)
            q = weights[:, next_active].sum(axis=1)
            next_action = greedy(q, rng)
            target = reward if terminated else reward + q[next_action]
            error = target - weights[action, active].sum()
            weights[action, active] += ALPHA / 8 * error
            active, action, done = next_active, next_action, terminated or truncated
            steps += 1
    return steps


def plain_n_step_sarsa(env, tiles, rng, n=4):
    """The same with n rewards, which wait in a queue (section 10.2; γ = 1)."""
    weights, steps = np.zeros((3, TILES.num_features)), 0

    def update(following):
        old_active, old_action, _ = waiting[0]
        target = sum(reward for _, _, reward in waiting) + following
        error = target - weights[old_action, old_active].sum()
        weights[old_action, old_active] += ALPHA / 8 * error
        waiting.popleft()

    for _ in range(EPISODES):
        observation, _ = env.reset()
        active = tiles(observation)
        action = greedy(weights[:, active].sum(axis=1), rng)
        done, waiting = False, deque()
        while not done:
            observation, reward, terminated, truncated, _ = env.step(action)
            waiting.append((active, action, reward))
            active = tiles(observation)
            q = weights[:, active].sum(axis=1)
            action, done = greedy(q, rng), terminated or truncated
            if len(waiting) == n:
                update(0.0 if terminated else q[action])
            steps += 1
        while waiting:
            update(0.0 if terminated else weights[action, active].sum())
    return steps


def of_plain(loop, env, tiles, seed):
    """Seconds a step of one run."""
    env.reset(seed=seed)
    began = time.perf_counter()
    steps = loop(env, tiles, np.random.default_rng(seed))
    return (time.perf_counter() - began) / steps


def of_rlcore(learner, problem, seed, *, runs=1):
    """Seconds a step of ``runs`` runs."""
    began = time.perf_counter()
    result = learner(
        problem, TILES, episodes=EPISODES, alpha=ALPHA, epsilon=0.0, runs=runs, seed=seed
    )
    return (time.perf_counter() - began) / result.lengths.sum()


def main():
    table = Table()
    env = gymnasium.make("MountainCar-v0", max_episode_steps=100_000)
    print(f"Mountain Car, {EPISODES} episodes, compiled with {COMPILED_RUNS} runs")
    four_step = partial(semi_gradient_n_step_sarsa, n=4)
    for name, learner, loop in (
        ("Sarsa", semi_gradient_sarsa, plain_sarsa),
        ("4-step Sarsa", four_step, plain_n_step_sarsa),
    ):
        seconds = in_turns(
            5,
            ours=partial(of_rlcore, learner, MountainCar(), runs=COMPILED_RUNS),
            stepped=partial(of_rlcore, learner, env),
            numpy=partial(of_plain, loop, env, numpy_tiles),
            package=partial(of_plain, loop, env, package_tiles),
        )
        table.row(f"  {name}, compiled", f"{seconds['ours'] * 1e9:.0f} ns a step")
        for against, what in (
            ("numpy", "a plain loop, tile coder in numpy"),
            ("package", "a plain loop, the package's tile coder"),
        ):
            table.at_least(f"  {name}: against {what}", seconds[against] / seconds["ours"], 50)
        table.row(
            f"  {name}: its own loop in Python, on Gymnasium",
            f"{seconds['stepped'] / seconds['ours']:.0f} ×",
        )
    return table.verdict()


if __name__ == "__main__":
    sys.exit(main())
