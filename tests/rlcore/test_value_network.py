"""Claims about TD with a network: the semi-gradient, and how close it comes to exact values."""

import gymnasium
import numpy as np
import pytest
import torch

from rlcore import TabularMDP, collect, uniform_policy
from rlcore.approximation import grid_points
from rlcore.approximation.dqn import as_vector, perceptron
from rlcore.approximation.value_network import td_loss, value_network_td
from rlcore.environments import GridWorld
from tests.rlcore.problems import from_gymnasium, random_mdp, random_policy

PROBLEM = random_mdp(3, num_states=4, num_actions=2)
POLICY = random_policy(PROBLEM, 3)


def some_batch(seed=0, size=6):
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(size, 2)), rng.normal(size=(size, 1)), rng.random((size, 1))
    inputs, rewards, discounts = (torch.tensor(each, dtype=torch.float32) for each in columns)
    return inputs, rewards, discounts, torch.tensor(rng.normal(size=(size, 2))).float()


def gradient(theta, loss):
    theta.grad.zero_()
    loss.backward()
    return theta.grad.clone()


def test_the_gradient_is_the_semi_gradient_and_not_the_residual_gradient():
    """− ∇ = mean of (y − v̂(s)) ∇v̂(s), term by term; through y it would be another vector."""
    network = perceptron((2, 5, 1), seed=1)
    theta = as_vector(network)
    inputs, rewards, discounts, following = some_batch()
    y = (rewards + discounts * network(following)).detach()
    by_hand = torch.zeros_like(theta)
    for i in range(len(inputs)):
        error = (y[i] - network(inputs[i : i + 1])).item()
        by_hand -= error / len(inputs) * gradient(theta, network(inputs[i : i + 1]).sum())
    semi = gradient(theta, td_loss(network, network, inputs, rewards, discounts, following))
    torch.testing.assert_close(semi, by_hand, rtol=1e-4, atol=1e-6)
    through = rewards + discounts * network(following) - network(inputs)
    residual = gradient(theta, 0.5 * (through**2).mean())
    assert (residual - semi).abs().max() > 0.05


@pytest.mark.parametrize("limit", [None, 3], ids=["unlimited", "truncated"])
@pytest.mark.parametrize("target_every", [1, 20], ids=["no target network", "target network"])
def test_with_one_hot_inputs_and_no_hidden_layer_it_finds_the_exact_values(limit, target_every):
    """As batch TD does: those of the most likely model of the recorded steps. The last α leaves
    noise of a hundredth; without γ, or with a value after the end, they would be off by 0.1."""
    walk, policy = from_gymnasium("rlcore/RandomWalk-v0"), uniform_policy(7, 2)
    common = {"episodes": 400, "seed": 5, "max_episode_steps": limit}
    result = value_network_td(
        walk, policy, inputs=np.eye(7), hidden=(), sweeps=100, gamma=0.9,
        alpha=np.geomspace(1.0, 0.02, 100), target_every=target_every, **common,
    )  # fmt: skip
    model = TabularMDP.from_transitions(collect(walk, policy, **common))
    exact = model.policy_values(policy, 0.9)[1:-1]
    np.testing.assert_allclose(result.values[1:-1], exact, atol=0.03)
    assert np.abs(model.policy_values(policy, 1.0)[1:-1] - exact).max() > 0.1


def test_errors_are_measured_against_exact_values_where_the_data_are():
    result = value_network_td(
        PROBLEM, POLICY, inputs=np.eye(4), hidden=(), episodes=50, sweeps=2, gamma=0.8
    )
    data = collect(PROBLEM, POLICY, episodes=50)
    visits = np.bincount(data.states, minlength=4) / data.num_steps
    np.testing.assert_allclose(result.visits, visits)
    difference = result.values - PROBLEM.policy_values(POLICY, 0.8)
    assert result.errors[-1] == pytest.approx(np.sqrt(visits @ difference**2), rel=1e-5)
    assert len(result.errors) == 2 * -(-data.num_steps // 32)


def test_a_hidden_layer_comes_close_on_the_random_walk():
    walk = from_gymnasium("rlcore/RandomWalk-v0", num_states=19, left_reward=-1.0)
    position = np.linspace(-1, 1, 21)[:, None]
    for seed in range(3):
        result = value_network_td(
            walk, inputs=position, episodes=60, sweeps=10, alpha=np.geomspace(0.2, 0.01, 10),
            seed=seed,
        )  # fmt: skip
        d, exact = result.visits, walk.policy_values(uniform_policy(21, 2), 1.0)
        best_constant = np.sqrt(d @ (exact - d @ exact) ** 2)
        assert result.errors[-1] < 0.75 * best_constant


def test_a_hidden_layer_bends_where_a_plane_cannot():
    """The 5×5 grid world from its two coordinates: less than half of a linear function's error."""
    mdp = TabularMDP.from_gymnasium(GridWorld(start=None))
    q = mdp.action_values(mdp.optimal_values(0.9), 0.9)
    policy = 0.5 * np.eye(5)[q.argmax(axis=1)] + 0.5 * uniform_policy(25, 5)
    linear, network = (
        value_network_td(
            mdp, policy, inputs=grid_points(mdp.layout) / 2 - 1, hidden=hidden, episodes=150,
            max_episode_steps=20, sweeps=20, alpha=np.geomspace(0.1, 0.005, 20), gamma=0.9,
        ).errors[-1]
        for hidden in ((), (64, 64))
    )  # fmt: skip
    assert network < linear / 2


def test_the_order_is_random_or_as_it_came():
    """With one-hot inputs, no hidden layer, batches of one, one sweep in order: TD(0), update by
    update, but for the bias that a layer adds."""
    common = {"episodes": 20, "seed": 2}
    result = value_network_td(
        PROBLEM, POLICY, inputs=np.eye(4), hidden=(), sweeps=1, alpha=0.1, batch_size=1,
        gamma=0.9, shuffle=False, **common,
    )  # fmt: skip
    data = collect(PROBLEM, POLICY, **common)
    layer = perceptron((4, 1), seed=int(np.random.SeedSequence(2).generate_state(2)[0]))[0]
    weights = layer.weight.detach().numpy()[0].astype(float)
    bias = float(layer.bias.detach())
    for s, r, s2, end in zip(
        data.states, data.rewards, data.next_states, data.terminated, strict=True
    ):
        error = r + 0.9 * (not end) * (weights[s2] + bias) - weights[s] - bias
        weights[s], bias = weights[s] + 0.1 * error, bias + 0.1 * error
    np.testing.assert_allclose(result.values, weights + bias, atol=1e-4)
    shuffled = value_network_td(
        PROBLEM, POLICY, inputs=np.eye(4), hidden=(), sweeps=1, alpha=0.1, batch_size=1,
        gamma=0.9, **common,
    )  # fmt: skip
    assert not np.allclose(shuffled.values, result.values, atol=1e-3)


@pytest.mark.parametrize("known", [True, False], ids=["true values", "no true values"])
def test_values_that_diverge_are_said_to(known):
    """With inputs of 100 an update of α = 1 overshoots by four orders of magnitude."""
    problem = PROBLEM if known else gymnasium.make("rlcore/RandomWalk-v0", num_states=2)
    with pytest.raises(FloatingPointError, match=r"diverged to infinity in sweep \d; .* alpha"):
        value_network_td(
            problem, inputs=100 * np.eye(4), hidden=(), episodes=50, sweeps=2, alpha=1.0,
            batch_size=1,
        )  # fmt: skip


def test_gymnasium_gives_the_same_network_and_no_errors():
    env = gymnasium.make("rlcore/RandomWalk-v0")
    few = {"inputs": np.eye(7), "episodes": 5, "sweeps": 2, "seed": 1}
    a = value_network_td(TabularMDP.from_gymnasium(env), **few)
    b = value_network_td(env, **few)
    np.testing.assert_array_equal(a.values, b.values)
    assert np.all(np.isfinite(a.errors)) and np.all(np.isnan(b.errors))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"inputs": np.eye(3)}, r"inputs: takes finite numbers of shape \(states, inputs\)"),
        ({"inputs": np.full((4, 1), np.nan)}, "inputs: takes finite numbers"),
        ({"alpha": 0.0}, r"alpha: takes numbers in \(0, 1\], got 0.0"),
        ({"sweeps": 0}, "sweeps: takes a whole number >= 1"),
        ({"batch_size": 0}, "batch_size: takes a whole number >= 1"),
        ({"target_every": 0}, "target_every: takes a whole number >= 1"),
        ({"hidden": (0,)}, "hidden: takes a whole number >= 1"),
        ({"gamma": 2.0}, r"gamma: takes a number in \[0, 1\]"),
        ({"true_values": [1.0]}, r"true_values: takes shape \(4,\)"),
    ],
)
def test_bad_input_is_named(change, match):
    with pytest.raises(ValueError, match=match):
        value_network_td(PROBLEM, **({"inputs": np.eye(4), "episodes": 1, "sweeps": 1} | change))
