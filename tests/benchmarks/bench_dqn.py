"""How fast ``dqn`` is, side by side with plain code doing the same, and how soon it learns.

The plain code is the DQN of many tutorials, in one file: Gymnasium's vector environments, a replay
buffer in numpy, ``torch.nn.Sequential``, Adam. Both sides run in this one process with the same
hyper-parameters, in turns. Ends with status 1 if a bar is missed.
"""

import inspect
import random
import sys
import time
from functools import partial
from itertools import pairwise
from statistics import median

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import nn
from torch.nn import functional as F

from rlcore.approximation.dqn import dqn
from tests.benchmarks.measure import Table, in_turns

SOLVED, STEPS_ALLOWED, SECONDS_ALLOWED = 475, 254_000, 180
SEEDS = range(5)
DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(dqn).parameters.items()
    if parameter.default is not inspect.Parameter.empty
}
# Exploration ends early here, so that most steps ask the network, as most steps of a long run do.
TIMED = {"steps": 10_000, "epsilon_steps": 1_000}


class PlainBuffer:
    def __init__(self, capacity, size, num_envs):
        self.rows, self.num_envs, self.at, self.full = capacity // num_envs, num_envs, 0, False
        self.observations = np.zeros((self.rows, num_envs, size), dtype=np.float32)
        self.next_observations = np.zeros_like(self.observations)
        self.actions = np.zeros((self.rows, num_envs), dtype=np.int64)
        self.rewards = np.zeros((self.rows, num_envs), dtype=np.float32)
        self.dones = np.zeros((self.rows, num_envs), dtype=np.float32)

    def add(self, observations, next_observations, actions, rewards, dones):
        self.observations[self.at] = observations
        self.next_observations[self.at] = next_observations
        self.actions[self.at] = actions
        self.rewards[self.at] = rewards
        self.dones[self.at] = dones
        self.at += 1
        if self.at == self.rows:
            self.full, self.at = True, 0

    def sample(self, batch_size):
        rows = np.random.randint(0, self.rows if self.full else self.at, size=batch_size)
        columns = np.random.randint(0, self.num_envs, size=batch_size)
        return (
            torch.from_numpy(self.observations[rows, columns]),
            torch.from_numpy(self.next_observations[rows, columns]),
            torch.from_numpy(self.actions[rows, columns]).unsqueeze(1),
            torch.from_numpy(self.rewards[rows, columns]),
            torch.from_numpy(self.dones[rows, columns]),
        )


def plain_network(inputs, hidden, outputs):
    layers, sizes = [], (inputs, *hidden, outputs)
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def plain_dqn(name, seed, args):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    envs = SyncVectorEnv(
        [lambda: gymnasium.make(name) for _ in range(args["num_envs"])],
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    size, num_actions = envs.single_observation_space.shape[0], envs.single_action_space.n
    q_network = plain_network(size, args["hidden"], num_actions)
    target_network = plain_network(size, args["hidden"], num_actions)
    target_network.load_state_dict(q_network.state_dict())
    optimizer = torch.optim.Adam(q_network.parameters(), lr=args["learning_rate"])
    buffer = PlainBuffer(args["memory_size"], size, args["num_envs"])
    observations, _ = envs.reset(seed=seed)
    updates = 0
    for step in range(args["num_envs"], args["steps"] + 1, args["num_envs"]):
        slope = (args["epsilon_end"] - args["epsilon_start"]) / args["epsilon_steps"]
        epsilon = max(args["epsilon_end"], args["epsilon_start"] + slope * step)
        if random.random() < epsilon:
            actions = envs.action_space.sample()
        else:
            with torch.no_grad():
                q_values = q_network(torch.from_numpy(observations))
            actions = torch.argmax(q_values, dim=1).numpy()
        next_observations, rewards, terminations, _, infos = envs.step(actions)
        real_next = next_observations.copy()
        for i, last in enumerate(infos.get("final_obs", ())):
            if last is not None:
                real_next[i] = last
        buffer.add(observations, real_next, actions, rewards, terminations)
        observations = next_observations
        while updates < (step - args["learning_starts"]) // args["train_every"]:
            data = buffer.sample(args["batch_size"])
            batch, next_batch, chosen, reward, done = data
            with torch.no_grad():
                best, _ = target_network(next_batch).max(dim=1)
                y = reward + args["gamma"] * best * (1 - done)
            q = q_network(batch).gather(1, chosen).squeeze()
            loss = F.huber_loss(q, y, delta=args["huber_delta"])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(q_network.parameters(), args["max_grad_norm"])
            optimizer.step()
            updates += 1
            if updates % args["target_every"] == 0:
                target_network.load_state_dict(q_network.state_dict())
    envs.close()


def of_plain(args, seed):
    """Seconds a step."""
    began = time.perf_counter()
    plain_dqn("CartPole-v1", seed, args)
    return (time.perf_counter() - began) / args["steps"]


def of_rlcore(env, args, seed):
    """Seconds a step."""
    began = time.perf_counter()
    dqn(env, **args | {"seed": seed, "progress": False})
    return (time.perf_counter() - began) / args["steps"]


def learning(env, seed):
    """Environment steps until CartPole is solved, and seconds of the whole run."""
    began = time.perf_counter()
    result = dqn(env, steps=STEPS_ALLOWED, seed=seed, progress=False)
    return result.steps_to_reach(SOLVED), time.perf_counter() - began


def main():
    table = Table()
    env = gymnasium.make("CartPole-v1")
    print("DQN on CartPole-v1, default hyper-parameters")
    for num_envs in (1, 8):
        args = DEFAULTS | TIMED | {"num_envs": num_envs}
        seconds = in_turns(5, ours=partial(of_rlcore, env, args), plain=partial(of_plain, args))
        ratio = seconds["plain"] / seconds["ours"]
        what = f"  environments: {num_envs}"
        table.row(f"{what}, in steps a second", f"{1 / seconds['ours']:,.0f}")
        table.row(
            f"{what}, against the plain loop", f"{ratio:.2f} ×", "≥ 1.5 ×", passed=ratio >= 1.5
        )

    runs = [learning(env, seed) for seed in SEEDS]
    steps = [reached or np.inf for reached, _ in runs]
    for seed, (reached, seconds) in zip(SEEDS, runs, strict=True):
        solved = f"{reached:,}" if reached else "not solved"
        table.row(f"  seed {seed}: steps until 100 episodes have a mean of {SOLVED}", solved)
        table.row("    seconds of the whole run", f"{seconds:.0f} s")
    table.row(
        f"  median, {STEPS_ALLOWED:,} allowed",
        f"{median(steps):,.0f}",
        f"≤ {STEPS_ALLOWED // 1000}k",
        passed=median(steps) <= STEPS_ALLOWED,
    )
    table.at_most("  longest run", max(seconds for _, seconds in runs), SECONDS_ALLOWED)
    return table.verdict()


if __name__ == "__main__":
    sys.exit(main())
