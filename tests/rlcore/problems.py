"""Problems and claims that the tests of rlcore share."""

import gymnasium
import numpy as np
from hypothesis import strategies as st

from rlcore import TabularMDP

# A two-sided test at 4.5 standard errors raises a false alarm with probability 7e-6. Seeds are
# fixed, so what passes once passes always.
STANDARD_ERRORS = 4.5

SEEDS = st.integers(0, 2**32 - 1)
# The problems end after some three steps, so that limits of one to three cut many episodes short.
LIMITS = st.sampled_from([2, None, 1, 3])
GAMMAS = st.sampled_from([0.9, 1.0, 0.5, 0.0])


def random_mdp(
    seed, num_states=4, num_actions=3, num_outcomes=3, *, ends=True, max_episode_steps=None
):
    """Outcomes at random. A step that ends the episode leads to a state that has a value of its
    own, which nobody may look at. With ``ends`` every action may end the episode."""
    rng = np.random.default_rng(seed)
    shape = (num_states, num_actions, num_outcomes)
    probabilities = rng.dirichlet(np.ones(num_outcomes), size=shape[:2])
    terminated = rng.random(shape) < 0.2
    if ends:
        probabilities = 0.85 * probabilities
        probabilities[:, :, 0] += 0.15
        terminated[:, :, 0] = True
    else:
        terminated[:] = False
    return TabularMDP(
        probabilities=probabilities,
        next_states=rng.integers(num_states, size=shape),
        rewards=rng.normal(size=shape).round(2),
        terminated=terminated,
        start=rng.dirichlet(np.ones(num_states)),
        max_episode_steps=max_episode_steps,
    )


def random_policy(mdp, seed):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(mdp.num_actions), size=mdp.num_states)


@st.composite
def mdps(draw, *, ends=True, max_actions=4):
    return random_mdp(
        draw(st.integers(0, 2**32 - 1)),
        num_states=draw(st.integers(1, 6)),
        num_actions=draw(st.integers(1, max_actions)),
        num_outcomes=draw(st.integers(1, 3)),
        ends=ends,
    )


def from_gymnasium(name, **keywords):
    return TabularMDP.from_gymnasium(gymnasium.make(name, **keywords))


def assert_mean(samples, exact, *, allowance=0.0, standard_errors=STANDARD_ERRORS):
    """The mean over the first axis is ``exact``, up to its standard errors and a rounding
    allowance."""
    samples = np.asarray(samples, dtype=float)
    error = np.abs(samples.mean(axis=0) - exact)
    allowed = standard_errors * samples.std(axis=0, ddof=1) / np.sqrt(len(samples)) + allowance
    assert np.all(error <= allowed + 1e-12), (
        f"{samples.mean(axis=0)} is not {exact}: off by {error}, {allowed} is allowed"
    )
