"""The widget of chapter 11."""

from __future__ import annotations

from typing import Any

import ipywidgets
import numpy as np
from matplotlib.figure import Figure

from rlcore.widgets.panel import Panel, blank_figure, choice, entry, panel
from speccore import plots
from speccore.foundations.floating_point import (
    BF16,
    FP8_E4M3,
    FP8_E5M2,
    FP16,
    FP32,
    FP64,
    Format,
)

SHOWN = (FP64, FP32, BF16, FP16, FP8_E5M2, FP8_E4M3)
CLICKABLE = {fmt.name: fmt for fmt in (FP16, BF16, FP8_E5M2, FP8_E4M3)}
WORTH_A_LOOK = (
    *("0.15625", "0.1", "1", "-2049", "448.5", "65519", "65520", "1e-8", "6e-5", "1e30", "1e-300"),
    *("inf", "nan"),
)
_COLOURS = ("#D55E00", "#009E73", "#0072B2")  # sign, exponent, fraction, as in the picture


def bit_rows(x: float) -> list[plots.BitRow]:
    """A number in six formats: bits, value, kind, and the relative error against FP64."""
    rows = []
    for fmt in SHOWN:
        pattern = int(fmt.encode(x))
        value = float(fmt.decode(pattern))
        kind = str(fmt.classify(pattern))
        error = ""
        if fmt is not FP64 and x != 0 and np.isfinite(x) and np.isfinite(value):
            error = ", exact" if value == x else f", error {100 * (value / x - 1):+.3g} %"
        rows.append(plots.BitRow(fmt.name, fmt.bit_string(pattern), f"{value:.17g}", kind + error))
    return rows


def bit_explorer() -> Panel:
    """One number in six formats: type it, or click the bits of one of the narrow formats."""

    def draw(number: str, bits_of: str) -> Figure:
        x = _parsed(number, CLICKABLE[bits_of])
        figure = blank_figure(height=350)
        plots.bit_patterns(
            bit_rows(x),
            marked=bits_of,
            title=f"x = {x!r}, rounded to nearest",
            ax=figure.add_axes((0.01, 0.01, 0.98, 0.91)),
        )
        return figure

    number = entry("number", WORTH_A_LOOK)
    bits_of = choice("bits of", FP16.name, list(CLICKABLE))
    container = panel(
        draw,
        hint="Click a bit, or type a number, or a pattern such as 0x7c01. Try 0.1: expect another "
        "error in each format. Then 65519, and 65520: expect infinity in FP16.",
        alt="The bits of a number in FP64, FP32, BF16, FP16, FP8 E5M2 and FP8 E4M3, coloured by "
        "sign, exponent and fraction, with the value that each format stores and its error.",
        number=number,
        bits_of=bits_of,
    )
    container.children[0].children += (_bit_buttons(number, bits_of),)
    return container


def _parsed(number: str, fmt: Format) -> float:
    """A number, or the value of a pattern written in hexadecimal."""
    try:
        if number.strip().lower().startswith("0x"):
            return float(fmt.decode(int(number, 16)))
        return float(number)
    except ValueError:
        raise ValueError(
            f"number: takes a number, inf, nan, or a pattern of {fmt.name} from 0x0 to "
            f"{2**fmt.bits - 1:#x}, got {number!r}"
        ) from None


def _bit_buttons(number: Any, bits_of: Any) -> ipywidgets.HBox:
    """A button for each bit of the chosen format; a click flips it, by setting the number."""
    buttons = [ipywidgets.Button() for _ in range(max(fmt.bits for fmt in CLICKABLE.values()))]
    row = ipywidgets.HBox()

    def pattern() -> int:
        fmt = CLICKABLE[bits_of.value]
        return int(fmt.encode(_parsed(number.value, fmt)))

    def show(_: Any = None) -> None:
        fmt = CLICKABLE[bits_of.value]
        try:
            fields = fmt.bit_string(pattern()).split(" ")
        except ValueError:  # the panel says so already
            return
        bits = [
            (bit, colour) for field, colour in zip(fields, _COLOURS, strict=True) for bit in field
        ]
        for button, (bit, colour) in zip(buttons, bits, strict=False):
            button.description = bit
            button.style.button_color = colour if bit == "1" else f"{colour}30"
            button.style.text_color = "white" if bit == "1" else "black"
            button.layout = {"width": "30px", "padding": "0", "margin": "2px 1px"}
        row.children = buttons[: fmt.bits]

    def flip(index: int) -> None:
        fmt = CLICKABLE[bits_of.value]
        flipped = pattern() ^ (1 << (fmt.bits - 1 - index))
        value = float(fmt.decode(flipped))
        # All NaNs read "nan"; only the pattern tells them apart.
        number.value = f"{flipped:#x}" if np.isnan(value) else repr(value)

    for index, button in enumerate(buttons):
        button.on_click(lambda _, index=index: flip(index))
    for control in (number, bits_of):
        control.observe(show, names="value")
    show()
    return row
