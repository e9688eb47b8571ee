"""Chapter 03: solutions as a reader would write them, without the package, and wrong ones."""


def sarsa_target(q, reward, next_state, next_action, terminated, gamma):
    return reward if terminated else reward + gamma * q[next_state, next_action]


def expected_sarsa_target(q, reward, next_state, terminated, epsilon, gamma):
    row = q[next_state]
    value = (1 - epsilon) * row.max() + epsilon * row.mean()
    return reward if terminated else reward + gamma * value


def n_step_target(states, rewards, terminated, values, t, n, gamma):
    end = min(t + n, len(rewards))
    target = 0.0 if terminated and end == len(rewards) else values[states[end]]
    for reward in reversed(rewards[t:end]):
        target = reward + gamma * target
    return target


SOLUTIONS = (
    sarsa_target,
    expected_sarsa_target,
    n_step_target,
)


# Wrong answers besides the usual mistakes.


def target_in_a_list(*arguments):
    return [sarsa_target(*arguments)]


def value_of_the_other_action(q, reward, next_state, next_action, terminated, gamma):
    return sarsa_target(q, reward, next_state, 0, terminated, gamma)


def one_epsilon_too_many(q, reward, next_state, terminated, epsilon, gamma):
    return expected_sarsa_target(q, reward, next_state, terminated, epsilon**2, gamma)


def n_rewards_undiscounted(states, rewards, terminated, values, t, n, gamma):
    end = min(t + n, len(rewards))
    over = terminated and end == len(rewards)
    return sum(rewards[t:end]) + (not over) * gamma ** (end - t) * values[states[end]]


def power_n_near_the_end(states, rewards, terminated, values, t, n, gamma):
    end = min(t + n, len(rewards))
    over = terminated and end == len(rewards)
    total = sum(gamma**k * reward for k, reward in enumerate(rewards[t:end]))
    return total + (not over) * gamma**n * values[states[end]]


WRONG = {
    "sarsa_target": [target_in_a_list, value_of_the_other_action],
    "expected_sarsa_target": [one_epsilon_too_many],
    "n_step_target": [n_rewards_undiscounted, power_n_near_the_end],
}
