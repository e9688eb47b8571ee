"""Claims about DQN: its memory, its targets, its update, its loop, and where it converges to."""

import copy

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.wrappers import TimeLimit
from safetensors.numpy import load_file, save_file
from scipy import stats

from rlcore import TabularMDP, td0, uniform_policy
from rlcore.approximation.dqn import (
    Batch,
    QNetwork,
    ReplayMemory,
    as_vector,
    dqn,
    evaluate,
    forward_of,
    learn,
    q_targets,
)
from rlcore.environments import as_environment
from tests.rlcore.problems import from_gymnasium, random_mdp

BOX = gymnasium.spaces.Box(-1.0, 1.0, (3,))
TWO = gymnasium.spaces.Discrete(2)


def filled(capacity, count):
    """A memory to which transitions 0, 1, …, count − 1 were added."""
    memory = ReplayMemory(capacity, 1)
    for i in range(count):
        row = np.full((1, 1), i, dtype=np.float32)
        memory.add(row, np.array([i % 2]), np.array([float(i)]), np.array([0.5]), row + 1)
    return memory


# -- replay memory ---------------------------------------------------------------------------------


def test_the_memory_keeps_the_newest_transitions_whole():
    memory = filled(5, 12)
    kept = sorted(memory.columns[0][:, 0].tolist())
    assert kept == [7, 8, 9, 10, 11]
    observations, actions, rewards, discounts, following = memory.columns
    np.testing.assert_array_equal(rewards, observations)
    np.testing.assert_array_equal(following, observations + 1)
    np.testing.assert_array_equal(actions[:, 0], observations[:, 0] % 2)
    assert memory.size == 5 and np.all(discounts == 0.5)


def test_several_environments_write_across_the_end_of_the_ring():
    memory = ReplayMemory(5, 1)
    for first in (0, 3, 6):
        rows = np.arange(first, first + 3, dtype=np.float32)[:, None]
        memory.add(rows, np.zeros(3), np.zeros(3), np.zeros(3), rows)
    assert sorted(memory.columns[0][:, 0].tolist()) == [4, 5, 6, 7, 8]


def test_samples_are_uniform_over_the_memory():
    """χ² of 20 000 draws from 50 transitions; false-alarm rate 1e-6, one fixed seed."""
    memory, rng = filled(50, 50), np.random.default_rng(0)
    drawn = np.concatenate([memory.sample(20, rng).rewards[:, 0] for _ in range(1000)])
    assert stats.chisquare(np.bincount(drawn.astype(int), minlength=50)).pvalue > 1e-6


def test_samples_are_not_neighbours():
    """Draws next to each other in a batch are independent: the share of pairs that follow each
    other in time is 49/2500, within 4.5 standard errors for 19 000 pairs."""
    memory, rng = filled(50, 50), np.random.default_rng(1)
    batches = [memory.sample(20, rng).rewards[:, 0].numpy() for _ in range(1000)]
    following = np.mean([np.diff(batch) == 1 for batch in batches])
    share = 49 / 2500
    assert abs(following - share) < 4.5 * np.sqrt(share * (1 - share) / 19_000)


def test_a_memory_is_not_sampled_before_it_holds_a_batch():
    message = "batch_size: takes at most the 3 transitions that the memory holds, got 4"
    with pytest.raises(ValueError, match=message):
        filled(50, 3).sample(4, np.random.default_rng(0))


# -- network ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [BOX, gymnasium.spaces.Discrete(6)], ids=["box", "discrete"])
@pytest.mark.parametrize("hidden", [(), (8,), (8, 5)])
def test_the_forward_pass_of_the_loop_is_the_networks(space, hidden):
    network = QNetwork(space, TWO, hidden, seed=3)
    theta = as_vector(network)
    rows = np.array([[0.5, -1, 2], [0, 3, 1]]) if space is BOX else np.array([[4], [1]])
    rows = rows.astype(np.float32)
    forward = forward_of(network)
    for _ in range(2):  # also after the weights have changed in place
        np.testing.assert_allclose(forward(rows), network.action_values(rows), rtol=1e-5, atol=1e-6)
        theta.data.add_(0.1)


def test_a_table_is_a_network_without_hidden_layers():
    network = QNetwork(gymnasium.spaces.Discrete(4), TWO, ())
    weight, bias = network.layers[0].weight.detach(), network.layers[0].bias.detach()
    np.testing.assert_allclose(network.action_values(np.arange(4)), (weight.T + bias).numpy())


def test_seeds_decide_and_nothing_global_does():
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    a, b, c = (QNetwork(BOX, TWO, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(a.layers[0].weight, b.layers[0].weight)
    assert not torch.equal(a.layers[0].weight, c.layers[0].weight)


# -- target and update -----------------------------------------------------------------------------


def fixed_network(table):
    """A network over states 0, 1, … whose action values are the rows of a table."""
    table = torch.tensor(table, dtype=torch.float32)
    network = QNetwork(gymnasium.spaces.Discrete(len(table)), TWO, ())
    network.layers[0].weight.data = table.T.clone()
    network.layers[0].bias.data.zero_()
    return network


def batch_of(states, actions, rewards, discounts, following):
    columns = [torch.tensor(column)[:, None] for column in (states, actions, rewards, discounts)]
    observations, actions, rewards, discounts = columns
    following = torch.tensor(following)[:, None].float()
    return Batch(observations.float(), actions, rewards, discounts, following)


ONLINE, LAGGING = [[0.0, 0.0], [5.0, 1.0]], [[0.0, 0.0], [2.0, 7.0]]
BATCH = batch_of([0, 0], [0, 1], [1.0, 1.0], [0.9, 0.0], [1, 1])


def test_targets_of_dqn_and_of_double_dqn():
    """DQN: the target network chooses and judges. Double DQN: the network chooses action 0, which
    the target network holds for 2. No discount, no future."""
    network, target = fixed_network(ONLINE), fixed_network(LAGGING)
    plain = q_targets(BATCH, network, target, double=False)[:, 0]
    double = q_targets(BATCH, network, target, double=True)[:, 0]
    np.testing.assert_allclose(plain, [1 + 0.9 * 7, 1])
    np.testing.assert_allclose(double, [1 + 0.9 * 2, 1])
    assert not plain.requires_grad and not double.requires_grad


@pytest.mark.parametrize("double", [False, True])
def test_one_step_of_the_optimizer_is_the_step_by_hand(double):
    """Plain gradient descent on the mean of two Huber losses, from q = 0: errors of 7.3 (or 2.8)
    and 1 are clipped at 2 and 1; each moves its own weight and its own action's bias."""
    network, target = fixed_network(ONLINE), fixed_network(LAGGING)
    before = copy.deepcopy(network.state_dict())
    optimizer = torch.optim.SGD([as_vector(network)], lr=0.1)
    learn(BATCH, network, target, optimizer, double=double, huber_delta=2.0)
    change = {name: value - before[name] for name, value in network.state_dict().items()}
    steps = 0.1 / 2 * np.array([2.0, 1.0])  # state 0, actions 0 and 1
    np.testing.assert_allclose(change["layers.0.weight"], [[steps[0], 0], [steps[1], 0]], atol=1e-6)
    np.testing.assert_allclose(change["layers.0.bias"], steps, atol=1e-6)


def test_no_gradient_flows_through_the_target():
    """With one network for both, autograd through y would move the weights of the next state."""
    network = fixed_network([[0.0, 0.0], [5.0, 1.0]])
    optimizer = torch.optim.SGD([as_vector(network)], lr=0.1)
    learn(BATCH, network, network, optimizer, huber_delta=100.0)
    assert network.layers[0].weight[:, 1].tolist() == [5.0, 1.0]


def test_the_gradient_is_shortened_to_its_largest_norm():
    network, target = fixed_network(ONLINE), fixed_network(LAGGING)
    theta = as_vector(network)
    before = theta.detach().clone()
    optimizer = torch.optim.SGD([theta], lr=1.0)
    learn(BATCH, network, target, optimizer, huber_delta=100.0, max_grad_norm=0.5)
    assert torch.linalg.vector_norm(theta.detach() - before).item() == pytest.approx(0.5, rel=1e-5)


def test_values_that_diverge_stop_the_run():
    network = fixed_network([[0.0, 0.0], [np.inf, 1.0]])
    optimizer = torch.optim.SGD([as_vector(network)], lr=0.1)
    with pytest.raises(FloatingPointError, match="the action values have diverged"):
        learn(BATCH, network, network, optimizer, huber_delta=np.inf)


# -- the loop: tabular problems, whose answer is known exactly -------------------------------------

TABLE = {
    "hidden": (),
    "learning_rate": 0.02,
    "batch_size": 64,
    "memory_size": 20_000,
    "learning_starts": 500,
    "train_every": 2,
    "target_every": 20,
    "epsilon_end": 1.0,
    "max_grad_norm": None,
    "progress": False,
}


@pytest.mark.parametrize(
    "more",
    [{}, {"double": True}, {"target_every": 1, "tau": 0.05}, {"num_envs": 4}],
    ids=["DQN", "Double", "soft", "4 environments"],
)
@pytest.mark.parametrize("limit", [None, 3], ids=["unlimited", "truncated"])
def test_dqn_without_hidden_layers_finds_the_optimal_values(more, limit):
    """The values of a noisy problem, from data of a uniform policy. With γ = 0.8: missing γ,
    bootstrapping through the end, or a cut-off taken for an end are off by more than 0.5 (asserted
    below); a constant learning rate leaves noise of some hundredths."""
    mdp = random_mdp(1594, num_states=3, num_actions=2)
    exact = mdp.action_values(mdp.optimal_values(0.8), 0.8)
    result = dqn(mdp, steps=8000, gamma=0.8, max_episode_steps=limit, **(TABLE | more))
    learnt = result.network.action_values(np.arange(3))
    np.testing.assert_allclose(learnt, exact, atol=0.2)


def test_the_usual_mistakes_would_show_in_that_problem():
    mdp = random_mdp(1594, num_states=3, num_actions=2)
    exact = mdp.action_values(mdp.optimal_values(0.8), 0.8)
    for wrong in (0.0, 0.4, 0.95):
        off = mdp.action_values(mdp.optimal_values(wrong), wrong)
        assert np.abs(off - exact).max() > 0.5
    endless = TabularMDP(
        mdp.probabilities, mdp.next_states, mdp.rewards, np.zeros_like(mdp.terminated), mdp.start
    )
    through = endless.action_values(endless.optimal_values(0.8), 0.8)
    assert np.abs(through - exact).max() > 0.5


class Corridor(gymnasium.Env):
    """Five cells with no end; each observation names the episode and the step in it."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
    action_space = TWO
    episodes = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        Corridor.episodes += 1
        self.episode, self.steps = Corridor.episodes, 0
        return np.array([self.episode, 0], np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.array([self.episode, self.steps], np.float32), 1.0, False, False, {}


@pytest.mark.parametrize("num_envs", [1, 3])
def test_only_real_steps_are_remembered_and_a_cut_off_step_bootstraps(num_envs, monkeypatch):
    """No transition leads from one episode into the next, also not by way of an automatic reset;
    the last one of an episode keeps its γ and the observation that was really seen last."""
    memories = []
    original = ReplayMemory.__init__

    def remembered(self, *arguments):
        original(self, *arguments)
        memories.append(self)

    monkeypatch.setattr(ReplayMemory, "__init__", remembered)
    result = dqn(
        TimeLimit(Corridor(), 5), steps=60 * num_envs, num_envs=num_envs, gamma=0.9,
        batch_size=8, learning_starts=8, memory_size=1000, progress=False,
    )  # fmt: skip
    (memory,) = memories
    observations, _, rewards, discounts, following = (c[: memory.size] for c in memory.columns)
    assert memory.size == 60 * num_envs
    np.testing.assert_array_equal(following[:, 0], observations[:, 0])
    np.testing.assert_array_equal(following[:, 1], observations[:, 1] + 1)
    assert set(following[:, 1]) == {1, 2, 3, 4, 5} and np.all(rewards == 1)
    np.testing.assert_allclose(discounts, 0.9)
    assert np.all(result.lengths == 5) and np.all(result.returns == 5)
    assert len(result.returns) == 12 * num_envs


def test_a_terminated_step_has_no_discount(monkeypatch):
    seen = []
    original = ReplayMemory.add

    def add(self, *columns):
        seen.append([np.array(column) for column in columns])
        original(self, *columns)

    monkeypatch.setattr(ReplayMemory, "add", add)
    walk = from_gymnasium("rlcore/RandomWalk-v0", num_states=3)
    dqn(walk, steps=200, gamma=0.9, batch_size=8, learning_starts=8, progress=False)
    ends = np.array([following[0, 0] in (0, 4) for *_, following in seen])
    discounts = np.array([discount[0] for *_, discount, _ in seen])
    np.testing.assert_allclose(discounts, np.where(ends, 0.0, 0.9))
    assert 10 < ends.sum() < 190


def share_of_other_actions(**epsilon):
    """Of each fifth of 2500 steps, how many take the action that the network does not prefer. The
    observation is always the same, and with a learning rate of next to nothing so is the network.
    """
    taken = []

    class Same(Corridor):
        def step(self, action):
            taken.append(int(action))
            _, *rest = super().step(action)
            return np.zeros(2, np.float32), *rest

        def reset(self, **keywords):
            super().reset(**keywords)
            return np.zeros(2, np.float32), {}

    result = dqn(
        TimeLimit(Same(), 50), steps=2500, hidden=(), learning_rate=1e-12, batch_size=8,
        learning_starts=8, train_every=1000, progress=False, **epsilon,
    )  # fmt: skip
    preferred = result.network.action_values(np.zeros((1, 2))).argmax()
    return (np.array(taken) != preferred).reshape(5, 500).mean(axis=1)


def test_epsilon_falls_along_a_line_in_environment_steps():
    """An exploring step takes the other of two actions half the time: ε/2 in the mean. 0.1 is 4.5
    standard deviations of 500 fair coins."""
    shares = share_of_other_actions(epsilon_start=1.0, epsilon_end=0.0, epsilon_steps=2000)
    np.testing.assert_allclose(shares[:4], [0.4375, 0.3125, 0.1875, 0.0625], atol=0.1)
    assert shares[4] == 0
    assert not share_of_other_actions(epsilon_start=0.0, epsilon_end=0.0).any()


def test_evaluation_neither_learns_nor_explores_nor_disturbs_the_training():
    env = gymnasium.make("CartPole-v1")
    few = {"steps": 600, "batch_size": 16, "learning_starts": 100, "progress": False, "seed": 4}
    alone = dqn(env, **few)
    watched = dqn(env, evaluate_every=200, evaluation_episodes=3, **few)
    for a, b in zip(alone.network.parameters(), watched.network.parameters(), strict=True):
        assert torch.equal(a, b)
    np.testing.assert_array_equal(alone.returns, watched.returns)
    assert watched.evaluation_returns.shape == (3, 3)
    assert watched.evaluation_steps.tolist() == [200, 400, 600]
    state = copy.deepcopy(watched.network.state_dict())
    a, b = (evaluate(watched.network, env, episodes=5, seed=9) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert all(torch.equal(state[k], v) for k, v in watched.network.state_dict().items())


def test_evaluation_follows_the_greedy_action():
    """A network that knows the way walks straight: 2 steps to the right exit, return 1."""
    walk = from_gymnasium("rlcore/RandomWalk-v0", num_states=3)
    right = fixed_network([[0.0, 1.0]] * 5)
    assert evaluate(right, walk, episodes=4).tolist() == [1, 1, 1, 1]
    left = fixed_network([[1.0, 0.0]] * 5)
    assert evaluate(left, walk, episodes=4).tolist() == [0, 0, 0, 0]


def test_hard_and_soft_target_networks_move_when_they_should(monkeypatch):
    """The distance between θ and θ⁻, seen at each update."""
    from rlcore.approximation import dqn as module

    distances = []
    original = module.learn

    def spy(batch, network, target, optimizer, **keywords):
        pairs = zip(network.parameters(), target.parameters(), strict=True)
        distances.append(max((a - b).abs().max().item() for a, b in pairs))
        original(batch, network, target, optimizer, **keywords)

    monkeypatch.setattr(module, "learn", spy)
    walk = from_gymnasium("rlcore/RandomWalk-v0", num_states=3)
    few = {"steps": 100, "batch_size": 8, "learning_starts": 8, "train_every": 2}
    dqn(walk, target_every=5, progress=False, **few)
    hard = np.array(distances)
    assert np.all(hard[::5] == 0) and np.all(np.delete(hard, np.s_[::5]) > 0)
    distances.clear()
    dqn(walk, target_every=1, tau=0.5, progress=False, **few)
    assert distances[0] == 0 and np.all(np.array(distances[1:]) > 0)
    distances.clear()
    dqn(walk, target_every=1, progress=False, **few)
    assert not np.any(distances)


# -- checkpoints -----------------------------------------------------------------------------------


@pytest.mark.parametrize("num_envs", [1, 2])
def test_a_run_that_was_stopped_and_resumed_is_the_run_that_was_not(tmp_path, num_envs):
    env = gymnasium.make("CartPole-v1")
    few = {
        "num_envs": num_envs, "batch_size": 16, "learning_starts": 100, "memory_size": 300,
        "train_every": 2, "evaluate_every": 200, "evaluation_episodes": 2, "progress": False,
        "checkpoint_every": 200, "seed": 2,
    }  # fmt: skip
    whole = dqn(env, steps=800, checkpoint=tmp_path / "whole", **few)
    dqn(env, steps=400, checkpoint=tmp_path / "half", **few)
    resumed = dqn(env, steps=800, checkpoint=tmp_path / "rest", resume=tmp_path / "half", **few)
    for a, b in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(a, b)
    for name in ("returns", "lengths", "episode_ends", "evaluation_returns", "evaluation_steps"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(resumed, name))
    a, b = load_file(tmp_path / "whole"), load_file(tmp_path / "rest")
    assert a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "half", "rest"}


def test_checkpoints_of_other_runs_and_damaged_files_are_refused(tmp_path):
    env = gymnasium.make("CartPole-v1")
    few = {"batch_size": 8, "learning_starts": 50, "progress": False}
    path = tmp_path / "run.safetensors"
    dqn(env, steps=100, checkpoint=path, **few)
    with pytest.raises(ValueError, match=r"same settings; .* has hidden=\[120, 84\], got \[8\]"):
        dqn(env, steps=200, hidden=(8,), resume=path, **few)
    with pytest.raises(ValueError, match=r"same settings; .* has gamma=0.99, got 0.9"):
        dqn(env, steps=200, gamma=0.9, resume=path, **few)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
    with pytest.raises(ValueError, match=r"resume: takes a checkpoint .* or damaged"):
        dqn(env, steps=200, resume=path, **few)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"resume: takes a checkpoint .* or damaged"):
        dqn(env, steps=200, resume=path, **few)
    save_file({"x": np.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"resume: takes a checkpoint .* or damaged"):
        dqn(env, steps=200, resume=path, **few)
    with pytest.raises(FileNotFoundError):
        dqn(env, steps=200, resume=tmp_path / "nothing", **few)


# -- behaviour as a whole --------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_run_and_the_environment_is_left_alone():
    env = gymnasium.make("CartPole-v1")
    env.reset(seed=5)
    before = env.unwrapped.state.copy()
    few = {"steps": 400, "batch_size": 16, "learning_starts": 100, "progress": False}
    threads = torch.get_num_threads()
    a, b, c = (dqn(env, seed=seed, **few) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a.returns, b.returns)
    assert torch.equal(a.network.layers[0].weight, b.network.layers[0].weight)
    assert not torch.equal(a.network.layers[0].weight, c.network.layers[0].weight)
    np.testing.assert_array_equal(env.unwrapped.state, before)
    assert torch.get_num_threads() == threads


def test_cartpole_is_learnt_within_seconds():
    """Random play lasts 22 steps on average. (The full run to 475 is in `make bench`.)"""
    env = gymnasium.make("CartPole-v1")
    result = dqn(
        env, steps=12_000, epsilon_steps=5_000, learning_rate=1e-3, train_every=4, seed=0,
        progress=False,
    )  # fmt: skip
    assert evaluate(result.network, env, episodes=20).mean() > 80


def test_steps_to_reach_reads_the_moving_mean():
    walk = from_gymnasium("rlcore/RandomWalk-v0", num_states=1)
    result = dqn(walk, steps=50, batch_size=8, learning_starts=8, progress=False)
    means = np.convolve(result.returns, np.ones(3) / 3, mode="valid")
    first = np.flatnonzero(means >= 2 / 3 - 1e-12)[0]
    assert result.steps_to_reach(2 / 3 - 1e-9, episodes=3) == result.episode_ends[first + 2]
    assert result.steps_to_reach(1.1, episodes=3) is None


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"steps": 0}, "steps: takes a whole number >= 1, got 0"),
        ({"gamma": 1.1}, r"gamma: takes a number in \[0, 1\], got 1.1"),
        ({"tau": 0.0}, r"tau: takes a number in \(0, 1\], got 0.0"),
        ({"learning_rate": -1.0}, "learning_rate: takes a number > 0, got -1.0"),
        ({"huber_delta": 0}, "huber_delta: takes a number > 0, got 0"),
        ({"memory_size": 100}, "memory_size: takes at least batch_size = 128, got 100"),
        ({"learning_starts": 10}, "learning_starts: takes at least batch_size = 128, got 10"),
        ({"num_envs": 0}, "num_envs: takes a whole number >= 1, got 0"),
        ({"epsilon_end": 2.0}, r"epsilon_end: takes a number in \[0, 1\], got 2.0"),
        ({"max_grad_norm": 0.0}, "max_grad_norm: takes a number > 0"),
        ({"seed": -1}, "seed: takes a whole number >= 0, got -1"),
        ({"hidden": (0,)}, "hidden: takes a whole number >= 1, got 0"),
    ],
)
def test_bad_arguments_are_named_before_any_work(change, match):
    with pytest.raises(ValueError, match=match):
        dqn(gymnasium.make("CartPole-v1"), **({"steps": 10, "progress": False} | change))


def test_spaces_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"problem: .* action_space is Discrete"):
        dqn(gymnasium.make("Pendulum-v1"), steps=10, progress=False)
    with pytest.raises(ValueError, match=r"problem: .* observation_space is a Box or Discrete"):
        dqn(gymnasium.make("Blackjack-v1"), steps=10, progress=False)
    with pytest.raises(TypeError, match=r"problem: takes a TabularMDP or a gymnasium.Env, got str"):
        dqn("CartPole-v1", steps=10, progress=False)


def test_observations_that_are_not_numbers_stop_the_run_at_their_step():
    class Broken(Corridor):
        def step(self, action):
            observation, *rest = super().step(action)
            return np.where(self.steps == 7, np.nan, observation).astype(np.float32), *rest

    with pytest.raises(ValueError, match=r"problem: Broken gave the observation .*nan.* at step 7"):
        dqn(TimeLimit(Broken(), 50), steps=100, progress=False)


def test_the_way_to_gymnasium_and_back_changes_nothing():
    mdp = random_mdp(8)
    again = TabularMDP.from_gymnasium(as_environment(mdp))
    policy = uniform_policy(4, 3)
    np.testing.assert_array_equal(again.policy_values(policy, 0.9), mdp.policy_values(policy, 0.9))
    a, b = (td0(problem, episodes=5, alpha=0.1).values for problem in (mdp, as_environment(mdp)))
    np.testing.assert_array_equal(a, b)
