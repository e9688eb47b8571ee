"""Unit tests draw without a screen, and examples take as long as the machine needs."""

import warnings

import matplotlib
import pytest
from hypothesis import settings

matplotlib.use("Agg")

import matplotlib.pyplot as plt

settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")


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
