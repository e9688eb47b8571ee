"""Every check knows the stub, the right answer and the usual wrong ones."""

import numpy as np
import pytest

from rlcore.exercises import EXERCISES, check, table

named = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)


# Solutions as a reader would write them, without the package.


def bellman_backup(outcomes, policy, values, gamma):
    total = 0.0
    for action in outcomes:
        for probability, next_state, reward, terminated in outcomes[action]:
            following = 0.0 if terminated else values[next_state]
            total += policy[action] * probability * (reward + gamma * following)
    return total


def policy_values(transitions, rewards, policy, gamma):
    states = len(rewards)
    matrix = sum(policy[:, a, None] * transitions[:, a] for a in range(rewards.shape[1]))
    return np.linalg.inv(np.eye(states) - gamma * matrix) @ (policy * rewards).sum(axis=1)


def value_iteration_sweep(transitions, rewards, values, gamma):
    new = np.empty_like(values)
    for state in range(len(values)):
        new[state] = max(
            rewards[state, action] + gamma * transitions[state, action] @ values
            for action in range(rewards.shape[1])
        )
    return new, gamma / (1 - gamma) * max(abs(new - values))


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


def trace_update(values, traces, state, reward, next_state, terminated, alpha, gamma, lam):
    following = 0.0 if terminated else gamma * values[next_state]
    td_error = reward + following - values[state]
    traces = gamma * lam * traces
    traces[state] += 1
    return values + alpha * td_error * traces, traces


def lambda_returns(rewards, next_values, terminated, gamma, lam):
    returns, following = [], 0.0 if terminated else next_values[-1]
    for t in reversed(range(len(rewards))):
        if t == len(rewards) - 1:
            following = rewards[t] + gamma * following
        else:
            following = rewards[t] + gamma * ((1 - lam) * next_values[t] + lam * following)
        returns.insert(0, following)
    return returns


def tree_backup_target(rewards, discounts, next_q, next_policy, next_actions):
    here = next_policy[0] * next_q[0]
    if len(rewards) == 1:
        return rewards[0] + discounts[0] * sum(here)
    rest = tree_backup_target(
        rewards[1:], discounts[1:], next_q[1:], next_policy[1:], next_actions[1:]
    )
    here[next_actions[0]] = next_policy[0, next_actions[0]] * rest
    return rewards[0] + discounts[0] * sum(here)


SOLUTIONS = {
    solution.__name__: solution
    for solution in (
        bellman_backup,
        policy_values,
        value_iteration_sweep,
        td_update,
        first_visit_returns,
        certainty_equivalence,
        sarsa_target,
        expected_sarsa_target,
        n_step_target,
        q_learning_update,
        double_q_learning_target,
        q_from_log,
        lambda_returns,
        trace_update,
        tree_backup_target,
    )
}


def by_position(exercise, function):
    """A function with keywords, called as the checks call a reader's."""
    names = list(next(exercise.cases(np.random.default_rng(0))))
    return lambda *arguments: function(**dict(zip(names, arguments, strict=True)))


@named
def test_a_solution_written_without_the_package_is_correct(exercise, capsys):
    exercise(SOLUTIONS[exercise.name])
    assert capsys.readouterr().out == "correct\n"


@named
def test_the_package_agrees_with_itself(exercise):
    assert exercise.verdict(exercise.solution) == "correct"


@named
def test_a_stub_is_not_attempted_yet(exercise, capsys):
    def unwritten(*arguments):
        raise NotImplementedError

    for stub in (..., lambda *arguments: ..., unwritten):
        exercise(stub)
        assert capsys.readouterr().out == "not attempted yet\n"
    assert exercise.verdict(lambda *arguments: None).startswith("not attempted yet (")


@named
def test_every_usual_mistake_is_found_and_named(exercise):
    assert len(exercise.mistakes) >= 3
    for mistake, wrong in exercise.mistakes.items():
        verdict = exercise.verdict(by_position(exercise, wrong))
        assert verdict.startswith(f"not yet: {mistake} — for "), verdict
        assert ": expected " in verdict and ", got " in verdict
        assert "\n" not in verdict


def wrong_backup(outcomes, policy, values, gamma):
    return bellman_backup(outcomes, policy, values, gamma**2)


def most_likely_backup(outcomes, policy, values, gamma):
    return bellman_backup({a: [max(each)] for a, each in outcomes.items()}, policy, values, gamma)


def values_of_the_greedy_policy(transitions, rewards, policy, gamma):
    return policy_values(transitions, rewards, np.eye(policy.shape[1])[policy.argmax(1)], gamma)


def bound_of_the_mean_change(transitions, rewards, values, gamma):
    new, _ = value_iteration_sweep(transitions, rewards, values, gamma)
    return new, gamma / (1 - gamma) * abs(new - values).mean()


def values_without_bound(transitions, rewards, values, gamma):
    return value_iteration_sweep(transitions, rewards, values, gamma)[0]


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


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("bellman_backup", wrong_backup),
        ("bellman_backup", most_likely_backup),
        ("policy_values", values_of_the_greedy_policy),
        ("value_iteration_sweep", bound_of_the_mean_change),
        ("value_iteration_sweep", values_without_bound),
        ("td_update", updates_the_next_state),
        ("td_update", discounts_the_reward),
        ("td_update", returns_the_td_error),
        ("first_visit_returns", sums_all_visits),
        ("first_visit_returns", counts_the_end_as_a_state),
        ("first_visit_returns", returns_of_every_step),
        ("certainty_equivalence", one_pass_of_td),
        ("sarsa_target", target_in_a_list),
        ("sarsa_target", value_of_the_other_action),
        ("expected_sarsa_target", one_epsilon_too_many),
        ("n_step_target", n_rewards_undiscounted),
        ("n_step_target", power_n_near_the_end),
        ("q_learning_update", maximum_of_the_whole_table),
        ("q_learning_update", reward_kept_out_of_the_last),
        ("q_from_log", values_instead_of_action_values),
        ("q_from_log", actions_of_the_log_only),
        ("double_q_learning_target", smaller_of_both),
        ("trace_update", dutch_trace),
        ("trace_update", traces_not_returned),
        ("trace_update", td_error_returned_too),
        ("lambda_returns", lambda_of_the_first_step_only),
        ("lambda_returns", cut_off_counts_as_the_end),
        ("tree_backup_target", most_likely_action_only),
        ("tree_backup_target", tree_backup_of_the_first_two_steps),
    ],
)
def test_other_wrong_answers_are_found_too(name, wrong):
    assert getattr(check, name).verdict(wrong).startswith("not yet: ")


def test_the_message_names_the_mistake_the_input_and_both_answers():
    def without_gamma(q, reward, next_state, next_action, terminated, gamma):
        return reward + (not terminated) * q[next_state, next_action]

    assert check.sarsa_target.verdict(without_gamma) == (
        "not yet: γ seems to be missing — for q = [[0, 1, 2], [6, 4, 8]], reward = 1, "
        "next_state = 1, next_action = 1, terminated = False, gamma = 0.5: expected 3, got 5"
    )


def test_an_exception_is_reported_with_its_type_and_the_input():
    verdict = check.sarsa_target.verdict(lambda q, *rest: q["next"])
    assert verdict.startswith("not yet: IndexError: ")
    assert "for q = [[0, 1, 2], [6, 4, 8]], reward = 1" in verdict
    verdict = check.sarsa_target.verdict(lambda q: q)
    assert verdict.startswith("not yet: TypeError: ")


def test_a_result_instead_of_the_function_is_refused():
    verdict = check.sarsa_target.verdict(3.0)
    assert verdict == "not yet: check.sarsa_target takes the function itself, got 3 (float)"


def test_answers_of_another_kind_are_not_yet():
    for answer in ("three", [1.0, 2.0], {"value": 3.0}, float("nan"), object):
        verdict = check.sarsa_target.verdict(lambda *arguments, answer=answer: answer)
        assert verdict.startswith("not yet: "), verdict


@named
def test_a_function_that_spoils_its_inputs_spoils_nothing_else(exercise):
    solution = SOLUTIONS[exercise.name]

    def vandal(*arguments):
        answer = solution(*arguments)
        answer = tuple(np.copy(a) for a in answer) if isinstance(answer, tuple) else answer
        answer = np.copy(answer) if isinstance(answer, np.ndarray) else answer
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                argument[...] = 99
            elif isinstance(argument, list | dict):
                argument.clear()
        return answer

    assert exercise.verdict(vandal) == "correct"
    assert exercise.verdict(solution) == "correct"


def test_chapters_have_two_or_three_exercises_from_easy_to_hard():
    order = ["easy", "medium", "hard"]
    for chapter in range(1, 6):
        found = [each for each in EXERCISES if each.chapter == chapter]
        assert [each.number for each in found] == list(range(1, len(found) + 1))
        assert 2 <= len(found) <= 3
        levels = [order.index(each.difficulty) for each in found]
        assert levels == sorted(levels)
        assert all(0 < each.minutes <= 30 for each in found)


def test_table_lists_them():
    lines = table().split("\n")
    assert len(lines) == len(EXERCISES) == len({each.name for each in EXERCISES})
    assert table(2).split("\n") == [line for line in lines if line.startswith("02.")]
    assert "check.td_update" in table(2)
