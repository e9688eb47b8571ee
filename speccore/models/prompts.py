"""Three kinds of beginnings: which draft suits a text depends on the text.

All were written for the course, so that no model has been trained on them.
"""

from __future__ import annotations

from collections.abc import Mapping

from speccore.models.text import PROMPTS

REPETITIVE = (
    'def area(width, height):\n    """Return the area of a rectangle."""\n'
    "    return width * height\n\n\n# The same function with other names.\n"
    'def area(a, b):\n    """Return the area of a ',
    "    def test_lower(self):\n        self.assertEqual(lower('ABC'), 'abc')\n\n"
    "    def test_upper(self):\n        self.assertEqual(upper('abc'), 'ABC')\n\n"
    "    def test_title(self):\n        self.assert",
    "ERROR_READ = 1\nERROR_WRITE = 2\nERROR_OPEN = 3\nERROR_CLOSE = 4\nERROR_",
    "COLOURS = {\n    'red': (255, 0, 0),\n    'green': (0, 255, 0),\n    'blue': (0, 0, 255),\n"
    "    'white': (255, 255, 255),\n    '",
    "    parser.add_argument('--input', default=None, help='file to read')\n"
    "    parser.add_argument('--output', default=None, help='file to write')\n"
    "    parser.add_argument('--",
    "def first(items):\n    for item in items:\n        if item is not None:\n"
    "            return item\n    return None\n\n\ndef last(items):\n    for item in ",
    "        self.name = name\n        self.size = size\n        self.mode = mode\n"
    "        self.path = path\n        self.",
    "    if kind == 'int':\n        return int(value)\n    if kind == 'float':\n"
    "        return float(value)\n    if kind == 'str':\n        return ",
)
"""Beginnings of lists, tests and edits: much of what comes next stands there already."""

PROSE = (
    "The river had risen in the night, and in the morning the ",
    "It is often said that a good teacher asks more questions than ",
    "Most of the houses in the old town were built by ",
    "When the train stopped at the border, two men in ",
    "Bread needs time. Mix the flour with water and let the ",
    "My grandmother kept her letters in a tin box under the ",
    "The first maps of this coast were drawn by people who ",
    "Nobody remembers who planted the tree that stands in front of ",
)
"""Beginnings of English prose, unlike anything in a library's sources."""

KINDS: Mapping[str, tuple[str, ...]] = {
    "fresh code": PROMPTS,
    "repetitive code": REPETITIVE,
    "English prose": PROSE,
}
"""Name of a kind of text → beginnings of it."""
