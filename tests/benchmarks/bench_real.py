"""How fast the real model decodes, side by side with Transformers: ``make bench``.

SmolLM2-135M-Instruct, batch 1, two threads, the prompts of the race (two of each of ten kinds), 48
new tokens, temperature 0, all contestants in turns. A ratio is that of two times a token of one
prompt; what is reported is the median over the ten kinds, with the range of the kinds. Against
Transformers all times include reading the prompt; our own ways to decode are compared without it.
The settings of the drafters were chosen on other prompts: see ``speccore.race``.
"""

import subprocess
import sys
import time
from collections import defaultdict
from functools import partial

import numpy as np
import torch
import transformers

import speccore
from speccore.decoding.generate import generate
from speccore.models.packed_linear import Int8Linear, packed
from speccore.race import NEW_TOKENS, PLAIN, REAL, contestants, prompts_of, track
from tests.benchmarks.bench_decoding import seconds_a_token
from tests.benchmarks.measure import Table
from tests.speccore.llama import as_llama

LOOKUP = "prompt lookup, adaptive"
TRAINED = ("Medusa", "EAGLE, chain", "EAGLE, tree")
COPYING = ("summarise", "edit", "code", "extract", "structured data")
"""The half of the kinds whose answers repeat their prompts."""
PEAK = """
import sys, speccore
from speccore.models.packed_linear import packed
model = packed(speccore.load("smollm2-135m"))
speccore.generate(model, model.tokenizer.chat("Hello"), max_new_tokens=8)
if sys.platform == "win32":
    import psutil
    print(psutil.Process().memory_info().peak_wset)
else:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak if sys.platform == "darwin" else 1024 * peak)
"""
"""Prints the most memory that the process has had, in bytes."""


def transformers_generate(model, ids, **settings):
    prompt = torch.tensor([ids])
    tokens = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        **settings,
    )
    return tokens.shape[1] - len(ids)


def of_kinds(prompts, ratios):
    """Kind → the median of its prompts."""
    kinds = np.array([each.kind for each in prompts])
    return {kind: float(np.median(ratios[kinds == kind])) for kind in dict.fromkeys(kinds)}


def described(kinds):
    values = list(kinds.values())
    return np.median(values), f"{np.median(values):.2f} × ({min(values):.2f}–{max(values):.2f})"


def main():
    torch.set_num_threads(2)
    transformers.logging.set_verbosity_error()
    table = Table()
    start = time.perf_counter()
    trunk = speccore.load(REAL)
    table.at_most("the model is loaded in", time.perf_counter() - start, 8)
    peak = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, check=True)
    gigabytes = int(peak.stdout) / 1e9
    table.row(
        "peak memory: loaded, packed, decoded",
        f"{gigabytes:.2f} GB",
        "< 1.5 GB",
        gigabytes < 1.5,
    )
    where = track(REAL, repeats=20)
    model, times = where.model, where.times
    table.row("T(1)", f"{1e3 * times[0]:.1f} ms")
    table.row(
        "T(1), of the time to read the weights once", f"{times[0] / where.reading_time:.2f} ×"
    )
    for count, bar in ((4, 1.25), (8, 1.5)):
        ratio = times[count - 1] / times[0]
        table.row(f"T({count}) / T(1)", f"{ratio:.2f}", f"≤ {bar}", ratio <= bar)
    table.row("T(16) / T(1)", f"{times[15] / times[0]:.2f}")
    llama, eighth = as_llama(trunk), packed(trunk, Int8Linear)
    llama.generation_config.eos_token_id = trunk.tokenizer.end_of_text
    prompts = prompts_of(model)
    taken, outputs = defaultdict(list), defaultdict(list)

    def decode(name, model, ids, drafter):
        output = generate(model, ids, max_new_tokens=NEW_TOKENS, drafter=drafter)
        outputs[name].append(output)
        return len(output.tokens)

    ours = contestants(where)
    for prompt in [prompts[0], *prompts]:  # the first one does not count
        ids = list(prompt.ids)
        runs = {name: partial(decode, name, model, ids, drafter) for name, drafter in ours.items()}
        runs["8 bits"] = partial(decode, "8 bits", eighth, ids, None)
        runs["Transformers"] = partial(transformers_generate, llama, ids)
        runs["Transformers, lookup"] = partial(
            transformers_generate, llama, ids, prompt_lookup_num_tokens=10
        )
        for name, run in runs.items():
            taken[name].append(seconds_a_token(run))
    taken = {name: np.array(each[1:]) for name, each in taken.items()}
    outputs = {name: each[1:] for name, each in outputs.items()}

    def against(rival, name):
        return described(of_kinds(prompts, taken[rival] / taken[name]))

    def same_texts(name):
        pairs = zip(outputs[name], outputs[PLAIN], strict=True)
        return f"{sum(one.tokens == other.tokens for one, other in pairs)} of {len(prompts)}"

    middle, text = against("Transformers", PLAIN)
    table.row("plain against Transformers' generate", text, "≥ 1.25 ×", middle >= 1.25)
    middle, text = against("Transformers", "8 bits")
    table.row("8 bits, plain, against Transformers' generate", text, "≥ 2 ×", middle >= 2)
    table.row("    texts that are those of FP32", same_texts("8 bits"))
    middle, text = against("Transformers, lookup", LOOKUP)
    table.row("prompt lookup against Transformers' own", text, "≥ 1.5 ×", middle >= 1.5)
    speeds = {
        name: np.array([each.tokens_per_second for each in found])
        for name, found in outputs.items()
    }
    best = 0.0
    for name in ours:
        if name == PLAIN:
            continue
        kinds = of_kinds(prompts, speeds[name] / speeds[PLAIN])
        middle, text = described(kinds)
        steps = sum(each.steps for each in outputs[name])
        count = sum(len(each.tokens) for each in outputs[name])
        table.row(f"{name}, {count / steps:.2f} tokens a step, against plain", text)
        table.row("    texts that are those of plain decoding", same_texts(name))
        if name in TRAINED:
            best = max(best, middle)
        if name == LOOKUP:
            copying = np.median([kinds[kind] for kind in COPYING])
            least = min(gain for kind, gain in kinds.items() if kind not in COPYING)
            table.row("    where answers copy", f"{copying:.2f} ×", "≥ 2 ×", copying >= 2)
            table.row("    least of the others", f"{least:.2f} ×", "≥ 0.95 ×", least >= 0.95)
    if any(name in ours for name in TRAINED):
        table.row("best trained drafter against plain", f"{best:.2f} ×", "≥ 1.3 ×", best >= 1.3)
    return table.verdict()


if __name__ == "__main__":
    sys.exit(main())
