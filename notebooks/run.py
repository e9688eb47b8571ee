"""Execute the notebooks of the course in place: `python notebooks/run.py [notebook …]`.

A notebook is replaced only when it ran to its end, and running twice changes nothing but what
the code itself changes: no time stamps, no widget state, no version of the Python at hand.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

NOTEBOOKS = Path(__file__).parent
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def normalize(notebook: nbformat.NotebookNode) -> None:
    """Remove what differs between two runs of the same notebook."""
    notebook.metadata = nbformat.from_dict(METADATA)
    views = 0
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if WIDGET_VIEW in output.get("data", {}):
                output.data[WIDGET_VIEW]["model_id"] = f"{views:032x}"
                views += 1


def execute(path: Path) -> None:
    """Run a notebook in a new kernel of this Python and put the result in its place."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=180,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,  # a slow print does not become two outputs
        extra_arguments=["--log-level=ERROR"],  # no advice about transports
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    normalize(notebook)
    unfinished = path.with_suffix(".unfinished")
    nbformat.write(notebook, unfinished)
    os.replace(unfinished, path)


def main(paths: list[Path]) -> int:
    """Execute the notebooks, a line each; return how many failed."""
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(NOTEBOOKS.parent), os.environ.get("PYTHONPATH")])
    )
    os.environ.pop("MPLBACKEND", None)
    # Compiling would show in the outputs of whichever notebook came first.
    subprocess.run([sys.executable, "-m", "rlcore"], cwd=NOTEBOOKS.parent, check=True)
    failures = 0
    began = time.perf_counter()
    for number, path in enumerate(paths, 1):
        print(f"[{number:2}/{len(paths)}] {path.name:<40}", end=" ", flush=True)
        start = time.perf_counter()
        try:
            execute(path)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            failures += 1
            print(f"FAILED, left as it was\n{error}", flush=True)
        else:
            print(f"{time.perf_counter() - start:6.1f} s", flush=True)
    print(f"{len(paths)} notebooks, {failures} failed, {time.perf_counter() - began:.1f} s in all")
    return failures


if __name__ == "__main__":
    chosen = [Path(name).resolve() for name in sys.argv[1:]]
    every = [*sorted(NOTEBOOKS.glob("*.ipynb")), *sorted(NOTEBOOKS.glob("solutions/*.ipynb"))]
    sys.exit(min(1, main(chosen or every)))
