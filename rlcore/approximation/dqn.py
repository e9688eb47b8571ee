"""Deep Q-learning, the whole algorithm on one page: memory, network, target, update, loop.

Q-learning's update with a network θ for the table. Of a minibatch of B remembered transitions

    y = r + γ max_a q(s′, a; θ⁻)                       DQN (Mnih et al. 2015)
    y = r + γ q(s′, argmax_a q(s′, a; θ); θ⁻)          Double DQN (van Hasselt et al. 2016)
    θ ← θ − α ∇_θ (1/B) Σ Huber(y − q(s, a; θ)),

where γ is 0 if the step ended the episode, and y is taken for a constant. The target network θ⁻ is
a copy of θ that lags behind it.

*Differs from the papers*:

- Observations are vectors, or the numbers of states; the network is a multilayer perceptron. There
  are no pictures, no stacked or skipped frames, no clipped rewards.
- Adam takes the place of RMSProp. The norm of the gradient is clipped, besides each error, whose
  clipping is the Huber loss.
- Errors are clipped at ``huber_delta`` instead of 1. Where values are much larger than 1, as here,
  nearly every error would be clipped to ± 1, and the update would count votes: the many steps whose
  target rises with the values outvote the few at the end of an episode, which alone know better.
- The target network can also follow softly, θ⁻ ← θ⁻ + τ (θ − θ⁻) (Lillicrap et al. 2016).
- The memory keeps s′ beside s instead of finding it in the next row. That takes twice the room, but
  then environments can share a memory, and the end of an episode is nothing special.
- A step that a time limit cuts off (truncated) keeps its γ, and its s′ is what was really seen last
  (Pardo et al. 2018). In the papers every end is an end of the problem.
- Several environments can run side by side, each with its own coin for ε.
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from rlcore.checkpoint import load_arrays, save_arrays
from rlcore.environments import as_environment
from rlcore.mdp import TabularMDP
from rlcore.simulation import ENDLESS, NEVER_ENDS, Problem
from rlcore.threads import one_thread
from rlcore.validation import check_count, check_fraction, check_positive

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]


# -- replay memory --------------------------------------------------------------------------------


class Batch(NamedTuple):
    """B transitions."""

    observations: Tensor  # (B, inputs)
    actions: Tensor  # (B, 1)
    rewards: Tensor  # (B, 1)
    discounts: Tensor  # (B, 1) γ, or 0 where the step ended the episode
    next_observations: Tensor  # (B, inputs)


class ReplayMemory:
    """The newest transitions, from which minibatches are drawn uniformly (Lin 1992).

    Args:
        capacity: number of transitions kept; then each new one takes the place of the oldest.
        inputs: length of an observation.
    """

    def __init__(self, capacity: int, inputs: int) -> None:
        self.capacity = check_count("capacity", capacity)
        self.size = 0
        self.position = 0  # the row to write next
        self.columns: tuple[NDArray[Any], ...] = (
            np.zeros((capacity, inputs), dtype=np.float32),
            np.zeros((capacity, 1), dtype=np.int64),
            np.zeros((capacity, 1), dtype=np.float32),
            np.zeros((capacity, 1), dtype=np.float32),
            np.zeros((capacity, inputs), dtype=np.float32),
        )

    def add(self, *columns: NDArray[Any]) -> None:
        """Remember n transitions.

        Args:
            columns: observations (n, inputs), actions (n,), rewards (n,), discounts (n,) and next
                observations (n, inputs); n at most the capacity.
        """
        count = len(columns[0])
        rows: Any = slice(self.position, self.position + count)
        if rows.stop > self.capacity:
            rows = np.arange(rows.start, rows.stop) % self.capacity
        for column, new in zip(self.columns, columns, strict=True):
            column[rows] = new.reshape(count, -1)
        self.position = (self.position + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def sample(
        self, batch_size: int, rng: np.random.Generator, device: str | torch.device = "cpu"
    ) -> Batch:
        """Draw transitions, each one of the memory with the same probability, with replacement.

        Raises:
            ValueError: the memory does not hold so many transitions yet.
        """
        if batch_size > self.size:
            raise ValueError(
                f"batch_size: takes at most the {self.size} transitions that the memory holds, "
                f"got {batch_size}"
            )
        rows = rng.integers(self.size, size=batch_size)
        return Batch(*(torch.from_numpy(column[rows]).to(device) for column in self.columns))


# -- network --------------------------------------------------------------------------------------


class QNetwork(nn.Module):
    """q(s, ·; θ): a multilayer perceptron with one output for each action.

    Args:
        observation_space: Box, which is flattened, or Discrete counted from 0, which becomes a
            one-hot vector; without hidden layers the latter is a table.
        action_space: Discrete, counted from 0.
        hidden: width of each hidden layer, of rectified linear units; () for a linear function.
        seed: of the initial weights, whole number >= 0.

    Raises:
        ValueError: other spaces, widths or seeds.
    """

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        hidden: Sequence[int] = (64, 64),
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if isinstance(observation_space, Discrete) and observation_space.start == 0:
            self.num_states, self.observation_size = int(observation_space.n), 1
        elif isinstance(observation_space, Box):
            self.num_states, self.observation_size = 0, int(np.prod(observation_space.shape))
        else:
            raise ValueError(
                "problem: takes an environment whose observation_space is a Box or Discrete(n) "
                f"counted from 0, got {observation_space}"
            )
        if not (isinstance(action_space, Discrete) and action_space.start == 0):
            raise ValueError(
                "problem: takes an environment whose action_space is Discrete(n) counted from 0, "
                f"got {action_space}"
            )
        check_count("seed", seed, minimum=0)
        widths = [check_count("hidden", width) for width in hidden]
        self.num_actions = int(action_space.n)
        inputs = self.num_states or self.observation_size
        self.layers = perceptron((inputs, *widths, self.num_actions), seed)

    def forward(self, observations: Tensor) -> Tensor:
        """Action values (B, actions) of observations (B, inputs), or of states (B, 1)."""
        if self.num_states:
            observations = F.one_hot(observations.long().squeeze(1), self.num_states).float()
        return self.layers(observations)

    def action_values(self, observations: ArrayLike) -> Rows:
        """Action values (n, actions) of n observations, or of states 0 … S−1 (n,), as an array."""
        rows = as_rows(np.asarray(observations))
        with torch.inference_mode():
            device = next(self.parameters()).device
            return self(torch.from_numpy(rows).to(device)).cpu().numpy()


def perceptron(sizes: Sequence[int], seed: int) -> nn.Sequential:
    """Linear layers with rectified linear units between them, without touching global seeds.

    Weights and biases are uniform within ± 1/√inputs, as torch itself draws them.
    """
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -(inputs**-0.5), inputs**-0.5, generator=generator)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def as_vector(network: nn.Module) -> nn.Parameter:
    """θ: all parameters of a network in one vector, of which they and their gradients become parts.

    One call then clips, updates or copies them all.
    """
    parameters = list(network.parameters())
    theta = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in parameters]))
    theta.grad = torch.zeros_like(theta)
    sizes = [parameter.numel() for parameter in parameters]
    parts = zip(theta.data.split(sizes), theta.grad.split(sizes), strict=True)
    for parameter, (values, gradient) in zip(parameters, parts, strict=True):
        parameter.data, parameter.grad = (part.view_as(parameter) for part in (values, gradient))
    return theta


def forward_of(network: QNetwork) -> Callable[[Rows], Rows]:
    """``network.action_values`` for the loop: in NumPy, where parameters are in the main memory.

    For a few observations a call to torch takes several times as long as the arithmetic in it. The
    arrays are the very memory of the parameters, which may change in place but not move.
    """
    parameters = list(network.parameters())
    if parameters[0].device.type != "cpu":
        return network.action_values
    weights = [parameter.detach().numpy().T for parameter in parameters]
    *hidden, (last_weight, last_bias) = zip(weights[::2], weights[1::2], strict=True)
    one_hot = np.eye(network.num_states, dtype=np.float32)

    def forward(rows: Rows) -> Rows:
        if network.num_states:
            rows = one_hot[rows[:, 0].astype(np.int64)]
        for weight, bias in hidden:
            rows = np.maximum(rows @ weight + bias, 0)
        return rows @ last_weight + last_bias

    return forward


# -- target and update ----------------------------------------------------------------------------


def q_targets(batch: Batch, network: QNetwork, target: QNetwork, *, double: bool) -> Tensor:
    """y (B, 1): r + γ max_a q(s′, a; θ⁻), through which no gradient flows.

    With ``double`` the network θ chooses the action, and the target network θ⁻ judges it: what one
    overestimates by chance, the other need not.
    """
    with torch.no_grad():
        next_q = target(batch.next_observations)
        if double:
            chosen = network(batch.next_observations).argmax(dim=1, keepdim=True)
            next_values = next_q.gather(1, chosen)
        else:
            next_values = next_q.amax(dim=1, keepdim=True)
        return batch.rewards + batch.discounts * next_values


def learn(
    batch: Batch,
    network: QNetwork,
    target: QNetwork,
    optimizer: torch.optim.Optimizer,
    *,
    double: bool = False,
    huber_delta: float = 1.0,
    max_grad_norm: float | None = None,
) -> None:
    """One step of the optimizer on the Huber loss between q(s, a; θ) and the targets y.

    Huber(e) = e²/2 for |e| ≤ δ and δ (|e| − δ/2) beyond: its derivative is e clipped to [−δ, δ].

    Args:
        optimizer: of θ = ``as_vector(network)``.
        huber_delta: δ > 0.
        max_grad_norm: the gradient is shortened to this norm; None to leave it.

    Raises:
        FloatingPointError: values have become infinite or undefined.
    """
    (theta,) = optimizer.param_groups[0]["params"]
    y = q_targets(batch, network, target, double=double)
    q = network(batch.observations).gather(1, batch.actions)
    theta.grad.zero_()
    F.huber_loss(q, y, delta=huber_delta).backward()
    norm = torch.linalg.vector_norm(theta.grad).item()
    if not np.isfinite(norm):
        raise FloatingPointError(
            "the action values have diverged to infinity; try a smaller learning_rate, a larger "
            "memory_size or a target network that follows more slowly"
        )
    if max_grad_norm is not None and norm > max_grad_norm:
        theta.grad.mul_(max_grad_norm / norm)
    optimizer.step()


# -- the algorithm --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DQNResult:
    """What DQN learnt."""

    network: QNetwork
    """θ after the last step."""
    returns: Floats
    """(episodes,) undiscounted sum of rewards of each training episode."""
    lengths: NDArray[np.int64]
    """(episodes,) steps of each training episode."""
    episode_ends: NDArray[np.int64]
    """(episodes,) environment steps taken, in all environments, when the episode ended."""
    evaluation_returns: Floats
    """(evaluations, evaluation_episodes) returns of the greedy policy."""
    evaluation_steps: NDArray[np.int64]
    """(evaluations,) environment steps taken before each evaluation."""

    def steps_to_reach(self, mean_return: float, episodes: int = 100) -> int | None:
        """Environment steps until the last ``episodes`` training returns have a mean this high.

        Returns:
            None if they never have.
        """
        check_count("episodes", episodes)
        sums = np.concatenate(([0.0], np.cumsum(self.returns)))
        means = (sums[episodes:] - sums[:-episodes]) / episodes
        reached = np.flatnonzero(means >= mean_return)
        return int(self.episode_ends[reached[0] + episodes - 1]) if len(reached) else None


def dqn(
    problem: Problem,
    *,
    steps: int,
    hidden: Sequence[int] = (120, 84),
    gamma: float = 0.99,
    learning_rate: float = 2.5e-4,
    batch_size: int = 128,
    memory_size: int = 10_000,
    learning_starts: int = 1_000,
    train_every: int = 10,
    target_every: int = 50,
    tau: float = 1.0,
    double: bool = False,
    epsilon_start: float = 1.0,
    epsilon_end: float = 0.05,
    epsilon_steps: int = 25_000,
    huber_delta: float = 100.0,
    max_grad_norm: float | None = 10.0,
    num_envs: int = 1,
    max_episode_steps: int | None = None,
    evaluate_every: int | None = None,
    evaluation_episodes: int = 10,
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: bool = True,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 10_000,
    resume: str | Path | None = None,
) -> DQNResult:
    """Deep Q-learning (Mnih et al. 2015) and Double DQN (van Hasselt et al. 2016).

    See the top of this module for the equations, and for what differs from the papers. No replay is
    ``memory_size=batch_size``: only the newest transitions are left to learn from. No target
    network is ``target_every=1, tau=1``.

    Args:
        problem: a ``gymnasium.Env`` with Discrete actions and Box or Discrete observations, or a
            ``TabularMDP``. Copies of it are stepped, never itself.
        steps: environment steps, summed over the environments.
        hidden: widths of the hidden layers; () for a linear function.
        gamma: discount in [0, 1].
        learning_rate: α of Adam, > 0.
        batch_size: transitions in an update.
        memory_size: transitions that the replay memory holds, at least ``batch_size``.
        learning_starts: environment steps before the first update, at least ``batch_size``.
        train_every: environment steps for each update.
        target_every: updates between two moves of the target network.
        tau: θ⁻ ← θ⁻ + τ (θ − θ⁻) at each move, in (0, 1]; 1 copies.
        double: Double DQN.
        epsilon_start, epsilon_end, epsilon_steps: ε falls from the first to the second along a
            straight line over so many environment steps.
        huber_delta: errors beyond it are clipped, > 0; in the unit of the values. The papers' 1
            belongs to rewards clipped to [−1, 1]; see *Differs from the papers*.
        max_grad_norm: the gradient is shortened to this norm; None to leave it.
        num_envs: environments side by side.
        max_episode_steps: truncate episodes after so many steps; the problem's own limit stays.
        evaluate_every: environment steps between two evaluations; None for none.
        evaluation_episodes: episodes of each evaluation.
        seed: whole number >= 0; the same seed gives the same result.
        device: where torch computes.
        progress: show a progress bar.
        checkpoint: file to which the whole state is saved, in safetensors format.
        checkpoint_every: environment steps between two savings; it is saved at the end, too. The
            environments begin new episodes at each, because their inner state cannot be saved.
        resume: checkpoint to go on from, of a run with the same arguments except ``steps`` and
            ``device``. The result is that of a run that was never stopped, to the last bit.

    Raises:
        ValueError, TypeError: an argument outside what it takes, an observation or reward that is
            not a finite number, a checkpoint that is damaged or of another run.
        FloatingPointError: the values have diverged to infinity.
    """
    settings = {
        name: value
        for name, value in locals().items()
        if name not in ("problem", "steps", "device", "progress", "checkpoint", "resume")
    }
    _check(steps=steps, **settings)
    env = own_environment(problem, max_episode_steps)
    network_seed, agent_seed, evaluation_seed = (
        int(number) for number in np.random.SeedSequence(seed).generate_state(3)
    )
    spaces = (env.observation_space, env.action_space)
    network, target = (QNetwork(*spaces, hidden, seed=network_seed).to(device) for _ in range(2))
    theta, target_theta = as_vector(network), as_vector(target)
    run = Run(
        settings={"problem": name_of(env), "spaces": str(spaces), **settings},
        network=network,
        target=target,
        optimizer=torch.optim.Adam([theta], lr=learning_rate, fused=True),
        memory=ReplayMemory(memory_size, network.observation_size),
        rng=np.random.default_rng(agent_seed),
    )
    if resume is not None:
        run.load(resume)
    rng, memory = run.rng, run.memory
    envs = SyncVectorEnv(
        [lambda: copy.deepcopy(env)] * num_envs, copy=False, autoreset_mode=AutoresetMode.DISABLED
    )

    def checked(observations: Any, rewards: Any = 0.0) -> Rows:
        """Observations as rows, unless they or the rewards are not finite numbers."""
        rows = as_rows(observations)
        if not (np.isfinite(rows).all() and np.isfinite(rewards).all()):
            raise ValueError(
                f"problem: {name_of(env)} gave the observation {observations} and the reward "
                f"{rewards} at step {run.step}; takes finite numbers"
            )
        return rows

    def begin() -> Rows:
        """New episodes everywhere, with seeds that depend on ``seed`` and the step alone."""
        seeds = np.random.SeedSequence(seed, spawn_key=(run.step,)).generate_state(num_envs)
        return checked(envs.reset(seed=seeds.tolist())[0])

    def due(every: int | None) -> bool:
        """Whether the last step reached a multiple of ``every``."""
        return every is not None and run.step % every < num_envs

    values_of = forward_of(network)
    with (
        one_thread(),
        closing(envs),
        tqdm(total=steps, initial=run.step, disable=not progress, leave=False, unit="step") as bar,
    ):
        observations = begin()
        returns, lengths = np.zeros(num_envs), np.zeros(num_envs, dtype=np.int64)
        while run.step < steps:
            decay = min(1.0, run.step / epsilon_steps)
            epsilon = epsilon_start + decay * (epsilon_end - epsilon_start)
            explore = rng.random(num_envs) < epsilon
            actions = rng.integers(network.num_actions, size=num_envs)
            if not explore.all():
                actions = np.where(explore, actions, values_of(observations).argmax(axis=1))

            seen, rewards, terminated, truncated, _ = envs.step(actions)
            run.step += num_envs
            next_observations = checked(seen, rewards)
            discounts = np.where(terminated, 0.0, gamma)  # what was truncated might have gone on
            memory.add(observations, actions, rewards, discounts, next_observations)

            observations = next_observations
            returns += rewards
            lengths += 1
            ended = terminated | truncated
            if ended.any():
                for i in np.flatnonzero(ended):
                    run.record(returns=returns[i], lengths=lengths[i], episode_ends=run.step)
                returns[ended], lengths[ended] = 0.0, 0
                observations = checked(envs.reset(options={"reset_mask": ended})[0])

            while run.updates < (run.step - learning_starts) // train_every:
                batch = memory.sample(batch_size, rng, device)
                learn(
                    batch,
                    network,
                    target,
                    run.optimizer,
                    double=double,
                    huber_delta=huber_delta,
                    max_grad_norm=max_grad_norm,
                )
                run.updates += 1
                if run.updates % target_every == 0:
                    target_theta.data.lerp_(theta.data, tau)

            bar.update(num_envs)
            if due(evaluate_every):
                scores = evaluate(network, env, episodes=evaluation_episodes, seed=evaluation_seed)
                run.record(evaluation_steps=run.step, evaluation_returns=scores)
            if checkpoint is not None and (due(checkpoint_every) or run.step >= steps):
                run.save(checkpoint)
                observations, returns[:], lengths[:] = begin(), 0.0, 0
    return run.result()


def evaluate(
    network: QNetwork,
    problem: Problem,
    *,
    episodes: int = 10,
    seed: int = 0,
    max_episode_steps: int | None = None,
) -> Floats:
    """Returns of the greedy policy of a network, which neither explores nor learns here.

    Args:
        network: q(s, ·; θ).
        problem: a ``gymnasium.Env`` or a ``TabularMDP``; a copy of it is stepped.
        episodes: number of episodes.
        seed: of the environment, whole number >= 0.
        max_episode_steps: truncate episodes after so many steps; the problem's own limit stays.

    Returns:
        (episodes,) undiscounted sums of rewards.

    Raises:
        RuntimeError: an episode that does not end within 100 000 steps, where there is no limit.
    """
    check_count("episodes", episodes)
    check_count("seed", seed, minimum=0)
    env = own_environment(problem, max_episode_steps)
    values_of = forward_of(network)
    returns = np.zeros(episodes)
    for episode in range(episodes):
        observation, _ = env.reset(seed=seed if episode == 0 else None)
        ended, steps = False, 0
        while not ended:
            action = int(values_of(as_rows([observation])).argmax())
            observation, reward, terminated, truncated, _ = env.step(action)
            returns[episode] += float(reward)
            ended = terminated or truncated
            steps += 1
            if steps >= ENDLESS and not ended:
                raise RuntimeError(NEVER_ENDS)
    return returns


# -- what the loop needs --------------------------------------------------------------------------


def as_rows(observations: ArrayLike) -> Rows:
    """One row of floats for each observation, in an array of its own."""
    rows = np.array(observations, dtype=np.float32)
    return rows.reshape(len(rows), -1)


def own_environment(problem: Problem, max_episode_steps: int | None) -> gymnasium.Env[Any, Any]:
    """An environment that nobody else steps."""
    if isinstance(problem, TabularMDP):
        env = as_environment(problem)
    elif isinstance(problem, gymnasium.Env):
        env = copy.deepcopy(problem)
    else:
        raise TypeError(
            f"problem: takes a TabularMDP or a gymnasium.Env, got {type(problem).__name__}"
        )
    return env if max_episode_steps is None else TimeLimit(env, max_episode_steps)


def name_of(env: gymnasium.Env[Any, Any]) -> str:
    """The name under which an environment is registered, or else that of its class."""
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def _check(**arguments: Any) -> None:
    for name in (
        "steps",
        "batch_size",
        "train_every",
        "target_every",
        "epsilon_steps",
        "num_envs",
        "evaluation_episodes",
        "checkpoint_every",
    ):
        check_count(name, arguments[name])
    for name in ("max_episode_steps", "evaluate_every"):
        if arguments[name] is not None:
            check_count(name, arguments[name])
    check_count("seed", arguments["seed"], minimum=0)
    for name in ("memory_size", "learning_starts"):
        if check_count(name, arguments[name]) < arguments["batch_size"]:
            raise ValueError(
                f"{name}: takes at least batch_size = {arguments['batch_size']}, "
                f"got {arguments[name]}"
            )
    if arguments["memory_size"] < arguments["num_envs"]:
        raise ValueError(
            f"memory_size: takes at least num_envs = {arguments['num_envs']}, "
            f"got {arguments['memory_size']}"
        )
    for name in ("gamma", "epsilon_start", "epsilon_end"):
        check_fraction(name, arguments[name])
    check_fraction("tau", arguments["tau"], positive=True)
    for name in ("learning_rate", "huber_delta"):
        check_positive(name, arguments[name])
    if arguments["max_grad_norm"] is not None:
        check_positive("max_grad_norm", arguments["max_grad_norm"])


# -- checkpoints ----------------------------------------------------------------------------------


@dataclass
class Run:
    """All that changes while DQN runs: what a checkpoint holds."""

    settings: dict[str, Any]
    network: QNetwork
    target: QNetwork
    optimizer: torch.optim.Optimizer
    memory: ReplayMemory
    rng: np.random.Generator
    step: int = 0  # of the environments, all together
    updates: int = 0
    history: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))

    def record(self, **values: Any) -> None:
        """Append to the history."""
        for name, value in values.items():
            self.history[name].append(value)

    def result(self) -> DQNResult:
        """The history as arrays."""
        episodes = self.settings["evaluation_episodes"]
        return DQNResult(
            network=self.network,
            returns=np.array(self.history["returns"], dtype=np.float64),
            lengths=np.array(self.history["lengths"], dtype=np.int64),
            episode_ends=np.array(self.history["episode_ends"], dtype=np.int64),
            evaluation_returns=np.array(self.history["evaluation_returns"]).reshape(-1, episodes),
            evaluation_steps=np.array(self.history["evaluation_steps"], dtype=np.int64),
        )

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, whole or not at all."""
        parts: dict[str, Mapping[str, Any]] = {
            "network": self.network.state_dict(),
            "target": self.target.state_dict(),
            "optimizer": self.optimizer.state_dict()["state"].get(0, {}),
            "memory": {
                name: column[: self.memory.size]
                for name, column in zip(Batch._fields, self.memory.columns, strict=True)
            },
            "history": {name: np.array(values) for name, values in self.history.items()},
        }
        arrays = {
            f"{part}.{name}": array.cpu().numpy() if isinstance(array, Tensor) else array
            for part, named in parts.items()
            for name, array in named.items()
        }
        counters = {
            "step": self.step,
            "updates": self.updates,
            "size": self.memory.size,
            "position": self.memory.position,
            "rng": self.rng.bit_generator.state,
        }
        metadata = {
            "settings": self._settings(),
            "counters": json.dumps(counters),
        }
        save_arrays(path, arrays, metadata)

    def load(self, path: str | Path) -> None:
        """Go on from a checkpoint.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged, or the checkpoint of a run with other settings.
        """
        arrays, metadata = load_arrays(path, "resume")
        saved = json.loads(metadata["settings"])
        for name, value in json.loads(self._settings()).items():
            if saved[name] != value:
                raise ValueError(
                    f"resume: takes the checkpoint of a run with the same settings; {path} has "
                    f"{name}={saved[name]!r}, got {value!r}"
                )
        parts: dict[str, dict[str, Any]] = defaultdict(dict)
        for full_name, array in arrays.items():
            part, _, name = full_name.partition(".")
            parts[part][name] = array
        counters = json.loads(metadata["counters"])
        self.step, self.updates = counters["step"], counters["updates"]
        self.rng.bit_generator.state = counters["rng"]
        self.memory.size, self.memory.position = counters["size"], counters["position"]
        for name, column in zip(Batch._fields, self.memory.columns, strict=True):
            column[: self.memory.size] = parts["memory"][name]
        for name, array in parts["history"].items():
            self.history[name] = list(array)
        for network, part in ((self.network, "network"), (self.target, "target")):
            network.load_state_dict(_tensors(parts[part]))
        if parts["optimizer"]:
            state = {"state": {0: _tensors(parts["optimizer"])}}
            self.optimizer.load_state_dict(self.optimizer.state_dict() | state)

    def _settings(self) -> str:
        return json.dumps(self.settings, default=lambda value: value.tolist())


def _tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
