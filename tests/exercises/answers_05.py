"""Chapter 05: solutions as a reader would write them, without the package, and wrong ones."""

import numpy as np


def lambda_returns(rewards, next_values, terminated, gamma, lam):
    returns, following = [], 0.0 if terminated else next_values[-1]
    for t in reversed(range(len(rewards))):
        if t == len(rewards) - 1:
            following = rewards[t] + gamma * following
        else:
            following = rewards[t] + gamma * ((1 - lam) * next_values[t] + lam * following)
        returns.insert(0, following)
    return returns


def trace_update(values, traces, state, reward, next_state, terminated, alpha, gamma, lam):
    following = 0.0 if terminated else gamma * values[next_state]
    td_error = reward + following - values[state]
    traces = gamma * lam * traces
    traces[state] += 1
    return values + alpha * td_error * traces, traces


def tree_backup_target(rewards, discounts, next_q, next_policy, next_actions):
    here = next_policy[0] * next_q[0]
    if len(rewards) == 1:
        return rewards[0] + discounts[0] * sum(here)
    rest = tree_backup_target(
        rewards[1:], discounts[1:], next_q[1:], next_policy[1:], next_actions[1:]
    )
    here[next_actions[0]] = next_policy[0, next_actions[0]] * rest
    return rewards[0] + discounts[0] * sum(here)


SOLUTIONS = (
    lambda_returns,
    trace_update,
    tree_backup_target,
)


# Wrong answers besides the usual mistakes.


def dutch_trace(values, traces, state, reward, next_state, terminated, alpha, gamma, lam):
    traces[state] -= alpha * traces[state]
    return trace_update(values, traces, state, reward, next_state, terminated, alpha, gamma, lam)


def traces_not_returned(*arguments):
    return trace_update(*arguments)[0]


def td_error_returned_too(*arguments):
    return (*trace_update(*arguments), 0.0)


def lambda_of_the_first_step_only(rewards, next_values, terminated, gamma, lam):
    return lambda_returns(rewards, next_values, terminated, gamma, lam)[0]


def cut_off_counts_as_the_end(rewards, next_values, terminated, gamma, lam):
    return lambda_returns(rewards, next_values, True, gamma, lam)


def most_likely_action_only(rewards, discounts, next_q, next_policy, next_actions):
    greedy = np.eye(next_q.shape[1])[next_policy.argmax(axis=1)]
    return tree_backup_target(rewards, discounts, next_q, greedy, next_actions)


def tree_backup_of_the_first_two_steps(rewards, discounts, next_q, next_policy, next_actions):
    return tree_backup_target(
        rewards[:2], discounts[:2], next_q[:2], next_policy[:2], next_actions[:2]
    )


WRONG = {
    "lambda_returns": [lambda_of_the_first_step_only, cut_off_counts_as_the_end],
    "trace_update": [dutch_trace, traces_not_returned, td_error_returned_too],
    "tree_backup_target": [most_likely_action_only, tree_backup_of_the_first_two_steps],
}
