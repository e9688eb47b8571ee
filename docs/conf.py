"""Settings of the book, which `make book` builds from README.md, the notebooks and the docstrings.

The source directory is the root of the project: links between its files hold in the book as they
do in JupyterLab. Notebooks are not executed; what is committed is shown. The site loads nothing
from the network and opens from the disk.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
os.environ["NUMBA_DISABLE_JIT"] = "1"  # the function that a kernel is made of has the docstring

project = html_title = "From TD to Tokens"
author = copyright = "The From TD to Tokens authors"
root_doc = "README"
include_patterns = ["README.md", "README.zh-CN.md", "docs/**", "notebooks/**.ipynb"]
exclude_patterns = [".*", "build", "**/.ipynb_checkpoints", "**/__pycache__"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "transforms",
]

nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 4
myst_heading_slug_func = "transforms.anchor"

default_role = "code"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
viewcode_follow_imported_members = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_ivar = True  # what a class attribute is, is said once
add_module_names = False

html_theme = "sphinx_book_theme"
html_context = {"default_mode": "auto"}
html_theme_options = {"navbar_persistent": []}  # the search field is in the sidebar
html_use_index = html_domain_indices = False  # there is the search
html_show_search_summary = False  # a page from the disk may not read the others
mathjax_package = Path(find_spec("sphinx-mathjax-offline").submodule_search_locations[0])
html_static_path = ["book.css", str(mathjax_package / "static" / "mathjax" / "tex-svg.js")]
html_css_files = ["book.css"]
mathjax_path = "tex-svg.js"  # all in one file: glyphs are paths, not fonts
