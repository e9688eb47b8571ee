"""Figures show the numbers they are given, in any size, without a warning or a global trace."""

import gymnasium
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import rlcore
from rlcore import plots
from rlcore.mdp import Layout

CROSS = ((-1, 0), (0, 1), (1, 0), (0, -1), (0, 0))
GRID = Layout((2, 3), CROSS)


pytestmark = pytest.mark.usefixtures("strict_figures")


def texts(ax):
    return [text.get_text() for text in ax.texts]


def ascii_only(ax):
    shown = [ax.get_title(loc=where) for where in ("left", "center", "right")]
    shown += [ax.get_xlabel(), ax.get_ylabel(), *texts(ax)]
    if ax.get_legend():
        shown += [text.get_text() for text in ax.get_legend().get_texts()]
    return all(text.isascii() for text in shown)


# -- value maps ------------------------------------------------------------------------------------


def test_value_map_writes_each_value_into_its_cell():
    ax = plots.value_map([0, 1, 2, 3, 4, np.nan], GRID, fmt=".1f", title="Values")
    assert texts(ax) == ["0.0", "1.0", "2.0", "3.0", "4.0"]
    assert [text.get_position() for text in ax.texts] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]
    assert ax.get_title(loc="left") == "Values"
    assert ax.get_ylim() == (1.5, -0.5), "the first row is the highest"


def arrows_of(ax):
    """[column, row, right, down] of the arrows, and [column, row] of the dots."""
    found = {"arrows": [], "dots": []}
    for collection in ax.collections:
        if hasattr(collection, "U"):
            corners = np.round(np.asarray(collection.get_offsets())).astype(int)
            directions = np.sign(np.round(np.column_stack((collection.U, collection.V)), 6))
            found["arrows"] = np.column_stack((corners, directions)).astype(int).tolist()
        elif isinstance(collection, PathCollection):
            found["dots"] = np.round(collection.get_offsets()).astype(int).tolist()
    return found


def test_value_map_draws_an_arrow_for_every_action_with_probability():
    policy = np.zeros((6, 5))
    policy[0, 1] = 1.0  # right
    policy[1, [0, 2]] = 0.5  # up and down
    policy[4, 4] = 1.0  # stay
    ax = plots.value_map(np.arange(6), GRID, policy)
    found = arrows_of(ax)
    assert sorted(found["arrows"]) == [[0, 0, 1, 0], [1, 0, 0, -1], [1, 0, 0, 1]]
    assert found["dots"] == [[1, 1]]


def test_arrows_lie_on_the_side_to_which_they_point():
    ax = plots.value_map(np.arange(6), GRID, np.tile([0.25] * 4 + [0.0], (6, 1)))
    (quiver,) = [each for each in ax.collections if hasattr(each, "U")]
    places = np.asarray(quiver.get_offsets())
    sides = np.sign(np.round(places - np.round(places), 6))
    np.testing.assert_array_equal(sides, np.sign(np.column_stack((quiver.U, quiver.V))))


def test_value_map_gives_no_arrow_to_a_blank_cell_and_smaller_ones_to_the_less_likely():
    policy = np.tile([0.7, 0.1, 0.1, 0.1, 0.0], (6, 1))
    values = np.array([np.nan, 1, 2, 3, 4, 5])
    ax = plots.value_map(values, GRID, policy)
    (quiver,) = [each for each in ax.collections if hasattr(each, "U")]
    assert len(quiver.U) == 4 * 5
    lengths = np.hypot(quiver.U, quiver.V).reshape(5, 4)
    assert np.all(lengths[:, 0] > 1.5 * lengths[:, 1])


def test_value_map_knows_the_moves_of_gymnasium_and_of_kings():
    env = gymnasium.make("CliffWalking-v1")
    mdp = rlcore.TabularMDP.from_gymnasium(env)
    policy = rlcore.greedy_policy(np.tile([0.0, 1.0, 0.0, 0.0], (48, 1)))  # right everywhere
    found = arrows_of(plots.value_map(np.zeros(48), mdp.layout, policy))
    assert {tuple(arrow[2:]) for arrow in found["arrows"]} == {(1, 0)}
    kings = Layout((2, 2), ((-1, -1), (1, 1)))
    found = arrows_of(plots.value_map(np.zeros(4), kings, np.tile([0.0, 1.0], (4, 1))))
    assert {tuple(arrow[2:]) for arrow in found["arrows"]} == {(1, 1)}


def contrast(ink, paper):
    light, dark = sorted(
        (float(plots._luminance(np.array(to_rgb(colour)))) for colour in (ink, paper)), reverse=True
    )
    return (light + 0.05) / (dark + 0.05)


def test_numbers_stand_out_from_every_colour_of_the_scale():
    layout = Layout((1, 101), CROSS)
    ax = plots.value_map(np.linspace(0, 1, 101), layout)
    (image,) = ax.images
    papers = image.to_rgba(image.get_array())[0, :, :3]
    inks = [text.get_color() for text in ax.texts]
    worst = min(contrast(ink, paper) for ink, paper in zip(inks, papers, strict=True))
    assert worst >= 4.5, "the contrast that WCAG 2.1 asks of text"


@pytest.mark.parametrize("shape", [(5, 5), (4, 12), (1, 7), (7, 10), (1, 1)])
@pytest.mark.parametrize("number", ["-13.0", "10.00"])
def test_numbers_fit_between_the_arrows(shape, number):
    states = shape[0] * shape[1]
    layout = Layout(shape, CROSS)
    ax = plots.value_map(np.full(states, float(number)), layout, np.full((states, 5), 0.2))
    figure = ax.figure
    figure.canvas.draw()
    cell = ax.transData.transform([(0, 0), (1, 0)])
    width = cell[1, 0] - cell[0, 0]
    boxes = [text.get_window_extent() for text in ax.texts]
    assert max(box.width for box in boxes) < 0.64 * width
    tight = ax.get_tightbbox()
    assert tight.x0 >= -1 and tight.x1 <= figure.bbox.width + 1, "nothing is clipped"


def test_forbidden_cells_are_hatched_and_targets_framed():
    ax = plots.value_map(np.arange(6), GRID, forbidden=[(0, 1), (1, 2)], targets=[(1, 0)])
    hatched = [patch for patch in ax.patches if patch.get_hatch()]
    framed = [patch for patch in ax.patches if not patch.get_hatch()]
    assert [patch.get_xy() for patch in hatched] == [(0.5, -0.5), (1.5, 0.5)]
    assert framed[0].get_xy() == pytest.approx((-0.45, 0.55))


def test_equal_values_and_no_value_at_all_can_be_drawn():
    plots.value_map(np.ones(6), GRID)
    plots.value_map(np.full(6, np.nan), GRID, np.full((6, 5), 0.2))


@pytest.mark.parametrize(
    ("values", "policy", "layout", "error", "match"),
    [
        (np.zeros(5), None, GRID, ValueError, r"values: takes shape \(6,\).*got \(5,\)"),
        (np.zeros(6), np.ones((6, 4)), GRID, ValueError, r"policy: takes shape \(6, 5\)"),
        (np.zeros(6), None, (2, 3), TypeError, "layout: takes a Layout, got tuple"),
    ],
)
def test_value_map_refuses_what_does_not_fit(values, policy, layout, error, match):
    with pytest.raises(error, match=match):
        plots.value_map(values, layout, policy)


def test_paths_are_drawn_apart_and_named():
    ax = plots.paths(
        {"one": [0, 1, 2, 5], "two": [0, 1, 2, 5]},
        GRID,
        shaded=[(1, 1)],
        labels={(0, 0): "S"},
        title="Paths",
    )
    one, two = (line.get_xydata() for line in ax.lines)
    assert np.round(one).tolist() == [[0, 0], [1, 0], [2, 0], [2, 1]]
    assert not np.allclose(one, two)
    assert texts(ax) == ["S"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]


# -- curves ----------------------------------------------------------------------------------------


def band_of(collection):
    """x → (low, high) of a band."""
    edges = collection.get_paths()[0].vertices
    return {
        x: (edges[edges[:, 0] == x, 1].min(), edges[edges[:, 0] == x, 1].max()) for x in edges[:, 0]
    }


RUNS = np.random.default_rng(0).normal(size=(50, 8))


def test_learning_curves_show_mean_and_normal_interval_of_the_runs():
    ax = plots.learning_curves({"random": RUNS}, reference={"zero": 0.0})
    line, zero = ax.lines
    assert line.get_xdata().tolist() == list(range(1, 9))
    np.testing.assert_allclose(line.get_ydata(), RUNS.mean(axis=0))
    assert set(zero.get_ydata()) == {0.0}
    error = RUNS.std(axis=0, ddof=1) / np.sqrt(50)
    (band,) = ax.collections
    low, high = band_of(band)[3]
    assert (low, high) == pytest.approx(
        (RUNS[:, 2].mean() - 1.96 * error[2], RUNS[:, 2].mean() + 1.96 * error[2])
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["random", "zero"]


@pytest.mark.parametrize(("band", "factor"), [("se", 1.0), ("sd", np.sqrt(50)), ("ci", 1.96)])
def test_bands_have_the_width_they_are_named_after(band, factor):
    ax = plots.learning_curves({"random": RUNS}, band=band)
    low, high = band_of(ax.collections[0])[1]
    assert (high - low) / 2 == pytest.approx(factor * RUNS[:, 0].std(ddof=1) / np.sqrt(50))


def test_one_run_or_none_wanted_has_no_band():
    assert not plots.learning_curves({"one": RUNS[:1], "line": RUNS[0]}).collections
    assert not plots.learning_curves({"many": RUNS}, band=None).collections


def test_smoothing_is_the_mean_of_the_last_episodes_of_each_run():
    ax = plots.learning_curves({"random": RUNS}, smooth=3)
    x, y = ax.lines[0].get_data()
    assert x.tolist() == [3, 4, 5, 6, 7, 8]
    assert y[0] == pytest.approx(RUNS[:, :3].mean())
    assert y[-1] == pytest.approx(RUNS[:, -3:].mean())
    low, high = band_of(ax.collections[0])[3]
    smoothed = RUNS[:, :3].mean(axis=1)
    assert (high - low) / 2 == pytest.approx(1.96 * smoothed.std(ddof=1) / np.sqrt(50))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"curves": {"a": RUNS}, "band": "95"}, "band: takes"),
        ({"curves": {"a": RUNS}, "smooth": 9}, "smooth: takes a whole number in 1 … 8, got 9"),
        ({"curves": {"a": RUNS}, "smooth": 0}, "smooth"),
        ({"curves": {"a": RUNS[None]}}, r"curves\['a'\]: takes shape"),
    ],
)
def test_learning_curves_refuse_what_they_cannot_draw(settings, match):
    with pytest.raises(ValueError, match=match):
        plots.learning_curves(**settings)


def test_parameter_study_shows_each_line_with_its_band_and_cuts_what_is_too_high():
    x = [0.1, 0.5, 1.0]
    mean = [[1.0, 2.0, np.inf], [3.0, 1e300, np.nan]]
    ax = plots.parameter_study(
        x, mean, [[0.1, 0.2, np.nan], [0.1, 1e300, np.nan]], labels=["a", "b"], ylim=(0, 4)
    )
    assert ax.get_ylim() == (0, 4)
    np.testing.assert_array_equal(ax.lines[0].get_ydata()[:2], [1.0, 2.0])
    low, high = band_of(ax.collections[0])[0.5]
    assert (high - low) / 2 == pytest.approx(1.96 * 0.2)


def test_parameter_study_tells_many_lines_apart_and_can_bring_one_forward():
    labels = [f"n = {2**k}" for k in range(10)]
    mean = np.outer(np.arange(1.0, 11.0), np.ones(4))
    ax = plots.parameter_study([1, 2, 3, 4], mean, labels=labels, log_x=True, legend_title="steps")
    assert ax.get_xscale() == "log"
    looks = {
        (line.get_color(), str(line.get_linestyle()))
        if isinstance(line.get_color(), str)
        else tuple(line.get_color())
        for line in ax.lines
    }
    assert len(looks) == 10
    ax = plots.parameter_study([1, 2, 3, 4], mean[:3], labels=labels[:3], highlight=1)
    assert [line.get_alpha() for line in ax.lines] == [0.35, 1, 0.35]


def test_parameter_study_refuses_shapes_that_disagree():
    with pytest.raises(ValueError, match=r"mean: takes shape \(lines, points\) = \(2, 3\)"):
        plots.parameter_study([1, 2, 3], np.zeros((3, 2)), labels=["a", "b"])
    with pytest.raises(ValueError, match="standard_error: takes shape"):
        plots.parameter_study([1, 2, 3], np.zeros(3), np.zeros(2), labels=["a"])


def test_state_values_show_estimates_and_truth_under_their_names():
    ax = plots.state_values({"TD": [0.1, 0.2], "MC": [0.3, 0.4]}, [0.5, 0.6], states=["A", "B"])
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["A", "B"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["TD", "MC", "true values"]


def test_functions_of_state_are_drawn_over_their_states_with_the_truth_below():
    x = [1, 2, 4]
    ax = plots.functions_of_state(x, {"fit": [0, 1, 2], "other": [1, 1, 1]}, [0, 1, 3], at=2)
    fit, other, truth, mark = ax.lines
    assert fit.get_xdata().tolist() == [1, 2, 4] and fit.get_ydata().tolist() == [0, 1, 2]
    assert truth.get_ydata().tolist() == [0, 1, 3] and truth.get_zorder() < fit.get_zorder()
    assert set(mark.get_xdata()) == {2}
    assert fit.get_linestyle() != other.get_linestyle()
    named = [text.get_text() for text in ax.get_legend().get_texts()]
    assert named == ["fit", "other", "true values"]


def test_many_functions_of_state_are_one_family_without_legend():
    ax = plots.functions_of_state([0, 1], {str(k): [k, k] for k in range(20)})
    assert ax.get_legend() is None
    assert len({tuple(line.get_color()) for line in ax.lines}) == 20
    assert plots.functions_of_state([0, 1], {"a": [0, 1]}, legend=False).get_legend() is None


def test_functions_of_state_refuse_another_number_of_points():
    with pytest.raises(ValueError, match=r"fit: takes shape \(points,\) = \(3,\), as x has, got"):
        plots.functions_of_state([1, 2, 3], {"fit": [0, 1]})
    with pytest.raises(ValueError, match="true values: takes shape"):
        plots.functions_of_state([1, 2, 3], {}, [0, 1])


def test_value_plane_shows_right_angles_points_and_arrows():
    ax = plots.value_plane(
        (2, 1), {"v": (1, 3), "closest": (2, 1)}, arrows={"project": ((1, 3), (2, 1))}
    )
    line, v, closest = ax.lines
    direction = np.diff(line.get_xydata(), axis=0)[0]
    assert direction[0] == 2 * direction[1] > 0
    assert np.abs(line.get_xydata()).min() >= 4, "the line crosses all of the plane"
    assert v.get_xydata().tolist() == [[1, 3]] and closest.get_xydata().tolist() == [[2, 1]]
    arrow, label = ax.texts
    assert (arrow.xyann, arrow.xy) == ((1, 3), (2, 1))
    assert label.get_text() == "project"
    assert ax.get_aspect() == 1 and ax.get_xlim() == ax.get_ylim() == (-4, 4)
    named = [text.get_text() for text in ax.get_legend().get_texts()]
    assert named[1:] == ["v", "closest"]


def test_seven_lines_differ_without_colour():
    ax = plots.parameter_study([1, 2], np.zeros((7, 2)), labels=list("abcdefg"))
    looks = {(str(line._dash_pattern), line.get_marker()) for line in ax.lines}
    assert len(looks) == 7


def test_heat_map_has_the_value_of_each_point_at_its_place():
    values = np.array([[0.0, 1.0], [2.0, np.nan], [4.0, 5.0]])  # (x, y)
    ax = plots.heat_map(values, [10, 20, 30], [-1, 1], label="cost", xlabel="p", ylabel="v")
    (mesh,) = ax.collections
    corners = mesh.get_coordinates()
    assert corners.shape == (3, 4, 2), "a cell for each point: y upwards, x to the right"
    np.testing.assert_allclose(corners[:-1, :-1].mean(axis=0)[:, 0] + 5, [10, 20, 30])
    shown = mesh.get_array()
    np.testing.assert_array_equal(shown.filled(-9), [[0, 2, 4], [1, -9, 5]])
    assert mesh.get_clim() == (0, 5)
    assert [each.get_ylabel() for each in ax.figure.axes] == ["v", "cost"]
    assert plots.heat_map(values, [1, 2, 3], [1, 2], limits=(0, 9)).collections[0].get_clim() == (
        0,
        9,
    )


def test_heat_map_draws_a_path_from_its_start():
    path = np.array([[1.0, 2.0], [1.5, 2.5], [2.0, 1.0]])
    ax = plots.heat_map(np.zeros((3, 2)), [1, 2, 3], [1, 2], path=path)
    black, white, start = ax.lines
    for line in (black, white):
        np.testing.assert_array_equal(line.get_xydata(), path)
    assert black.get_linewidth() > white.get_linewidth()
    assert start.get_xydata().tolist() == [[1, 2]] and start.get_marker() == "o"


def test_heat_map_refuses_values_of_another_grid():
    with pytest.raises(ValueError, match=r"values: takes shape \(len\(x\), len\(y\)\) = \(3, 2\)"):
        plots.heat_map(np.zeros((2, 3)), [1, 2, 3], [1, 2])


def test_weight_curves_show_lines_predictions_and_samples():
    ax = plots.weight_curves(
        {"w1": [1.0, 10.0, 100.0], "w2": [-1.0, -10.0, -100.0]},
        predicted={"w1": [2.0, 20.0, 200.0], "w2": [-2.0, -20.0, -200.0]},
        samples=([0, 2], {"w2": [-1.0, -90.0]}),
    )
    one, two, dots, *predicted = ax.lines
    assert one.get_xydata().tolist() == [[0, 1], [1, 10], [2, 100]]
    assert dots.get_xydata().tolist() == [[0, -1], [2, -90]]
    assert dots.get_color() == two.get_color() != one.get_color()
    assert [line.get_ydata()[-1] for line in predicted] == [200, -200]
    assert ax.get_yscale() == "symlog"
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["w1", "w2", "predicted by eigenvalues"]


def test_many_decades_have_few_labels():
    ax = plots.weight_curves({"w": [1.0, 1e6]}, ylim=(-1e6, 1e6))
    ticks = [tick for tick in ax.get_yticks() if -1e6 <= tick <= 1e6]
    assert ticks == [-1e6, -1e4, -1e2, -1, 0, 1, 1e2, 1e4, 1e6]


def test_growth_by_a_constant_factor_is_a_straight_line_in_both_directions():
    ax = plots.weight_curves({"up": 10.0 ** np.arange(5), "down": -(10.0 ** np.arange(5))})
    for line in ax.lines:
        heights = ax.transData.transform(line.get_xydata())[:, 1]
        np.testing.assert_allclose(np.diff(heights), np.diff(heights)[0])


# -- backup diagrams -------------------------------------------------------------------------------


def nodes(ax):
    """How many open circles, filled dots, squares and arcs."""
    kinds = [type(patch).__name__ for patch in ax.patches]
    circles = [patch for patch in ax.patches if type(patch).__name__ == "Circle"]
    filled = sum(patch.get_facecolor()[:3] == (0, 0, 0) for patch in circles)
    return len(circles) - filled, filled, kinds.count("Rectangle"), kinds.count("Arc")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("td0", (2, 1, 0, 0)),
        ("sarsa", (1, 2, 0, 0)),
        ("expected_sarsa", (1, 4, 0, 0)),
        ("q_learning", (1, 4, 0, 1)),
        ("double_q_learning", (1, 4, 0, 1)),
        ("policy_evaluation", (7, 3, 0, 0)),
        ("value_iteration", (7, 3, 0, 1)),
        ("monte_carlo", (2, 2, 1, 0)),
        ("td_lambda", (7, 5, 1, 0)),
    ],
)
def test_backup_diagrams_have_the_nodes_of_sutton_and_barto(name, expected):
    ax = plots.backup_diagram(name)
    assert nodes(ax) == expected
    assert plots.BACKUPS[name].target in texts(ax)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_n_step_diagrams_grow_with_n(n):
    assert nodes(plots.backup_diagram("n_step_td", n=n)) == (n + 1, n, 0, 0)
    assert nodes(plots.backup_diagram("n_step_sarsa", n=n)) == (n, n + 1, 0, 0)
    assert plots.backup_diagram("n_step_td", n=n).get_title() == f"{n}-step TD"


def test_long_paths_are_broken_and_keep_their_size():
    short, long = plots.backup_diagram("n_step_td", n=4), plots.backup_diagram("n_step_td", n=100)
    assert nodes(long) == nodes(plots.backup_diagram("n_step_td", n=5)) == (4, 3, 0, 0)
    assert short.get_ylim() == long.get_ylim() == plots.backup_diagram("sarsa").get_ylim()


def test_one_step_of_n_is_the_one_step_method():
    for one, n_step in (("td0", "n_step_td"), ("sarsa", "n_step_sarsa")):
        assert nodes(plots.backup_diagram(one)) == nodes(plots.backup_diagram(n_step, n=1))


@pytest.mark.parametrize("name", plots.BACKUPS)
def test_diagrams_stay_inside_their_axes(name):
    ax = plots.backup_diagram(name, n=7)
    ax.figure.canvas.draw()
    frame = ax.get_window_extent()
    for patch in ax.patches:
        box = patch.get_window_extent()
        assert box.x0 >= frame.x0 and box.x1 <= frame.x1
        assert box.y0 >= frame.y0 and box.y1 <= frame.y1
    for text in ax.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= ax.figure.bbox.width, "the target fits into the figure"
        assert box.y0 >= 0


def test_backup_diagram_refuses_names_it_does_not_know():
    with pytest.raises(ValueError, match=r"name: takes one of .*q_learning.*, got 'q'"):
        plots.backup_diagram("q")
    with pytest.raises(ValueError, match="n: takes a whole number >= 1, got 0"):
        plots.backup_diagram("n_step_td", n=0)


# -- all figures -----------------------------------------------------------------------------------

FIGURES = {
    "value_map": lambda ax: plots.value_map(np.arange(6), GRID, np.full((6, 5), 0.2), ax=ax),
    "paths": lambda ax: plots.paths({"a": [0, 1]}, GRID, ax=ax),
    "learning_curves": lambda ax: plots.learning_curves({"a": RUNS}, ax=ax),
    "parameter_study": lambda ax: plots.parameter_study([1, 2], [1, 2], labels=["a"], ax=ax),
    "state_values": lambda ax: plots.state_values({"a": [1, 2]}, ax=ax),
    "functions_of_state": lambda ax: plots.functions_of_state(
        [1, 2], {"a": [1, 2], "b": [2, 3]}, [1, 3], at=1.5, ax=ax
    ),
    "value_plane": lambda ax: plots.value_plane(
        (2, 1), {"v": (1, 3)}, arrows={"T": ((1, 3), (2, 1))}, ax=ax
    ),
    "heat_map": lambda ax: plots.heat_map(np.eye(3), [1, 2, 3], [1, 2, 3], path=RUNS, ax=ax),
    "weight_curves": lambda ax: plots.weight_curves({"a": [1, 2]}, ax=ax),
    "backup_diagram": lambda ax: plots.backup_diagram("td_lambda", ax=ax),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_draw_into_the_axes_they_are_given_and_make_none(name):
    figure = Figure()
    ax = figure.add_subplot()
    assert FIGURES[name](ax) is ax
    assert plt.get_fignums() == []
    FigureCanvasAgg(figure).draw()


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_clipped_at_the_edge_of_the_figure(name):
    ax = FIGURES[name](None)
    ax.figure.canvas.draw()
    box, page = ax.get_tightbbox(), ax.figure.bbox
    assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= page.x1 + 1 and box.y1 <= page.y1 + 1


@pytest.mark.parametrize("name", FIGURES)
def test_labels_are_ascii_and_axes_are_named(name):
    ax = FIGURES[name](None)
    assert ascii_only(ax)
    if name not in ("value_map", "paths", "backup_diagram"):
        assert ax.get_xlabel() and ax.get_ylabel()
        assert ax.get_legend() or name == "heat_map"  # whose colours have a scale instead
