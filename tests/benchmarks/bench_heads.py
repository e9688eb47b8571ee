"""How fast decoding is with heads on the course's target, side by side: ``make bench``.

As ``bench_decoding``: batch 1, two threads, the same 24 pieces of held-out files, 96 new tokens
each, at temperatures 0 and 0.7, all contestants in turns. The trees are the best ones for T(n) of
this machine and the accuracies on validation windows that the models' cards state; nothing was
tuned on these prompts. The prediction takes the expected tokens of a step from these accuracies (of
chains from the α of the run), and the times of the phases from the run.
"""

import sys
from collections import defaultdict

import numpy as np
import torch

import speccore
from speccore.decoding.cost import pass_times
from speccore.decoding.generate import generate
from speccore.decoding.theory import best_tree, expected_tokens
from speccore.models.packed_linear import packed
from speccore.models.pretrained import model_card
from speccore.race import held_out_prompts, kept_of_tried
from tests.benchmarks.bench_decoding import (
    NEW,
    distinct,
    quartiles,
    seconds_a_step,
    speed_of_all,
)
from tests.benchmarks.measure import Table

TEMPERATURES = (0.0, 0.7)
MOST_NODES = 12
BARS = {"Medusa": 1.2, "EAGLE": 1.3}


def contestants(trunk, times):
    """Name → drafter, and tokens that a step is expected to give, where accuracies say so."""
    found, expected = {}, {}
    for name, file in {
        "Medusa": "course-medusa",
        "blockwise": "course-blockwise",
        "MTP heads (Meta)": "course-mtp-heads",
    }.items():
        plan = best_tree(model_card(file)["validation_accuracy"], times)
        heads = packed(speccore.load_heads(file, trunk))
        found[name] = speccore.MedusaDrafter(heads, plan.tree)
        expected[name] = plan.tokens
    modules = packed(speccore.load_heads("course-mtp-modules", trunk))
    head = packed(speccore.load_heads("course-eagle", trunk))
    found["MTP modules (DeepSeek)"] = speccore.MTPDrafter(modules)
    found["EAGLE"] = speccore.EagleDrafter(head, 4)
    found["EAGLE, dynamic tree"] = speccore.EagleTreeDrafter(head, 4, width=2, nodes=6)
    return found, expected


def main():
    torch.set_num_threads(2)
    table = Table()
    trunk = speccore.load("course-target")
    model, prompts = packed(trunk), held_out_prompts()
    times = pass_times(model, MOST_NODES + 1, repeats=100)
    ours, expected = contestants(trunk, times)
    for name in expected:
        table.row(f"guesses of the tree: {name}", f"{ours[name].most_nodes}")
    for temperature in TEMPERATURES:
        print(f"temperature {temperature}")
        outputs = defaultdict(list)
        for seed, prompt in enumerate([prompts[0], *prompts]):  # the first one does not count
            for name, drafter in {"plain": None, **ours}.items():
                output = generate(
                    model,
                    prompt,
                    max_new_tokens=NEW,
                    temperature=temperature,
                    drafter=drafter,
                    seed=seed,
                )
                outputs[name].append(output)
        outputs = {name: each[1:] for name, each in outputs.items()}
        texts = [each.tokens for each in outputs["plain"]]
        table.row("  plain: distinct 12-grams", f"{100 * distinct(texts):.0f} %")
        speeds = {
            name: np.array([each.tokens_per_second for each in found])
            for name, found in outputs.items()
        }
        single = seconds_a_step(outputs["plain"], "verify")
        per_step = {
            name: sum(len(each.tokens) for each in found) / sum(each.steps for each in found)
            for name, found in outputs.items()
        }
        for name in ours:
            gain, text = quartiles(speeds[name] / speeds["plain"])
            bar = BARS.get(name)
            stated = {} if bar is None else {"bar": f"≥ {bar} ×", "passed": gain >= bar}
            table.row(f"  {name}, {per_step[name]:.2f} tokens a step", text, **stated)
            several, guesses = (
                seconds_a_step(outputs[name], phase) for phase in ("verify", "draft")
            )
            if name in expected:
                tokens, what = expected[name], "accuracies"
            elif name != "EAGLE, dynamic tree":
                alpha = kept_of_tried(outputs[name])
                tokens, what = expected_tokens(alpha, ours[name].most_nodes), f"α = {alpha:.2f}"
            else:
                tokens, what = per_step[name], "the tokens themselves"
            predicted = tokens * single / (several + guesses)
            measured = speed_of_all(outputs[name]) / speed_of_all(outputs["plain"])
            row = f"{several / single:.2f}, {guesses / single:.2f}"
            table.row("    a verifying pass, a draft, in T(1)", row)
            table.at_least(
                f"    all tokens: {measured:.2f} ×, of {predicted:.2f} × predicted from {what}",
                measured / predicted,
                0.85,
                "%",
            )
        more = max(per_step["EAGLE"], per_step["EAGLE, dynamic tree"]) / per_step["Medusa"]
        table.row("  EAGLE's tokens a step, of Medusa's", f"{more:.2f} ×", "≥ 1 ×", more >= 1)
    modules = outputs["MTP modules (DeepSeek)"]
    first, second = np.nanmean([each.acceptance_by_position for each in modules], axis=0)
    table.row(
        "MTP modules: first and second guess kept", f"{100 * first:.0f} %, {100 * second:.0f} %"
    )
    return table.verdict()


if __name__ == "__main__":
    sys.exit(main())
