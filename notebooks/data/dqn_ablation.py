"""What replay, the target network and Double DQN each give on CartPole: `dqn_ablation.json`.

Run from the root of the repository, about 15 minutes on one core:

    python notebooks/data/dqn_ablation.py

Eight cells, each part of DQN present or absent, times five seeds. The file is written after every
run, and a run that it holds is not repeated: the script may be stopped and started again.
"""

import itertools
import json
from pathlib import Path

import gymnasium
import numpy as np
from tqdm.auto import tqdm

from rlcore.approximation.dqn import dqn

RESULTS = Path(__file__).with_suffix(".json")
SEEDS = range(5)
SETTINGS = {
    "steps": 50_000,
    "hidden": [128, 128],
    "gamma": 0.99,
    "learning_rate": 1e-3,
    "batch_size": 64,
    "learning_starts": 1_000,
    "train_every": 2,
    "epsilon_start": 1.0,
    "epsilon_end": 0.04,
    "epsilon_steps": 10_000,
    "huber_delta": 1.0,
    "max_grad_norm": 10.0,
    "evaluate_every": 2_500,
    "evaluation_episodes": 10,
}
REPLAY = {True: {"memory_size": 50_000}, False: {"memory_size": SETTINGS["batch_size"]}}
TARGET = {True: {"target_every": 100, "tau": 1.0}, False: {"target_every": 1, "tau": 1.0}}


def measure(replay, target, double, seed):
    """One run: its learning curves, and what it believes an episode to be worth at the end."""
    env = gymnasium.make("CartPole-v1")
    result = dqn(
        env,
        double=double,
        seed=seed,
        progress=False,
        **SETTINGS,
        **REPLAY[replay],
        **TARGET[target],
    )
    starts = np.array([env.reset(seed=each)[0] for each in range(100)])
    last_episodes = [
        result.returns[result.episode_ends <= step][-20:].mean() for step in result.evaluation_steps
    ]
    return {
        "replay": replay,
        "target": target,
        "double": double,
        "seed": seed,
        "training_returns": np.round(last_episodes, 2).tolist(),  # mean of the last 20 episodes
        "greedy_returns": result.evaluation_returns.mean(axis=1).round(2).tolist(),
        "start_value": round(float(result.network.action_values(starts).max(axis=1).mean()), 2),
    }


def stored():
    """The results as they stand."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def main():
    """Run what the file does not hold yet."""
    steps = range(SETTINGS["evaluate_every"], SETTINGS["steps"] + 1, SETTINGS["evaluate_every"])
    data = {"settings": SETTINGS, "evaluation_steps": list(steps), "runs": []}
    if RESULTS.exists():
        data = stored()
        if data["settings"] != SETTINGS:
            raise SystemExit(f"{RESULTS.name} holds runs with other settings: remove it first")
    parts = ("replay", "target", "double", "seed")
    done = {tuple(run[part] for part in parts) for run in data["runs"]}
    both = (True, False)
    for seed, *cell in tqdm(list(itertools.product(SEEDS, both, both, both))):
        if (*cell, seed) not in done:
            data["runs"].append(measure(*cell, seed))
            runs = ",\n".join(json.dumps(run) for run in data["runs"])
            rest = json.dumps(data | {"runs": []})
            text = rest.replace('"runs": []', f'"runs": [\n{runs}\n]') + "\n"
            RESULTS.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
