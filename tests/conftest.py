"""Unit tests draw without a screen."""

import warnings

import matplotlib
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt


@pytest.fixture
def strict_figures():
    """Every figure of a test is drawn, none may warn, and none changes matplotlib's settings."""
    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
    plt.close("all")
    assert dict(matplotlib.rcParams) == before, "a figure changed the settings of matplotlib"
