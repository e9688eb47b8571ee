"""Widgets compute anew when a control moves, and show what the public functions give."""

import io

import gymnasium
import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import rlcore
from rlcore import plots, widgets
from rlcore.approximation import features, semi_gradient_n_step_sarsa, tile_coding
from rlcore.approximation.objectives import LinearEvaluation
from rlcore.approximation.prediction import semi_gradient_td0
from rlcore.approximation.value_network import value_network_td
from rlcore.environments import BairdStar, MountainCar
from rlcore.mdp import policy_iteration


def draw_line(x):
    figure = widgets.blank_figure(height=200, width=300)
    figure.add_subplot().plot([0, 1], [0, x])
    return figure


def make(draw=draw_line, **settings):
    controls = settings.pop("controls", {"x": widgets.slider("x", 1, 0, 5, 1)})
    return widgets.panel(
        draw, **({"hint": "Try 2.", "alt": "A line.", "width": 300} | settings), **controls
    )


def size_of(panel):
    return Image.open(io.BytesIO(panel.image.value)).size


# -- the mechanism ---------------------------------------------------------------------------------


def test_a_control_that_moves_changes_the_picture_and_back_again():
    panel = make()
    first = panel.image.value
    panel.controls["x"].value = 3
    assert panel.image.value != first
    assert size_of(panel) == (300, 200)
    panel.controls["x"].value = 1
    assert panel.image.value == first, "the same values give the same bytes"


def test_every_value_is_drawn_once():
    drawn = []

    def draw(x, y):
        drawn.append((x, y))
        return draw_line(x + y)

    panel = make(
        draw, controls={"x": widgets.slider("x", 1, 0, 5, 1), "y": widgets.slider("y", 0, 0, 5, 1)}
    )
    panel.controls["x"].value = 2
    panel.controls["y"].value = 4
    panel.controls["y"].value = 4
    panel.controls["y"].description = "another name"
    assert drawn == [(1, 0), (2, 0), (2, 4)]


def test_parts_are_where_tests_and_readers_look_for_them():
    panel = make(hint="Try 2 < 3.", alt="A line.")
    assert "course-widget" in panel._dom_classes
    controls, hint, image, message = panel.children
    assert list(controls.children) == list(panel.controls.values())
    assert "Try 2 &lt; 3." in hint.value
    assert image is panel.image and image.width == "300" and image.tooltip == "A line."
    assert message is panel.message and message.value == ""
    assert isinstance(image, ipywidgets.Image) and image.format == "png"


def test_the_text_of_a_panel_is_its_settings_without_bytes():
    panel = make()
    assert repr(panel) == "Panel(x=1)"
    panel.controls["x"].value = 4
    assert repr(panel) == "Panel(x=4)"
    assert panel._repr_mimebundle_()["text/plain"] == "Panel(x=4)"


def test_no_figure_is_left_for_pyplot_to_show_again():
    panel = make(lambda x: plots.learning_curves({"a": [1.0, x]}))
    panel.controls["x"].value = 2
    assert plt.get_fignums() == []


def test_an_error_is_shown_to_the_reader_and_raised_for_the_tests():
    def draw(x):
        if x == 2:
            raise ValueError("x: takes all but <2>")
        return draw_line(x)

    panel = make(draw)
    with pytest.raises(ValueError, match="takes all but <2>"):
        panel.controls["x"].value = 2
    assert "ValueError: x: takes all but &lt;2&gt;" in panel.message.value
    assert panel.image.layout.visibility == "hidden", "an old picture would be a lie"
    panel.controls["x"].value = 3
    assert panel.message.value == ""
    assert panel.image.layout.visibility == "visible"


def test_an_entry_takes_any_text_once_it_is_complete():
    field = widgets.entry("name", ("one", "two"))
    assert field.value == "one" and field.options == ("one", "two") and field.description == "name"
    field.value = "three"
    assert field.value == "three"
    assert not field.continuous_update, "half of a number is another number"
    assert not field.ensure_option


def test_a_panel_that_cannot_draw_at_all_says_so_at_once():
    with pytest.raises(ZeroDivisionError):
        make(lambda x: x / 0)
    with pytest.raises(TypeError, match="draw: takes a function to a Figure or Axes, got int"):
        make(lambda x: x)


def test_axes_may_be_returned_instead_of_their_figure():
    assert size_of(make(lambda x: draw_line(x).axes[0])) == (300, 200)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"controls": {}}, "controls: takes 1 to 3, got 0"),
        (
            {"controls": {name: widgets.slider(name, 1, 0, 2, 1) for name in "abcd"}},
            r"controls: takes 1 to 3, got 4 \(a, b, c, d\)",
        ),
        ({"controls": {"x": ipywidgets.IntSlider()}}, "x: takes a control with a description"),
        ({"hint": " "}, "hint: takes a line of text"),
        ({"alt": ""}, "alt: takes a line of text"),
    ],
)
def test_panels_that_would_not_teach_are_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        make(**settings)


def test_sliders_are_whole_or_real_and_answer_while_they_are_dragged():
    whole, real = widgets.slider("n", 4, 1, 9, 1), widgets.slider("α", 0.5, 0.0, 1.0, 0.05)
    assert isinstance(whole, ipywidgets.IntSlider) and isinstance(real, ipywidgets.FloatSlider)
    assert whole.continuous_update and real.continuous_update
    assert real.readout_format == ".2f"
    assert widgets.slider("β", 1.0, 0.0, 9.0, 0.5).readout_format == ".1f"
    assert widgets.slider("γ", 1.0, 0.0, 9.0, 1.0).readout_format == ".0f"


def test_choices_are_lists_or_ordered_sliders():
    assert isinstance(widgets.choice("runs", 1, [1, 10]), ipywidgets.Dropdown)
    assert isinstance(widgets.choice("runs", 1, [1, 10], ordered=True), ipywidgets.SelectionSlider)


# -- the widgets of the chapters -------------------------------------------------------------------


def shown_by(monkeypatch, function, widget, **values):
    """The arguments with which a widget calls a plot function after its controls have moved."""
    calls = []
    original = getattr(plots, function)

    def spy(*arguments, **keywords):
        calls.append((arguments, keywords))
        return original(*arguments, **keywords)

    monkeypatch.setattr(plots, function, spy)
    panel = widget()
    for name, value in values.items():
        panel.controls[name].value = value
    return calls[-1]


def test_bellman_shows_the_exact_optimum(monkeypatch):
    (values, layout, policy), _ = shown_by(
        monkeypatch, "value_map", widgets.bellman, gamma=0.5, reward_forbidden=-4.0, slip=0.2
    )
    world = rlcore.environments.GridWorld(reward_forbidden=-4.0, slip=0.2)
    solution = policy_iteration(rlcore.TabularMDP.from_gymnasium(world), 0.5)
    np.testing.assert_array_equal(values, solution.values)
    np.testing.assert_array_equal(policy, solution.policy)
    assert layout == world.layout


def test_bellman_begins_with_the_values_of_the_book(monkeypatch):
    (values, *_), _ = shown_by(monkeypatch, "value_map", widgets.bellman)
    book = [5.832, 5.58, 6.2, 6.48, 5.832, 6.48, 7.2, 8, 7.2, 6.48, 7.2, 8, 10, 8, 7.2]
    np.testing.assert_allclose(values[:15], book, atol=0.005)


def test_td_prediction_shows_the_errors_of_both_methods(monkeypatch):
    (curves,), _ = shown_by(
        monkeypatch, "learning_curves", widgets.td_prediction, alpha=0.1, runs=1000
    )
    # GROUND TRUTH of 100 000 runs after 100 episodes: TD 0.0553; 1000 runs have a standard error
    # of about 0.0006.
    errors = [np.asarray(curve)[:, -1] for curve in curves.values()]
    assert [len(each) for each in errors] == [1000, 1000]
    assert errors[0].mean() == pytest.approx(0.0553, abs=4 * errors[0].std() / np.sqrt(1000))
    assert errors[1].mean() > 2 * errors[0].mean()


def test_n_step_agrees_with_the_published_error(monkeypatch):
    (x, mean, error), keywords = shown_by(
        monkeypatch, "parameter_study", widgets.n_step, n=2, alpha=0.6
    )
    line, point = keywords["highlight"], int(np.argmin(np.abs(np.asarray(x) - 0.6)))
    assert "n = 2" in keywords["labels"][line]
    assert mean[line][point] == pytest.approx(0.2775, abs=4 * error[line][point] + 0.001)
    assert np.nanargmin(mean[line]) in range(point - 2, point + 3)


def test_cliff_walking_shows_the_edge_path_of_q_learning_and_its_price(monkeypatch):
    (curves,), _ = shown_by(monkeypatch, "learning_curves", widgets.cliff_walking)
    late = {name: np.asarray(returns)[:, -100:].mean() for name, returns in curves.items()}
    assert late["Q-learning"] < -40 < -35 < late["Sarsa"] < late["Expected Sarsa"] + 1
    (routes, _), _ = shown_by(monkeypatch, "paths", widgets.cliff_walking)
    assert routes["Q-learning"] == [36, *range(24, 36), 47]
    assert len(routes["Sarsa"]) > len(routes["Q-learning"])
    assert all(route[0] == 36 and route[-1] == 47 for route in routes.values())


def test_unified_target_draws_the_diagram_of_the_target(monkeypatch):
    for target in ("q_learning", "td_lambda"):
        (name,), keywords = shown_by(
            monkeypatch, "backup_diagram", widgets.unified_target, n=2, target=target
        )
        assert (name, keywords["n"]) == (target, 2)


def test_one_step_of_n_step_sarsa_is_sarsa(monkeypatch):
    (curves,), _ = shown_by(monkeypatch, "learning_curves", widgets.unified_target, n=1)
    n_step, sarsa = (np.asarray(curve) for curve in curves.values())
    np.testing.assert_array_equal(n_step, sarsa)


def test_generalization_shows_what_learn_changes(monkeypatch):
    (states, functions), keywords = shown_by(
        monkeypatch,
        "functions_of_state",
        widgets.generalization,
        family="Tile coding, 4 tilings",
        n=10,
        state=500,
    )
    change = functions["change"]
    tiles = features.tile_coding(10, 4, 1, 1001)(states)
    shared = (tiles == tiles[states == 500]).sum(axis=1)
    np.testing.assert_allclose(change, shared / 4)
    assert keywords["at"] == 500 and change[499] == 1
    assert f"{np.count_nonzero(shared)} of 1000" in keywords["title"]


def exact_walk(phi):
    env = gymnasium.make("rlcore/RandomWalk-v0", num_states=1000, left_reward=-1.0, reach=100)
    mdp = rlcore.TabularMDP.from_gymnasium(env)
    return LinearEvaluation(mdp, phi, rlcore.uniform_policy(1002, 2), 1.0)


def test_linear_prediction_shows_truth_projection_and_fixed_point(monkeypatch):
    (states, functions, truth), keywords = shown_by(
        monkeypatch, "functions_of_state", widgets.linear_prediction, family="Fourier", n=10
    )
    walk = exact_walk(features.fourier(10, 0, 1000))
    np.testing.assert_array_equal(truth, walk.true_values[states])
    closest, fixed_point, learnt = functions.values()
    np.testing.assert_allclose(closest, walk.values(walk.projection())[states], atol=1e-9)
    np.testing.assert_allclose(fixed_point, walk.values(walk.td_fixed_point())[states], atol=1e-9)
    assert np.abs(learnt - truth).mean() < 0.7 * np.abs(truth).mean()
    assert "11 features, condition 10" in keywords["title"]


def test_linear_prediction_states_the_exact_errors_beside_live_curves(monkeypatch):
    (curves,), keywords = shown_by(
        monkeypatch, "learning_curves", widgets.linear_prediction, n=5, share=0.2
    )
    # GROUND TRUTH, polynomial of order 5: closest .00100, TD fixed point .00102.
    assert keywords["reference"] == pytest.approx(
        {"fixed point": 0.00102, "closest": 0.00100}, abs=5e-6
    )
    assert "0.00102" in keywords["title"] and "0.00100" in keywords["title"]
    states = np.arange(1002)
    phi = features.polynomial(5, 0, 1000).table(states)
    again = semi_gradient_td0(
        exact_walk(phi).mdp, phi, episodes=100, alpha=0.2 / 6, runs=5
    )  # ‖φ‖² = 6 in state 1000
    np.testing.assert_allclose(curves["TD(0)"], again.errors, rtol=1e-9)


def test_linear_prediction_shows_that_well_conditioned_features_learn_faster(monkeypatch):
    late = {}
    for family in ("Polynomial", "Polynomial on [-1, 1]", "Fourier"):
        (curves,), _ = shown_by(
            monkeypatch, "learning_curves", widgets.linear_prediction, family=family
        )
        late[family] = np.asarray(curves["TD(0)"])[:, -20:].mean()
        table = np.asarray(curves["TD(0), a table"])[:, -20:].mean()
    # As the hint says; each margin is more than five standard errors of eight runs.
    assert late["Fourier"] < 0.6 * late["Polynomial"] < 0.6 * table
    assert late["Polynomial on [-1, 1]"] < 0.7 * late["Polynomial"]


def test_mountain_car_shows_the_surface_and_the_curve_of_one_run(monkeypatch):
    settings = {"n": 8, "alpha": 0.3, "episodes": 30}
    (cost, positions, velocities), _ = shown_by(
        monkeypatch, "heat_map", widgets.mountain_car, **settings
    )
    tiles = tile_coding(8, 8, [-1.2, -0.07], [0.5, 0.07])
    result = semi_gradient_n_step_sarsa(MountainCar(3000), tiles, epsilon=0.0, **settings)
    for i, j in ((0, 0), (13, 16), (32, 20)):
        q = result.q([[positions[i], velocities[j]]])[0, 0]
        assert cost[i, j] == pytest.approx(-q.max(), abs=1e-9)
    (curves,), _ = shown_by(monkeypatch, "learning_curves", widgets.mountain_car, **settings)
    np.testing.assert_array_equal(curves["n = 8, α = 0.3"], result.lengths)


def test_mountain_car_falls_apart_where_the_chapter_says_so(monkeypatch):
    (curves,), _ = shown_by(
        monkeypatch, "learning_curves", widgets.mountain_car, n=8, alpha=1.0, episodes=300
    )
    (lengths,) = curves["n = 8, α = 1.0"]
    assert np.median(lengths[10:60]) < 400, "it learns"
    assert np.all(lengths[-50:] == 3000), "and then no longer arrives"


def baird_curves(monkeypatch, **values):
    (weights,), keywords = shown_by(monkeypatch, "weight_curves", widgets.baird, **values)
    updates, sampled = keywords["samples"]
    return weights, keywords["predicted"], list(updates), sampled, keywords["title"]


def test_baird_grows_by_the_eigenvalue_as_predicted(monkeypatch):
    weights, predicted, updates, sampled, title = baird_curves(monkeypatch, alpha=0.02)
    growth = 1 + 0.02 * 0.23925046  # the growing eigenvalue of -A at gamma = 0.99, alpha = 0.02
    assert f"{growth:.5f}" in title
    for label, line in weights.items():
        assert predicted[label][-1] == pytest.approx(line[-1], rel=0.01), label
        assert line[-1] / line[-101] == pytest.approx(growth**100, rel=0.01), label
        assert abs(sampled[label][-1]) > 1000
    assert updates[-1] == len(next(iter(weights.values()))) - 1


@pytest.mark.parametrize("values", [{"gamma": 0.7}, {"method": "tdc"}, {"method": "on_policy"}])
def test_baird_is_cured_by_a_smaller_gamma_tdc_or_the_policys_own_states(monkeypatch, values):
    weights, predicted, updates, sampled, title = baird_curves(monkeypatch, **values)
    assert "1.00000" in title
    for label, line in weights.items():
        assert np.abs(line).max() < 12 and np.abs(sampled[label]).max() < 20
        np.testing.assert_allclose(predicted[label], predicted[label][0], atol=1e-6)
        # one run against its expectation
        np.testing.assert_allclose(sampled[label], np.asarray(line)[updates], atol=4)


def test_baird_follows_the_states_of_its_method(monkeypatch):
    """On-policy only the centre is visited: the outer weights do not move. TDC ends at small
    projected Bellman errors, TD(0) does not."""
    errors = {}
    for method in ("td", "tdc", "on_policy"):
        weights, *_ = baird_curves(monkeypatch, method=method)
        outer, centre, shared = (np.asarray(line) for line in weights.values())
        w = np.concatenate(([outer[-1]] * 6, [centre[-1]], [shared[-1]]))
        errors[method] = rlcore.approximation.LinearEvaluation(
            rlcore.TabularMDP.from_gymnasium(BairdStar()),
            BairdStar.FEATURES,
            BairdStar.TARGET_POLICY,
            0.99,
            distribution=np.full(7, 1 / 7),
        ).projected_bellman_error(w)
        if method == "on_policy":
            assert np.ptp(outer) < 1e-9
            # Each update takes alpha |phi|^2 (1 - gamma) of the centre's value, 12 at first.
            left = 12 * (1 - 0.01 * 5 * (1 - 0.99)) ** 2000
            assert centre[-1] + 2 * shared[-1] == pytest.approx(left)
    assert errors["tdc"] < 0.05 < 1 < errors["td"]


def test_value_network_shows_a_run_of_the_network(monkeypatch):
    settings = {"shuffle": False, "target_every": 5, "alpha": 0.3}
    (estimates, true_values), _ = shown_by(
        monkeypatch, "state_values", widgets.value_network, **settings
    )
    walk = widgets.neural.hallway()
    policy = np.ones((21, 1))
    np.testing.assert_allclose(true_values, walk.policy_values(policy, 0.9))
    learnt = value_network_td(
        walk,
        policy,
        inputs=np.linspace(-1, 1, 21)[:, None],
        hidden=(32,),
        episodes=1,
        max_episode_steps=2000,
        sweeps=3,
        gamma=0.9,
        **settings,
    )
    np.testing.assert_allclose(estimates["network"], learnt.values)


def test_value_network_shows_what_order_and_target_cost(monkeypatch):
    def late_error(**values):
        (curves,), _ = shown_by(monkeypatch, "learning_curves", widgets.value_network, **values)
        errors = np.asarray(curves["RMS error"])
        return errors[len(errors) // 2 :].mean()

    shuffled = late_error()
    assert shuffled < 0.3
    assert late_error(shuffle=False) > 1.2 * shuffled
    assert late_error(target_every=50) > 1.5 * shuffled
