"""Measurements side by side, in turns, and a table that compares them with their bars."""

from collections import defaultdict
from statistics import median


class Table:
    def __init__(self):
        self.missed = 0

    def row(self, what, measured, bar="", passed=None):
        verdict = "" if passed is None else "PASS" if passed else "MISS"
        self.missed += verdict == "MISS"
        print(f"{what:<58}{measured:>22}  {bar:<10}{verdict}", flush=True)

    def at_least(self, what, ratio, bar, unit="×"):
        scale = 100 if unit == "%" else 1
        self.row(what, f"{scale * ratio:.0f} {unit}", f"≥ {scale * bar:.0f} {unit}", ratio >= bar)

    def at_most(self, what, seconds, bar):
        self.row(what, f"{seconds:.2f} s", f"< {bar} s", seconds < bar)

    def verdict(self):
        """Say how it went; the exit status."""
        print(f"{self.missed} bars missed" if self.missed else "every bar passed")
        return int(self.missed > 0)


def in_turns(repeats, **measurements):
    """The median of each measurement; they take turns, and the first turn is not counted."""
    taken = defaultdict(list)
    for repeat in range(repeats + 1):
        for name, measure in measurements.items():
            taken[name].append(measure(repeat))
    return {name: median(values[1:]) for name, values in taken.items()}
