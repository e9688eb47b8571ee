"""Build the book: `python docs/build.py [folder]`; without a folder in build/book."""

import sys
from pathlib import Path

from sphinx.cmd.build import main

HERE = Path(__file__).parent
ROOT = HERE.parent
OPTIONS = ["--builder=html", "--jobs=auto", "--fail-on-warning", "--keep-going", "--quiet"]


def build(folder, run=main):
    """Build into a folder; what is left of a build that did not end well is read anew."""
    mark = Path(folder) / ".unfinished"
    fresh = ["--fresh-env"] if mark.exists() else []
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    status = run([*OPTIONS, *fresh, f"--conf-dir={HERE}", str(ROOT), str(folder)])
    if status == 0:
        mark.unlink()
    return status


if __name__ == "__main__":
    [folder] = sys.argv[1:] or [ROOT / "build" / "book"]
    sys.exit(build(folder))
