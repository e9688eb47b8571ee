"""Makes the bare `pytest --nbval` run the unit tests and compare every output of every notebook."""

import os
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent
NBVAL_DEFAULT_CELL_TIMEOUT = 2000

# Kernels import the packages of this clone, and draw figures inline whatever the shell prefers.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
os.environ.pop("MPLBACKEND", None)
# Workers share the cores: a thread that waits for another one must not keep a core busy.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

seconds_of_file = defaultdict(float)
LONG = 10  # seconds of a file of tests that are worth a line in the summary
lines_for_the_summary = []


def pytest_configure(config):
    option = config.option
    if option.nbval or option.nbval_lax:
        option.nbval_current_env = not option.nbval_kernel_name
        sanitize = ROOT / "tests" / "notebooks" / "nbval_sanitize.cfg"
        option.nbval_sanitize_with = option.nbval_sanitize_with or str(sanitize)
        if option.nbval_cell_timeout == NBVAL_DEFAULT_CELL_TIMEOUT:
            option.nbval_cell_timeout = 180.0
    # The cells of a notebook share one kernel, so that they must stay in one worker of `-n`.
    if getattr(option, "dist", "no") == "load":
        option.dist = "loadfile"
        option.loadscopereorder = False


def pytest_sessionstart(session):
    """Compile the kernels once, before any notebook: a first compilation writes to stderr."""
    option = session.config.option
    is_worker = hasattr(session.config, "workerinput")
    if (option.nbval or option.nbval_lax) and not option.collectonly and not is_worker:
        from rlcore.compilation import compile_kernels

        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            compile_kernels()


def pytest_collection_modifyitems(items):
    for item in items:
        if hasattr(item, "output_timeout"):  # nbval gives up after 5 s without output
            item.output_timeout = 60
    # What takes longest comes first, lest one worker be left alone with it in the end.
    items.sort(key=lambda item: not item.nodeid.startswith("tests/browser/"))


def pytest_runtest_logreport(report):
    seconds_of_file[report.nodeid.split("::")[0]] += report.duration
    if report.when == "call":
        lines_for_the_summary.extend(
            line for name, line in report.user_properties if name == "summary"
        )


def pytest_terminal_summary(terminalreporter):
    """List the seconds of each notebook and of long files of tests, and what tests left with
    record_property("summary", …)."""
    notebooks = {file: each for file, each in seconds_of_file.items() if file.endswith(".ipynb")}
    others = {file: each for file, each in seconds_of_file.items() if file not in notebooks}
    shown = {file: each for file, each in others.items() if each > LONG}
    for kind, all_files, listed in (
        ("notebook", notebooks, notebooks),
        (f"file of tests, over {LONG}", others, shown),
    ):
        if listed:
            terminalreporter.section(f"seconds per {kind}")
            for file, seconds in sorted(listed.items()):
                terminalreporter.write_line(f"{seconds:7.1f}  {file}")
            terminalreporter.write_line(f"{sum(all_files.values()):7.1f}  in all")
    for line in lines_for_the_summary:
        terminalreporter.write_line(line)
