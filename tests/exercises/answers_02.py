"""Chapter 02: solutions as a reader would write them, without the package, and wrong ones."""

import numpy as np


def td_update(values, state, reward, next_state, terminated, alpha, gamma):
    target = reward + (0 if terminated else gamma * values[next_state])
    values[state] = (1 - alpha) * values[state] + alpha * target
    return values


def first_visit_returns(states, rewards, gamma):
    found, following = {}, 0.0
    for state, reward in zip(reversed(states), reversed(rewards), strict=True):
        following = reward + gamma * following
        found[state] = following
    return found


def certainty_equivalence(steps, num_states, gamma):
    values = np.zeros(num_states)
    for _ in range(2000):
        targets = [[] for _ in range(num_states)]
        for state, reward, next_state, terminated in steps:
            targets[state].append(reward + gamma * (not terminated) * values[next_state])
        values = np.array([np.mean(each) if each else 0.0 for each in targets])
    return values


SOLUTIONS = (
    td_update,
    first_visit_returns,
    certainty_equivalence,
)


# Wrong answers besides the usual mistakes.


def updates_the_next_state(values, state, reward, next_state, terminated, alpha, gamma):
    return td_update(values, next_state, reward, state, terminated, alpha, gamma)


def discounts_the_reward(values, state, reward, next_state, terminated, alpha, gamma):
    return td_update(values, state, gamma * reward, next_state, terminated, alpha, gamma)


def returns_the_td_error(values, state, reward, next_state, terminated, alpha, gamma):
    return reward + gamma * values[next_state] - values[state]


def sums_all_visits(states, rewards, gamma):
    found = {}
    for t, state in enumerate(states):
        found[state] = found.get(state, 0) + rewards[t]
    return found


def counts_the_end_as_a_state(states, rewards, gamma):
    return {**first_visit_returns(states, rewards, gamma), 99: 0.0}


def returns_of_every_step(states, rewards, gamma):
    return [first_visit_returns(states[t:], rewards[t:], gamma)[s] for t, s in enumerate(states)]


def one_pass_of_td(steps, num_states, gamma):
    values = np.zeros(num_states)
    for state, reward, next_state, terminated in steps:
        values = td_update(values, state, reward, next_state, terminated, 0.1, gamma)
    return values


WRONG = {
    "td_update": [updates_the_next_state, discounts_the_reward, returns_the_td_error],
    "first_visit_returns": [sums_all_visits, counts_the_end_as_a_state, returns_of_every_step],
    "certainty_equivalence": [one_pass_of_td],
}
