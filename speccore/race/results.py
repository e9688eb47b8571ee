"""What came of a race: runs, what they say, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcore.checkpoint import write_whole
from rlcore.validation import Floats, check_count
from speccore.decoding.generate import Output
from speccore.decoding.theory import expected_tokens
from speccore.race.methods import PLAIN

RESULTS = Path(__file__).parents[2] / "notebooks" / "data" / "19_race.json"
PHASES = ("draft", "verify", "accept", "cache")
"""What a step's time is made of."""


@dataclass(frozen=True)
class Prompt:
    """What a text begins with."""

    kind: str
    text: str
    ids: tuple[int, ...]
    """Its tokens, those of a chat template included."""


@dataclass(frozen=True, eq=False)
class Run:
    """A method on a prompt: every round has the same tokens and steps, and times of its own."""

    outputs: tuple[Output, ...]
    """One a round."""
    step_seconds: tuple[float, ...]
    """Of each step, the median of the rounds."""

    @property
    def output(self) -> Output:
        """Of the first round: all that is not time is the same in each."""
        return self.outputs[0]


@dataclass(frozen=True, eq=False)
class Race:
    """All runs on a model, and all that is needed to read them."""

    model: str
    sha256: str
    """Of the model's weights (``weights_sha256``)."""
    pass_times: Floats
    """(N,) T(1) … T(N), seconds, measured before the start."""
    reading_time: float
    """Seconds to read the model's weights once."""
    settings: Mapping[str, Mapping[str, Any]]
    """Method → its settings; plain decoding has none."""
    prompts: tuple[Prompt, ...]
    runs: Mapping[str, tuple[Run, ...]]
    """Method → a run for each prompt."""
    vocabulary: Mapping[int, str]
    """What each token that was written looks like."""
    margins: Mapping[tuple[str, int], float]
    """(Method, number of the prompt) of a text that is not that of plain decoding → how far the two
    most probable logits were apart where they part."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Machine, versions, date, rounds."""

    @property
    def methods(self) -> tuple[str, ...]:
        """All but plain decoding."""
        return tuple(name for name in self.runs if name != PLAIN)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of the prompts, each once."""
        return tuple(dict.fromkeys(each.kind for each in self.prompts))


def differences(runs: Mapping[str, Sequence[Run]]) -> Iterator[tuple[str, int, int]]:
    """Method, prompt and place of the first token that is not that of plain decoding."""
    for name, each in runs.items():
        for number, (run, plain) in enumerate(zip(each, runs[PLAIN], strict=True)):
            if run.output.tokens != plain.output.tokens:
                pairs = zip(run.output.tokens, plain.output.tokens, strict=False)
                yield name, number, next(n for n, (a, b) in enumerate(pairs) if a != b)


def speedups(race: Race, method: str) -> Floats:
    """(prompts, rounds) plain decoding's time a token over the method's, without the prompt's."""
    pairs = zip(race.runs[method], race.runs[PLAIN], strict=True)
    return np.array(
        [
            [
                fast.tokens_per_second / plain.tokens_per_second
                for fast, plain in zip(run.outputs, reference.outputs, strict=True)
            ]
            for run, reference in pairs
        ]
    )


def tokens_per_step(race: Race, method: str) -> Floats:
    """(prompts,)."""
    return np.array([run.output.tokens_per_step for run in race.runs[method]])


def by_kind(race: Race, values: Floats) -> dict[str, float]:
    """The median of each kind of prompt.

    Args:
        values: (prompts, …) of which all that belong to a kind are taken together.
    """
    kinds = np.array([each.kind for each in race.prompts])
    return {kind: float(np.median(values[kinds == kind])) for kind in race.kinds}


def seconds_a_token(race: Race, method: str) -> dict[str, float]:
    """Phase → its share of the time of a token, in seconds; of all texts together."""
    whole = Output.pooled(output for run in race.runs[method] for output in run.outputs)
    return {phase: whole.timings[phase] / len(whole.tokens) for phase in PHASES}


def kept_of_tried(outputs: Sequence[Output]) -> float:
    """α: the share of the guesses tried that were kept; 0 if none was tried."""
    kept = sum(sum(each.accepted_lengths) for each in outputs)
    tried = sum(
        min(kept + 1, drafted)
        for each in outputs
        for kept, drafted in zip(each.accepted_lengths, each.draft_lengths, strict=True)
    )
    return kept / tried if tried else 0.0


def predicted_speedup(output: Output, pass_times: Floats) -> float:
    """E[tokens] · T(1) / (T(n + 1) + the time of a draft), the means over the steps of a text.

    For chains E[tokens] is Σ_{i≤γ} α^i (Leviathan et al. 2023, equation 1), with the α of this
    text and the γ of each step; for trees, in which no two guesses are alike, the tokens per step
    themselves.

    Args:
        output: of a text.
        pass_times: (N,) T(1) … T(N), seconds.
    """
    nodes, depths = np.array(output.draft_sizes), np.array(output.draft_lengths)
    tokens = output.tokens_per_step
    if np.array_equal(nodes, depths):
        tokens = float(expected_tokens(kept_of_tried([output]), depths).mean())
    verifying = float(np.asarray(pass_times)[nodes].mean())
    drafting = output.timings["draft"] / output.steps
    return float(tokens * pass_times[0] / (verifying + drafting))


def stood_before(
    prompt: Sequence[int], tokens: Sequence[int], suffix: int = 3
) -> NDArray[np.bool_]:
    """Which tokens of a text could have been copied, whatever a drafter's settings.

    Args:
        prompt: what was given.
        tokens: (n,) what was written after it.
        suffix: >= 1.

    Returns:
        (2, n): whether the token with the ``suffix`` tokens before it stands already in the prompt;
        and whether it stands in what has been written since, and not in the prompt.
    """
    check_count("suffix", suffix)
    text = [*prompt, *tokens]
    given: set[tuple[int, ...]] = set()
    written: set[tuple[int, ...]] = set()
    found = np.zeros((2, len(tokens)), dtype=bool)
    for end in range(suffix, len(text)):
        gram, place = tuple(text[end - suffix : end + 1]), end - len(prompt)
        if place < 0:
            given.add(gram)
            continue
        found[:, place] = gram in given, gram in written and gram not in given
        written.add(gram)
    return found


def progress_at(run: Run, seconds: float) -> int:
    """How many tokens a run had written after so many seconds; each step gives its tokens at once.

    The prompt is read before the clock starts.
    """
    steps = int(np.searchsorted(np.cumsum(run.step_seconds), seconds * (1 + 1e-12), side="right"))
    return min(sum(k + 1 for k in run.output.accepted_lengths[:steps]), len(run.output.tokens))


# -- the file --------------------------------------------------------------------------------------


def save(races: Sequence[Race], path: Path = RESULTS) -> None:
    """Write races, a run a line; see ``write_whole``."""
    lines = [json.dumps(_as_json(race), ensure_ascii=False) for race in races]
    text = "[\n" + ",\n".join(lines).replace('{"method"', '\n{"method"') + "\n]\n"
    write_whole(path, text.encode())


def stored(path: Path = RESULTS) -> dict[str, Race]:
    """The races of a file, by model.

    Raises:
        FileNotFoundError: there is no such file.
    """
    races = map(_from_json, json.loads(Path(path).read_text(encoding="utf-8")))
    return {race.model: race for race in races}


def _as_json(race: Race) -> dict[str, Any]:
    plain = race.runs[PLAIN]
    return {
        "model": race.model,
        "sha256": race.sha256,
        "about": dict(race.about),
        "pass_times": [_rounded(each) for each in race.pass_times],
        "reading_time": _rounded(race.reading_time),
        "settings": {name: dict(each) for name, each in race.settings.items()},
        "prompts": [
            {"kind": each.kind, "text": each.text, "ids": list(each.ids)} for each in race.prompts
        ],
        "vocabulary": {str(token): text for token, text in race.vocabulary.items()},
        "margins": [[*where, value] for where, value in race.margins.items()],
        "runs": [
            {
                "method": name,
                "prompt": number,
                # None: those of plain decoding
                "tokens": None
                if name != PLAIN and run.output.tokens == plain[number].output.tokens
                else list(run.output.tokens),
                "accepted": list(run.output.accepted_lengths),
                "lengths": list(run.output.draft_lengths),
                "sizes": None
                if run.output.draft_sizes == run.output.draft_lengths
                else list(run.output.draft_sizes),
                "step_seconds": [_rounded(each) for each in run.step_seconds],
                "seconds": {
                    phase: [_rounded(each.timings[phase]) for each in run.outputs]
                    for phase in run.output.timings
                },
            }
            for name, each in race.runs.items()
            for number, run in enumerate(each)
        ],
    }


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.4g}")


def _from_json(found: Mapping[str, Any]) -> Race:
    runs: dict[str, list[Run]] = {}
    for each in found["runs"]:
        tokens = each["tokens"]
        if tokens is None:
            tokens = runs[PLAIN][each["prompt"]].output.tokens
        several = [dict(zip(each["seconds"], row, strict=True)) for row in _columns(each)]
        outputs = tuple(
            Output(
                tuple(tokens),
                tuple(each["accepted"]),
                tuple(each["lengths"]),
                tuple(each["lengths"] if each["sizes"] is None else each["sizes"]),
                timings,
            )
            for timings in several
        )
        runs.setdefault(each["method"], []).append(Run(outputs, tuple(each["step_seconds"])))
    return Race(
        model=found["model"],
        sha256=found["sha256"],
        pass_times=np.array(found["pass_times"]),
        reading_time=found["reading_time"],
        settings=found["settings"],
        prompts=tuple(
            Prompt(each["kind"], each["text"], tuple(each["ids"])) for each in found["prompts"]
        ),
        runs={name: tuple(each) for name, each in runs.items()},
        vocabulary={int(token): text for token, text in found["vocabulary"].items()},
        margins={(name, number): value for name, number, value in found["margins"]},
        about=found["about"],
    )


def _columns(each: Mapping[str, Any]) -> list[tuple[float, ...]]:
    return list(zip(*each["seconds"].values(), strict=True))
