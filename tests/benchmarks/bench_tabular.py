"""How fast tabular ``rlcore`` is, side by side with plain code doing the same: ``make bench``.

Every comparison runs in this one process, repeat by repeat in turns, and is reported as a ratio of
medians, so that a slow machine, or a busy one, slows both sides. Ends with status 1 if a bar is
missed.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

import gymnasium
import numba
import numpy as np

import rlcore
from rlcore import TabularMDP, expected_sarsa, n_step_td, q_learning, sarsa, sweep
from tests.benchmarks.measure import Table, in_turns

EPISODES, ALPHA, EPSILON, GAMMA = 500, 0.5, 0.1, 1.0
COMPILED_RUNS = 200
LEARNERS = (q_learning, sarsa, expected_sarsa)


# -- (a) the agent of many tutorials: a dictionary of arrays, stepping Gymnasium -------------------


class DictionaryAgent:
    def __init__(self, env, seed):
        self.env, self.rng = env, np.random.default_rng(seed)
        self.q = defaultdict(lambda: np.zeros(env.action_space.n))

    def choose(self, state):
        if self.rng.random() < EPSILON:
            return int(self.rng.integers(self.env.action_space.n))
        values = self.q[state]
        best = np.flatnonzero(values == values.max())
        return int(best[self.rng.integers(len(best))])

    def update(self, state, action, target):
        self.q[state][action] += ALPHA * (target - self.q[state][action])

    def q_learning(self):
        state, _ = self.env.reset()
        steps, done = 0, False
        while not done:
            action = self.choose(state)
            next_state, reward, terminated, truncated, _ = self.env.step(action)
            future = 0.0 if terminated else np.max(self.q[next_state])
            self.update(state, action, reward + GAMMA * future)
            state, done = next_state, terminated or truncated
            steps += 1
        return steps

    def sarsa(self):
        state, _ = self.env.reset()
        action = self.choose(state)
        steps, done = 0, False
        while not done:
            next_state, reward, terminated, truncated, _ = self.env.step(action)
            next_action = self.choose(next_state)
            future = 0.0 if terminated else self.q[next_state][next_action]
            self.update(state, action, reward + GAMMA * future)
            state, action, done = next_state, next_action, terminated or truncated
            steps += 1
        return steps

    def expected_sarsa(self):
        state, _ = self.env.reset()
        steps, done = 0, False
        while not done:
            action = self.choose(state)
            next_state, reward, terminated, truncated, _ = self.env.step(action)
            values = self.q[next_state]
            mean = (1 - EPSILON) * np.max(values) + EPSILON * np.mean(values)
            self.update(state, action, reward + GAMMA * (0.0 if terminated else mean))
            state, done = next_state, terminated or truncated
            steps += 1
        return steps


def dictionary_agent(learner, env, seed):
    """Seconds a step of one run."""
    agent = DictionaryAgent(env, seed)
    env.reset(seed=seed)
    episode = getattr(agent, learner.__name__)
    began = time.perf_counter()
    steps = sum(episode() for _ in range(EPISODES))
    return (time.perf_counter() - began) / steps


def of_rlcore(learner, problem, seed, *, runs=1, episodes=EPISODES):
    """Seconds a step of ``runs`` runs."""
    began = time.perf_counter()
    result = learner(
        problem,
        episodes=episodes,
        alpha=ALPHA,
        epsilon=EPSILON,
        gamma=GAMMA,
        runs=runs,
        seed=seed,
    )
    return (time.perf_counter() - began) / result.lengths.sum()


# -- (b) the loops that one would write by hand for this problem alone -----------------------------


@numba.njit
def bare_action(values, epsilon, rng):
    num_actions = values.shape[0]
    if rng.random() < epsilon:
        return int(rng.random() * num_actions)
    best, ties, action = values[0], 1, 0
    for other in range(1, num_actions):
        if values[other] > best:
            best, ties, action = values[other], 1, other
        elif values[other] == best:
            ties += 1
    if ties > 1:
        for _ in range(int(rng.random() * ties)):
            action += 1
            while values[action] != best:
                action += 1
    return action


@numba.njit
def bare_q_learning(next_state, reward, done, start, runs, rng, returns, lengths):
    for run in range(runs):
        q = np.zeros(reward.shape)
        for episode in range(returns.shape[1]):
            s, total, steps, ended = start, 0.0, 0, False
            while not ended:
                a = bare_action(q[s], EPSILON, rng)
                s2, r, ended = next_state[s, a], reward[s, a], done[s, a]
                best = q[s2, 0]
                for b in range(1, q.shape[1]):
                    best = max(best, q[s2, b])
                q[s, a] += ALPHA * (r + (0.0 if ended else GAMMA * best) - q[s, a])
                s = s2
                total += r
                steps += 1
            returns[run, episode], lengths[run, episode] = total, steps


@numba.njit
def bare_sarsa(next_state, reward, done, start, runs, rng, returns, lengths):
    for run in range(runs):
        q = np.zeros(reward.shape)
        for episode in range(returns.shape[1]):
            s, total, steps, ended = start, 0.0, 0, False
            a = bare_action(q[s], EPSILON, rng)
            while not ended:
                s2, r, ended = next_state[s, a], reward[s, a], done[s, a]
                a2 = bare_action(q[s2], EPSILON, rng)
                q[s, a] += ALPHA * (r + (0.0 if ended else GAMMA * q[s2, a2]) - q[s, a])
                s, a = s2, a2
                total += r
                steps += 1
            returns[run, episode], lengths[run, episode] = total, steps


@numba.njit
def bare_expected_sarsa(next_state, reward, done, start, runs, rng, returns, lengths):
    for run in range(runs):
        q = np.zeros(reward.shape)
        for episode in range(returns.shape[1]):
            s, total, steps, ended = start, 0.0, 0, False
            while not ended:
                a = bare_action(q[s], EPSILON, rng)
                s2, r, ended = next_state[s, a], reward[s, a], done[s, a]
                best = summed = q[s2, 0]
                for b in range(1, q.shape[1]):
                    best = max(best, q[s2, b])
                    summed += q[s2, b]
                mean = (1 - EPSILON) * best + EPSILON * summed / q.shape[1]
                q[s, a] += ALPHA * (r + (0.0 if ended else GAMMA * mean) - q[s, a])
                s = s2
                total += r
                steps += 1
            returns[run, episode], lengths[run, episode] = total, steps


BARE = {
    q_learning: bare_q_learning,
    sarsa: bare_sarsa,
    expected_sarsa: bare_expected_sarsa,
}


def bare_loop(learner, mdp, seed, runs=COMPILED_RUNS):
    """Seconds a step."""
    shape = (runs, EPISODES)
    returns, lengths = np.zeros(shape), np.zeros(shape, dtype=np.int64)
    tables = [np.ascontiguousarray(t[:, :, 0]) for t in (mdp.next_states, mdp.rewards)]
    done = np.ascontiguousarray(mdp.terminated[:, :, 0])
    start = int(np.argmax(mdp.start))
    rng = np.random.default_rng(seed)
    began = time.perf_counter()
    BARE[learner](*tables, done, start, runs, rng, returns, lengths)
    return (time.perf_counter() - began) / lengths.sum()


# -- (c) Gymnasium's own speed ---------------------------------------------------------------------


def raw_steps(env, seed, *, sample, steps=20_000):
    """Seconds a step with random actions, drawn beforehand or by the environment's own space."""
    env.reset(seed=seed)
    env.action_space.seed(seed)
    drawn = np.random.default_rng(seed).integers(env.action_space.n, size=steps).tolist()
    began = time.perf_counter()
    for action in drawn:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample() if sample else action)
        if terminated or truncated:
            env.reset()
    return (time.perf_counter() - began) / steps


# -- (d) and (e) -----------------------------------------------------------------------------------


def n_step_grid():
    """Seconds for the parameter study of Sutton & Barto's Figure 7.2."""
    walk = TabularMDP.from_gymnasium(
        gymnasium.make("rlcore/RandomWalk-v0", num_states=19, left_reward=-1.0)
    )
    began = time.perf_counter()
    sweep(
        n_step_td,
        walk,
        grid={"n": [2**k for k in range(10)], "alpha": np.linspace(0.01, 1, 21).tolist()},
        metric=lambda result: result.errors.mean(axis=1),
        runs=100,
        episodes=10,
        progress=False,
    )
    return time.perf_counter() - began


def seconds_of_process(*arguments, folder):
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


def cold_compilation():
    """Seconds that `python -m rlcore` takes longer on a fresh copy than when all is compiled."""
    with tempfile.TemporaryDirectory() as folder:
        for package in ("rlcore", "speccore"):
            shutil.copytree(
                Path(rlcore.__file__).parents[1] / package,
                Path(folder, package),
                ignore=shutil.ignore_patterns("__pycache__", "checkpoints"),
            )
        compile_all = ("-m", "rlcore")
        seconds_of_process(
            "-c", "import rlcore, speccore", folder=folder
        )  # Python's own compilation
        cold = seconds_of_process(*compile_all, folder=folder)
        warm = seconds_of_process(*compile_all, folder=folder)
    return cold - warm


def main():
    table = Table()
    cliff = gymnasium.make("CliffWalking-v1")
    cliff_mdp = TabularMDP.from_gymnasium(cliff)

    print(f"CliffWalking, {EPISODES} episodes, compiled with {COMPILED_RUNS} runs")
    for learner in LEARNERS:
        seconds = in_turns(
            7,
            ours=partial(of_rlcore, learner, cliff_mdp, runs=COMPILED_RUNS),
            bare=partial(bare_loop, learner, cliff_mdp),
            dictionary=partial(dictionary_agent, learner, cliff),
        )
        name = learner.__name__
        table.row(f"  {name}", f"{seconds['ours'] * 1e9:.1f} ns a step")
        table.at_least(
            f"  {name}: against a dictionary of arrays",
            seconds["dictionary"] / seconds["ours"],
            100,
        )
        table.at_least(
            f"  {name}: speed of a bare Numba loop reached",
            seconds["bare"] / seconds["ours"],
            0.6,
            "%",
        )

    print("The same learners in Python, on Gymnasium environments")
    for name, episodes in (("CliffWalking-v1", 500), ("FrozenLake-v1", 1000), ("Taxi-v4", 150)):
        env = gymnasium.make(name)
        seconds = in_turns(
            7,
            drawn=partial(raw_steps, env, sample=False),
            sampled=partial(raw_steps, env, sample=True),
            **{
                learner.__name__: partial(of_rlcore, learner, env, episodes=episodes)
                for learner in LEARNERS
            },
        )
        table.row(
            f"  {name}: env.step, actions drawn before / sampled",
            f"{seconds['drawn'] * 1e6:.2f} / {seconds['sampled'] * 1e6:.2f} µs",
        )
        for learner in LEARNERS:
            ours = seconds[learner.__name__]
            table.row(f"  {name}: {learner.__name__}", f"{ours * 1e6:.2f} µs a step")
            table.at_least(
                "    rate of env.step reached, actions drawn before",
                seconds["drawn"] / ours,
                0.6,
                "%",
            )
            table.row("    … actions sampled", f"{100 * seconds['sampled'] / ours:.0f} %")

    print("Parameter study, 19-state random walk: 10 n × 21 α × 100 runs × 10 episodes")
    table.at_most("  n-step TD, by sweep", in_turns(5, grid=lambda _: n_step_grid())["grid"], 2)

    print("Start")
    importing = partial(seconds_of_process, "-c", folder=Path(rlcore.__file__).parents[1])
    seconds = in_turns(
        3,
        ours=lambda _: importing("import rlcore"),
        needed=lambda _: importing("import gymnasium, joblib, numba, tqdm.auto"),
    )
    table.row("  import rlcore, warm", f"{seconds['ours']:.2f} s")
    table.row("  of which what it needs", f"{seconds['needed']:.2f} s")
    table.at_most("  compiling every kernel for the first time", cold_compilation(), 15)

    return table.verdict()


if __name__ == "__main__":
    sys.exit(main())
