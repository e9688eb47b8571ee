"""Beginnings of texts, of three kinds: which draft suits a text depends on the text.

All were written for the course: no model has been trained on them, and they are the same with
every version of Python.
"""

from __future__ import annotations

from collections.abc import Mapping

PROMPTS = (
    '"""Count the words of a text file."""\n\nimport ',
    "def mean(values):\n    total = 0\n    for value in ",
    "class Stack:\n    def __init__(self):\n        self._items = []\n\n    def push(",
    "try:\n    import json\nexcept ImportError:\n    ",
    "    def __repr__(self):\n        name, size = self.name, len(self)\n        return ",
    "for name in sorted(os.listdir(path)):\n    if name.startswith('.'):\n        ",
    "# Return the index of the first match, or -1 if there is none.\ndef find(",
    "with open(filename, 'rb') as file:\n    data = ",
    "if not isinstance(value, str):\n    raise TypeError(",
    '    @property\n    def size(self):\n        """The number of ',
    "parser.add_argument('--verbose', action='store_true', help=",
    "while True:\n    line = self.readline()\n    if not line:\n        ",
    'def read_lines(path, encoding=\'utf-8\'):\n    """',
    "class ParseError(ValueError):\n    ",
    "result = []\nfor key, value in mapping.items():\n    result.append(",
    "    def close(self):\n        if self._opened:\n            ",
    "import os\nimport sys\n\n\ndef main():\n    args = ",
    "    # Make sure that the queue is empty before ",
    "async def fetch(reader, writer):\n    data = await ",
    "def test_addition(self):\n    self.assertEqual(",
    "__all__ = ['open', 'close', ",
    "return '%s=%r' % (",
    "def gcd(a, b):\n    while b:\n        ",
    "    The first two arguments have the same meaning as for the ",
)
"""Beginnings of Python sources, the prompts of most experiments."""

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
