"""Every widget of the chapters, whichever package it is in."""

import io
import logging

import matplotlib.pyplot as plt
import pytest
from PIL import Image

import rlcore.widgets
import speccore.widgets

MECHANISM = {
    "DPI",
    "MOST_CONTROLS",
    "WIDTH",
    "Panel",
    "blank_figure",
    "choice",
    "entry",
    "panel",
    "slider",
}
WIDGETS = [
    getattr(package.widgets, name)
    for package in (rlcore, speccore)
    for name in package.widgets.__all__
    if name not in MECHANISM
]


def size_of(panel):
    return Image.open(io.BytesIO(panel.image.value)).size


def values_of(control):
    """The ends of a slider and its next step, or all options."""
    if hasattr(control, "options"):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    following = control.value + control.step
    return [control.min, following if following <= control.max else control.min, control.max]


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget.__name__)
def test_every_value_of_every_control_has_a_picture_of_its_own(widget, caplog):
    panel = widget()
    first = panel.image.value
    size = size_of(panel)
    with caplog.at_level(logging.WARNING):
        for control in panel.controls.values():
            begun = control.value
            for value in values_of(control):
                before, changes = panel.image.value, value != control.value
                control.value = value
                assert (panel.image.value != before) == changes, (control.description, value)
                assert size_of(panel) == size
            control.value = begun
            assert panel.image.value == first, "the picture depends on the values alone"
    assert caplog.records == [], "matplotlib complained"
    assert plt.get_fignums() == []


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget.__name__)
def test_widgets_say_what_to_try_and_what_to_expect(widget):
    panel = widget()
    assert len(panel.children[1].value) > 60
    assert len(panel.image.tooltip) > 40
