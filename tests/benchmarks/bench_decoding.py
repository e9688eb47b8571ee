"""How fast decoding is with the course's own models, side by side: ``make bench``.

Batch 1, two threads, 24 pieces of held-out files, 96 new tokens each, at temperatures 0, 0.7 and 1.
All contestants take turns on each prompt; a ratio is that of two times a token of one prompt, and
what is reported is the median over the prompts with quartiles. Against Transformers all times
include reading the prompt; our own ways to decode are compared by ``Output.tokens_per_second``,
without it. The prediction takes α, c and T(n) from the same run, since a machine's speed drifts
between runs, and is compared with the speed of all tokens together. Nothing was tuned on these
prompts; the neural draft makes as many guesses as are best for the times of drafts and passes in
turns on this machine and the share of guesses kept on the course's other prompts.
"""

import sys
import time
from collections import defaultdict
from functools import partial

import numpy as np
import torch
import transformers

import speccore
from speccore.decoding.chance import Chance
from speccore.decoding.cost import pass_times
from speccore.decoding.drafters.drafter import Target
from speccore.decoding.generate import generate
from speccore.decoding.sampling import Sampling
from speccore.decoding.theory import expected_tokens
from speccore.models.kv_cache import KVCache
from speccore.models.packed_linear import packed
from speccore.models.prompts import PROMPTS
from speccore.models.text import standard_library
from speccore.models.transformer import Transformer
from speccore.race import held_out_prompts, kept_of_tried
from tests.benchmarks.measure import Table
from tests.speccore.llama import as_llama

NEW = 96
TEMPERATURES = (0.0, 0.7, 1.0)
NEURAL = "neural draft"


def drafters(neural, text):
    counts = speccore.NGramModel(text, 6)
    return {
        NEURAL: neural,
        "counts of n-grams": speccore.NGramModelDrafter(counts, 5),
        "prompt lookup": speccore.NGramDrafter(6),
        "retrieval": speccore.DatastoreDrafter(text[:2_000_000], 6),
        "early exit": speccore.EarlyExitDrafter(1, 3),
        "lookahead": speccore.LookaheadDrafter(3, 3, 3),
    }


def transformers_generate(model, prompt, temperature, seed, assistant=None):
    torch.manual_seed(seed)
    sampled = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    settings = sampled if temperature else {"do_sample": False}
    if assistant is not None:
        settings["assistant_model"] = assistant
    ids = torch.tensor([prompt])
    tokens = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, **settings
    )
    return tokens.shape[1] - len(prompt)


def seconds_a_token(run):
    start = time.perf_counter()
    count = run()
    return (time.perf_counter() - start) / count


def times_in_turns(model, drafter, prompt, repeats=100):
    """Median seconds of a draft of the whole length, and of the pass that verifies one.

    They are measured in turns, as decoding runs them: each of the two models leaves the processor's
    caches full of its own weights, so that each alone would look cheaper than it is.
    """
    cache, chance, sampling = KVCache(model.config), Chance(0), Sampling(1.0)
    with torch.inference_mode():
        model(torch.tensor([prompt[:-1]]), cache=cache)
    features = torch.zeros(1, 0, model.config.width)  # which a draft model does not read
    target, drafter = Target(model, cache, features), drafter.begin(model)
    drafting, verifying = np.zeros(repeats), np.zeros(repeats)
    for repeat in range(repeats):
        start = time.perf_counter()
        draft = drafter.propose(list(prompt), sampling, chance, target)
        drafted = time.perf_counter()
        with torch.inference_mode():
            tokens = torch.tensor([[prompt[-1], *draft.tree.tokens.tolist()]])
            model(tokens, cache=cache).double().numpy()
        drafting[repeat], verifying[repeat] = drafted - start, time.perf_counter() - drafted
        cache.roll_back(len(prompt) - 1)
    return np.median(drafting), np.median(verifying)


def neural_drafter(model, draft):
    """With as many guesses as are best here, judged from other prompts than those reported."""
    prompts = [model.tokenizer.encode(text) for text in PROMPTS]
    outputs = [
        generate(
            model,
            prompt,
            max_new_tokens=NEW,
            temperature=temperature,
            drafter=speccore.ModelDrafter(draft, 4),
            seed=seed,
        )
        for temperature in TEMPERATURES
        for seed, prompt in enumerate(prompts)
    ]
    alpha = kept_of_tried(outputs)
    choices = [speccore.ModelDrafter(draft, length) for length in range(1, 7)]
    seconds = [sum(times_in_turns(model, each, prompts[0])) for each in choices]
    speeds = expected_tokens(alpha, np.arange(1, 7)) / seconds
    return choices[int(np.argmax(speeds))]


def shares_of_a_step(model, drafter, prompts):
    """Of the time of all steps: the loop's own share, and what the drafter adds to its passes."""
    inside = {"target": 0.0, "draft": 0.0, "drafter": 0.0}

    def timed(function, name_of):
        def wrapped(self, *arguments, **options):
            start = time.perf_counter()
            try:
                return function(self, *arguments, **options)
            finally:
                inside[name_of(self)] += time.perf_counter() - start

        return wrapped

    def part(self):
        return "target" if self is model else "draft"

    features, logits = Transformer.features, Transformer.logits
    propose = speccore.ModelDrafter.propose
    Transformer.features, Transformer.logits = timed(features, part), timed(logits, part)
    speccore.ModelDrafter.propose = timed(propose, lambda self: "drafter")
    try:
        total = 0.0
        for seed, prompt in enumerate(prompts):
            output = generate(
                model, prompt, max_new_tokens=NEW, temperature=1.0, drafter=drafter, seed=seed
            )
            total += sum(output.timings.values()) - output.timings["prompt"]
    finally:
        Transformer.features, Transformer.logits = features, logits
        speccore.ModelDrafter.propose = propose
    loop = 1.0 - (inside["target"] + inside["drafter"]) / total
    return loop, (inside["drafter"] - inside["draft"]) / total


def distinct(tokens, n=12):
    """The share of n-grams that differ, of all in some texts."""
    grams = [each[i : i + n] for each in tokens for i in range(len(each) - n + 1)]
    return len(set(grams)) / len(grams)


def seconds_a_step(outputs, phase):
    return sum(each.timings[phase] for each in outputs) / sum(each.steps for each in outputs)


def speed_of_all(outputs):
    seconds = sum(len(each.tokens) / each.tokens_per_second for each in outputs)
    return sum(len(each.tokens) for each in outputs) / seconds


def quartiles(values):
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return middle, f"{middle:.2f} × ({low:.2f}–{high:.2f})"


def main():
    torch.set_num_threads(2)
    transformers.logging.set_verbosity_error()
    table = Table()
    corpus = standard_library()
    prompts = held_out_prompts()
    trained = {name: speccore.load(f"course-{name}") for name in ("target", "draft")}
    model, draft = packed(trained["target"]), packed(trained["draft"])
    llama, llama_draft = as_llama(trained["target"]), as_llama(trained["draft"])
    times = pass_times(model, 16, repeats=100)
    relative = ", ".join(f"{each:.2f}" for each in (times / times[0])[[1, 3, 4, 7, 15]])
    table.row("T(1) of the target", f"{1e3 * times[0]:.2f} ms")
    table.row("T(2), T(4), T(5), T(8), T(16), in T(1)", relative)
    neural = neural_drafter(model, draft)
    length = neural.draft_length
    table.row("the best number of guesses of the neural draft, γ", f"{length}")
    ours = drafters(neural, corpus.train.numpy())
    drafting, verifying = times_in_turns(model, neural, prompts[0])
    cost = drafting / length / times[0]
    table.row("a guess of the neural draft, in T(1), in turns", f"c = {cost:.2f}")
    table.row(f"T({length + 1}) in turns with drafts, in T(1)", f"{verifying / times[0]:.2f}")
    for temperature in TEMPERATURES:
        taken, outputs = defaultdict(list), defaultdict(list)

        def decode(name, prompt, seed, drafter=None, temperature=temperature, outputs=outputs):
            output = generate(
                model,
                prompt,
                max_new_tokens=NEW,
                temperature=temperature,
                drafter=drafter,
                seed=seed,
            )
            outputs[name].append(output)
            return len(output.tokens)

        for seed, prompt in enumerate([prompts[0], *prompts]):  # the first one does not count
            runs = {
                "plain": partial(decode, "plain", prompt, seed),
                **{
                    name: partial(decode, name, prompt, seed, drafter)
                    for name, drafter in ours.items()
                },
                "Transformers": partial(transformers_generate, llama, prompt, temperature, seed),
                "assisted": partial(
                    transformers_generate, llama, prompt, temperature, seed, llama_draft
                ),
            }
            for name, run in runs.items():
                taken[name].append(seconds_a_token(run))
        taken = {name: np.array(each[1:]) for name, each in taken.items()}
        outputs = {name: each[1:] for name, each in outputs.items()}
        print(f"temperature {temperature}")
        texts = [each.tokens for each in outputs["plain"]]
        table.row("  plain: distinct 12-grams", f"{100 * distinct(texts):.0f} %")
        middle, text = quartiles(taken["Transformers"] / taken["plain"])
        table.row("  plain against Transformers' generate", text, "≥ 2 ×", middle >= 2)
        speeds = {
            name: np.array([each.tokens_per_second for each in found])
            for name, found in outputs.items()
        }
        gains = {}
        for name in ours:
            gains[name], text = quartiles(speeds[name] / speeds["plain"])
            steps = sum(each.steps for each in outputs[name])
            count = sum(len(each.tokens) for each in outputs[name])
            bar = {"bar": "≥ 1.2 ×", "passed": gains[name] >= 1.2} if name == NEURAL else {}
            table.row(f"  {name}, {count / steps:.2f} tokens a step, against plain", text, **bar)
        bar = {} if temperature == 0 else {"bar": "≥ 1.4 ×", "passed": max(gains.values()) >= 1.4}
        table.row(f"  best: {max(gains, key=gains.get)}", f"{max(gains.values()):.2f} ×", **bar)
        found = outputs[NEURAL]
        alpha = kept_of_tried(found)
        tokens = expected_tokens(alpha, length)
        single = seconds_a_step(outputs["plain"], "verify")
        several, guesses = (seconds_a_step(found, phase) for phase in ("verify", "draft"))
        predicted = tokens * single / (several + guesses)
        measured = speed_of_all(found) / speed_of_all(outputs["plain"])
        table.row("  neural draft, all tokens together, measured", f"{measured:.2f} ×")
        row = f"{several / single:.2f}, {guesses / length / single:.2f}, {alpha:.2f}"
        table.row(f"  T({length + 1}) and c of this run, in T(1); α", row)
        table.row("  predicted from these", f"{predicted:.2f} ×")
        table.at_least("  measured, of what was predicted", measured / predicted, 0.85, "%")
        apart = tokens * times[0] / (verifying + drafting)
        table.row("  predicted from T(n) and c measured apart", f"{apart:.2f} ×")
        middle, text = quartiles(taken["assisted"] / taken[NEURAL])
        table.row("  against Transformers' assisted generation", text, "≥ 1.5 ×", middle >= 1.5)
    loop, drafting = shares_of_a_step(model, ours[NEURAL], prompts)
    table.row("the loop, outside passes and drafter", f"{100 * loop:.0f} %", "≤ 10 %", loop <= 0.1)
    table.row("the neural drafter, outside its passes", f"{100 * drafting:.0f} %")
    return table.verdict()


if __name__ == "__main__":
    sys.exit(main())
