"""Chapter 04: solutions as a reader would write them, without the package, and wrong ones."""

import numpy as np


def q_learning_update(q, state, action, reward, next_state, terminated, alpha, gamma):
    target = reward if terminated else reward + gamma * max(q[next_state])
    new = q.copy()
    new[state, action] = q[state, action] + alpha * (target - q[state, action])
    return new


def double_q_learning_target(q_one, q_two, reward, next_state, terminated, gamma):
    chosen = q_one[next_state].argmax()
    return reward + (0 if terminated else gamma) * q_two[next_state, chosen]


def q_from_log(log, num_states, num_actions, gamma):
    q = np.zeros((num_states, num_actions))
    for _ in range(400):
        for state, action, reward, next_state, terminated in log:
            q[state, action] = reward + (not terminated) * gamma * max(q[next_state])
    return q


SOLUTIONS = (
    q_learning_update,
    double_q_learning_target,
    q_from_log,
)


# Wrong answers besides the usual mistakes.


def maximum_of_the_whole_table(q, state, action, reward, next_state, terminated, alpha, gamma):
    q[next_state] = q.max()
    return q_learning_update(q, state, action, reward, next_state, terminated, alpha, gamma)


def reward_kept_out_of_the_last(q, state, action, reward, next_state, terminated, alpha, gamma):
    return q_learning_update(
        q, state, action, 0.0 if terminated else reward, next_state, terminated, alpha, gamma
    )


def values_instead_of_action_values(log, num_states, num_actions, gamma):
    return q_from_log(log, num_states, num_actions, gamma).max(axis=1)


def actions_of_the_log_only(log, num_states, num_actions, gamma):
    q = np.zeros((num_states, num_actions))
    for _ in range(400):
        for i, (state, action, reward, next_state, terminated) in enumerate(log):
            taken = log[(i + 1) % len(log)][1]
            q[state, action] = reward + (not terminated) * gamma * q[next_state, taken]
    return q


def smaller_of_both(q_one, q_two, reward, next_state, terminated, gamma):
    value = np.minimum(q_one, q_two)[next_state].max()
    return reward + (not terminated) * gamma * value


WRONG = {
    "q_learning_update": [maximum_of_the_whole_table, reward_kept_out_of_the_last],
    "double_q_learning_target": [smaller_of_both],
    "q_from_log": [values_instead_of_action_values, actions_of_the_log_only],
}
