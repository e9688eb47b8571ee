"""Build the book: `python docs/build.py [folder]`; without a folder in build/book."""

import sys
from pathlib import Path

from sphinx.cmd.build import main

HERE = Path(__file__).parent
ROOT = HERE.parent
OPTIONS = ["--builder=html", "--jobs=auto", "--fail-on-warning", "--keep-going", "--quiet"]

if __name__ == "__main__":
    [folder] = sys.argv[1:] or [ROOT / "build" / "book"]
    sys.exit(main([*OPTIONS, f"--conf-dir={HERE}", str(ROOT), str(folder)]))
