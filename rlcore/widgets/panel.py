"""The mechanism of every widget: a picture with at most three controls, drawn anew at each move."""

from __future__ import annotations

import gc
import html
import io
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import traitlets
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

MOST_CONTROLS = 3
WIDTH = 640  # pixels of a picture; a notebook's column is about 700 wide
DPI = 100


class Panel(ipywidgets.VBox):
    """Controls above a picture that answers them; made by ``panel``."""

    controls: dict[str, Any]
    """Name → control; set ``.value`` of one and the picture is drawn anew."""
    image: Any
    """The picture, an ``ipywidgets.Image`` with PNG bytes."""
    message: Any
    """An ``ipywidgets.HTML`` that is empty unless the last picture could not be drawn."""

    def __repr__(self) -> str:
        # What a notebook stores as text: the settings, and none of the picture's bytes.
        settings = ", ".join(f"{name}={each.value!r}" for name, each in self.controls.items())
        return f"Panel({settings})"


def panel(
    draw: Callable[..., Figure | Axes],
    *,
    hint: str,
    alt: str,
    width: int = WIDTH,
    **controls: Any,
) -> Panel:
    """A picture with controls: ``draw(**values)`` is called now and whenever a control moves.

    The picture is a PNG in one image widget of fixed width, so that nothing on the page jumps or
    flickers, and a test can set a value and look at the bytes. While a slider is dragged, the page
    itself keeps only its latest value until the kernel is idle again: no queue builds up.

    Args:
        draw: a function of the controls' values to a ``Figure`` or an ``Axes``; best made with
            ``blank_figure``, which is faster than ``pyplot``.
        hint: one line under the controls: what to try, and what to expect.
        alt: what the picture shows, for readers who cannot see it.
        width: of the picture, in pixels.
        controls: name of an argument of ``draw`` → one to three ipywidgets with a ``description``
            and a ``value``; see ``slider`` and ``choice``.

    Raises:
        ValueError: no control or more than three, a control without description, an empty hint or
            alt.
        Exception: what ``draw`` raises is shown in the panel, and raised again.
    """
    if not 1 <= len(controls) <= MOST_CONTROLS:
        raise ValueError(
            f"controls: takes 1 to {MOST_CONTROLS}, got {len(controls)} ({', '.join(controls)})"
        )
    for name, control in controls.items():
        if not getattr(control, "description", ""):
            raise ValueError(f"{name}: takes a control with a description, got {control!r}")
    for name, text in (("hint", hint), ("alt", alt)):
        if not text.strip():
            raise ValueError(f"{name}: takes a line of text, got {text!r}")
    image = ipywidgets.Image(format="png", width=width)
    # JupyterLab fails to show a widget that has a tooltip but no description, as a picture is.
    image.add_traits(description=traitlets.Unicode("").tag(sync=True))
    image.tooltip = alt
    image.layout.max_width = "100%"
    message = ipywidgets.HTML()
    hint_line = ipywidgets.HTML(f"<em>{html.escape(hint)}</em>")
    container = Panel([ipywidgets.HBox(list(controls.values())), hint_line, image, message])
    container.children[0].layout.flex_flow = "row wrap"
    container.controls, container.image, container.message = controls, image, message
    container.add_class("course-widget")

    def redraw(_: Any = None) -> None:
        collects = gc.isenabled()
        gc.disable()  # a full collection takes as long as the picture; it can wait until after it
        try:
            picture = _png(draw(**{name: each.value for name, each in controls.items()}))
        except Exception as error:
            problem = html.escape(f"{type(error).__name__}: {error}")
            message.value = f"<pre style='color: #b00020; white-space: pre-wrap'>{problem}</pre>"
            image.layout.visibility = "hidden"  # the old picture no longer fits the controls
            raise
        else:
            image.value = picture
            message.value = ""
            image.layout.visibility = "visible"
        finally:
            if collects:
                gc.enable()

    for control in controls.values():
        control.observe(redraw, names="value")
    redraw()
    return container


def slider(description: str, value: float, low: float, high: float, step: float) -> Any:
    """A slider that answers while it is dragged; for whole numbers if all numbers are ``int``."""
    whole = all(isinstance(number, int) for number in (value, low, high, step))
    decimals = max(0, int(np.ceil(-np.log10(step) - 1e-9)))
    return (ipywidgets.IntSlider if whole else ipywidgets.FloatSlider)(
        value=value,
        min=low,
        max=high,
        step=step,
        description=description,
        readout_format="d" if whole else f".{decimals}f",
        style={"description_width": "initial"},
    )


def choice(description: str, value: Any, options: Sequence[Any], *, ordered: bool = False) -> Any:
    """One of several options, or of (name, option) pairs: a list, or a slider if ``ordered``."""
    return (ipywidgets.SelectionSlider if ordered else ipywidgets.Dropdown)(
        value=value,
        options=list(options),
        description=description,
        style={"description_width": "initial"},
    )


def entry(description: str, suggestions: Sequence[str]) -> Any:
    """A field for any text, read once it is complete; the first suggestion stands in it."""
    return ipywidgets.Combobox(
        value=suggestions[0],
        options=list(suggestions),
        ensure_option=False,
        continuous_update=False,
        description=description,
        style={"description_width": "initial"},
    )


def blank_figure(height: int = 360, width: int = WIDTH) -> Figure:
    """An empty figure of so many pixels, unknown to pyplot, so that nothing is shown twice."""
    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI)


def _png(drawn: Figure | Axes) -> bytes:
    figure: Any = drawn.figure if isinstance(drawn, Axes) else drawn
    if not isinstance(figure, Figure):
        raise TypeError(f"draw: takes a function to a Figure or Axes, got {type(drawn).__name__}")
    plt.close(figure)  # a figure left open in pyplot would appear below the cell as well
    buffer = io.BytesIO()
    # Compressing the picture harder would take longer than sending it.
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(buffer, pil_kwargs={"compress_level": 1})
    return buffer.getvalue()
