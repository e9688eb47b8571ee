"""``python -m speccore.race [tune] [--rounds N] [--file FILE]``: the race, or its settings.

Without ``tune``: every method on every prompt, of each model that is installed, written to a file.
With it: the combinations of settings on the tuning prompts, the fastest first, to be copied into
``METHODS``.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speccore.models.pretrained import available
from speccore.race.methods import METHODS, track
from speccore.race.results import (
    RESULTS,
    Race,
    by_kind,
    predicted_speedup,
    save,
    speedups,
    tokens_per_step,
)
from speccore.race.turns import ROUNDS, run_race, tune

THREADS = 2


def machine() -> dict[str, Any]:
    """What the times depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def table(race: Race) -> str:
    """A line for each method: tokens a step, and the speed-up by kind, its median and its range."""
    lines = [f"{race.model}: {len(race.prompts)} prompts, {race.about.get('rounds')} rounds"]
    for name in race.methods:
        gains = speedups(race, name)
        kinds = by_kind(race, gains)
        times = [predicted_speedup(run.output, race.pass_times) for run in race.runs[name]]
        spread = np.median(gains.max(axis=1) / gains.min(axis=1)) - 1
        lines.append(
            f"  {name:<22}{np.median(tokens_per_step(race, name)):5.2f} tokens a step   "
            f"{np.median(list(kinds.values())):5.2f} × ({min(kinds.values()):.2f}–"
            f"{max(kinds.values()):.2f} by kind; rounds apart by {100 * spread:.0f} %), "
            f"predicted {np.median(times):.2f} ×"
        )
    apart = [
        f"{name} on prompt {number}: {gap:.1e}" for (name, number), gap in race.margins.items()
    ]
    return "\n".join([*lines, *(f"  near-tie, other text: {each}" for each in apart)])


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m speccore.race [tune] [--rounds N] [--file FILE]``."""
    parser = argparse.ArgumentParser(prog="python -m speccore.race", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("run", "tune"), default="run")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--file", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a console may lack a letter
        sys.stdout.reconfigure(errors="backslashreplace")
    torch.set_num_threads(THREADS)
    if missing := set(METHODS) - set(available()):
        raise SystemExit(f"not installed: {', '.join(missing)}; make lab fetches it")
    races = []
    for name in METHODS:
        where = track(name)
        if given.what == "tune":
            for method, found in tune(where, rounds=given.rounds, progress=True):
                print(f"{name}, {method}")
                for settings, gain in sorted(found.items(), key=lambda each: -each[1]):
                    print(f"  {gain:5.2f} ×  {settings}", flush=True)
            continue
        about = {**machine(), "date": date.today().isoformat(), "rounds": given.rounds, "seed": 0}
        races.append(replace(run_race(where, rounds=given.rounds, progress=True), about=about))
    if races:
        save(races, given.file)
    for race in races:
        print(table(race), flush=True)


if __name__ == "__main__":
    main()
