"""The race: fair turns, a file that is whole, and numbers that follow from what it holds."""

import io
import json
import os
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import speccore
from speccore import race
from speccore.decoding.drafters import Drafter, NGramDrafter
from speccore.decoding.generate import Output, generate
from speccore.decoding.theory import expected_tokens
from speccore.decoding.tree import Draft, TokenTree
from speccore.models.chat_prompts import CHAT_PROMPTS, TUNING_PROMPTS
from speccore.models.packed_linear import packed
from speccore.models.pretrained import available, load, load_heads, weights_sha256
from speccore.models.transformer import Transformer, TransformerConfig
from speccore.race import __main__ as command
from speccore.race.own_answers import CODE_TASKS, TASKS

SMALL = Transformer(
    TransformerConfig(
        vocab_size=8, layers=1, width=16, heads=2, kv_heads=1, hidden=16, context=128
    ),
    seed=3,
)
PROMPTS = [race.Prompt("a", "", (1, 2, 3, 1, 2, 3)), race.Prompt("b", "", (5, 4, 5, 4))]


def an_output(accepted=(2, 0), lengths=(3, 3), sizes=None, seconds=2.0, draft=0.5):
    tokens = tuple(range(sum(accepted) + len(accepted)))
    timings = {"prompt": 9.0, "draft": draft, "verify": seconds - draft, "accept": 0, "cache": 0}
    return Output(tokens, accepted, lengths, lengths if sizes is None else sizes, timings)


def a_race(**changes):
    """Two prompts of two kinds, plain decoding and a method, two rounds."""
    plain = an_output((0,) * 4, (0,) * 4, seconds=4.0, draft=0.0)
    fast = an_output((2, 0), (3, 3), seconds=2.0)
    slower = replace(fast, timings={**fast.timings, "verify": 2.5})
    made = race.Race(
        model="small",
        sha256="0",
        pass_times=np.array([1.0, 1.1, 1.2, 1.5]),
        reading_time=0.5,
        settings={"plain": {}, "copy": {"draft_length": 3}},
        prompts=tuple(PROMPTS),
        runs={
            "plain": (race.Run((plain, plain), (1.0,) * 4),) * 2,
            "copy": (
                race.Run((fast, slower), (1.2, 1.2)),
                race.Run((fast, fast), (1.0, 1.0)),
            ),
        },
        vocabulary={token: str(token) for token in range(4)},
        margins={},
        about={"rounds": 2},
    )
    return replace(made, **changes)


# -- prompts ---------------------------------------------------------------------------------------


def test_prompts_of_ten_kinds_and_others_of_the_same_kinds_to_tune_on():
    assert list(CHAT_PROMPTS) == list(TUNING_PROMPTS) and len(CHAT_PROMPTS) == 10
    reported = [text for texts in CHAT_PROMPTS.values() for text in texts]
    tuning = [text for texts in TUNING_PROMPTS.values() for text in texts]
    assert len({*reported, *tuning}) == len(reported) + len(tuning)
    assert min(map(len, CHAT_PROMPTS.values())) >= 2 and min(map(len, TUNING_PROMPTS.values())) >= 1
    # No sentence of a passage that settings are chosen on is reported.
    sentences = [
        {line for text in texts for line in text.split(". ")} for texts in (reported, tuning)
    ]
    assert not sentences[0] & sentences[1]


def test_prompts_are_no_tasks_that_heads_are_trained_on():
    for texts in (*CHAT_PROMPTS.values(), *TUNING_PROMPTS.values()):
        for text in texts:
            assert not any(task in text for task in (*TASKS, *CODE_TASKS))


def test_pieces_of_files_to_tune_on_are_others():
    model = load(race.OWN)
    here, there = race.prompts_of(model), race.prompts_of(model, tuning=True)
    assert {each.kind for each in here} == {"held-out code"} and len(here) == len(there)
    assert not {each.ids for each in here} & {each.ids for each in there}
    assert [list(each.ids) for each in here] == race.held_out_prompts(len(here))


def test_tuning_tries_every_combination_on_the_prompts_to_tune_on(monkeypatch):
    own = race.METHODS[race.OWN]["prompt lookup"]
    tried = replace(own, tried={"draft_length": (2, 4), "shortest": (1, 3)})
    methods = {race.OWN: {"prompt lookup": tried, "counts": race.METHODS[race.OWN]["counts"]}}
    for module in ("methods", "turns"):
        monkeypatch.setattr(f"speccore.race.{module}.METHODS", methods)
    asked = []
    monkeypatch.setattr(
        "speccore.race.turns.prompts_of",
        lambda model, tuning: asked.append(tuning) or race.prompts_of(model, tuning=tuning)[:2],
    )
    where = race.track(race.OWN, repeats=1)
    ((name, found),) = race.tune(where, rounds=1, new_tokens=8)  # counts have no choice
    assert name == "prompt lookup" and asked == [True]
    settings = [{"draft_length": n, "shortest": m} for n, m in product((2, 4), (1, 3))]
    assert list(found) == [repr(each) for each in settings]
    assert all(gain > 0 for gain in found.values())


# -- turns -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drafters():
    return {"plain": None, "copy": NGramDrafter(3, shortest=1), "long": NGramDrafter(5, shortest=2)}


def test_every_run_is_what_generate_does(drafters):
    runs = race.take_turns(SMALL, PROMPTS, drafters, rounds=2, new_tokens=20)
    assert list(runs) == list(drafters)
    for name, each in runs.items():
        assert len(each) == len(PROMPTS)
        for prompt, run in zip(PROMPTS, each, strict=True):
            alone = generate(SMALL, prompt.ids, max_new_tokens=20, drafter=drafters[name])
            assert len(run.outputs) == 2 and len(run.step_seconds) == alone.steps
            for output in run.outputs:
                assert replace(output, timings={}) == replace(alone, timings={})
                assert min(output.timings.values()) >= 0
            # Between the fastest and the slowest round.
            totals = [sum(o.timings[phase] for phase in race.PHASES) for o in run.outputs]
            assert 0.999 * min(totals) <= sum(run.step_seconds) <= 1.001 * max(totals)
    assert not list(race.differences(runs)), "no drafter changes a text"


def test_the_race_is_the_same_again_up_to_times(drafters):
    first, again = (
        race.take_turns(SMALL, PROMPTS, drafters, rounds=1, new_tokens=12) for _ in range(2)
    )
    for name in drafters:
        for a, b in zip(first[name], again[name], strict=True):
            assert replace(a.output, timings={}) == replace(b.output, timings={})


class Whim(Drafter):
    """Guesses one token more each time it begins a text."""

    most_nodes = 60
    begun = 0

    def begin(self, model):
        self.begun += 1
        return self

    def propose(self, context, sampling, chance, target):
        return Draft(TokenTree.chain([0] * self.begun))


def test_rounds_that_differ_are_no_race():
    with pytest.raises(RuntimeError, match="whim wrote prompt 0 in two ways"):
        race.take_turns(SMALL, PROMPTS, {"plain": None, "whim": Whim()}, rounds=2, new_tokens=12)


def test_where_texts_part_is_found():
    given = a_race()
    other = replace(given.runs["copy"][1].output, tokens=(0, 1, 7, 3))
    runs = {**given.runs, "copy": (given.runs["copy"][0], race.Run((other,), (1.0, 1.0)))}
    assert list(race.differences(runs)) == [("copy", 1, 2)]


def test_the_margin_is_that_of_the_two_most_probable_tokens():
    with torch.inference_mode():
        logits = np.sort(SMALL(torch.tensor([[1, 2, 3]]))[0, -1].double().numpy())
    assert race.margin(SMALL, [1, 2, 3]) == pytest.approx(logits[-1] - logits[-2])


# -- methods ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_track():
    """The course's model with times that are no measurement."""
    trunk = load(race.OWN)
    wanted = {each.settings.get("heads") for each in race.METHODS[race.OWN].values()} - {None}
    heads = {file: packed(load_heads(file, trunk)) for file in wanted}
    times = 1.0 + 0.05 * np.arange(race.MOST_NODES + 1)
    return race.Track(race.OWN, weights_sha256(trunk), packed(trunk), heads, times, 0.5)


def test_every_method_is_made_with_its_settings(own_track):
    made = race.contestants(own_track)
    assert list(made) == ["plain", *race.METHODS[race.OWN]] and made["plain"] is None
    assert all(each.most_nodes <= race.MOST_NODES for each in made.values() if each)
    assert (
        made["prompt lookup"].draft_length
        == race.METHODS[race.OWN]["prompt lookup"].settings["draft_length"]
    )


def test_every_setting_that_is_tried_can_be_made_and_is_one_of_the_race(own_track):
    for methods in race.METHODS.values():
        for name, method in methods.items():
            assert set(method.tried) <= set(method.settings), name
            for setting, values in method.tried.items():
                assert method.settings[setting] in values, f"{name}: {setting}"
            if "heads" in method.settings or name in ("draft model", "counts", "retrieval"):
                continue
            for values in product(*method.tried.values()):
                changed = {**method.settings, **dict(zip(method.tried, values, strict=True))}
                assert method.make(own_track, **changed).most_nodes <= race.MOST_NODES


def test_methods_without_their_heads_do_not_race():
    for name, methods in race.METHODS.items():
        for each in methods.values():
            assert each.is_available == (
                "heads" not in each.settings or each.settings["heads"] in available()
            ), name


def test_unknown_models_are_refused():
    with pytest.raises(ValueError, match="name: takes one of smollm2-135m, course-target; got 'x'"):
        race.track("x")


# -- numbers ---------------------------------------------------------------------------------------


def test_speedups_compare_times_of_tokens_round_by_round():
    # Plain: 4 tokens in 4 s. Copy: 4 tokens in 2 s, in the second round of the first text in 3 s.
    assert race.speedups(a_race(), "copy") == pytest.approx(np.array([[2.0, 4 / 3], [2.0, 2.0]]))
    assert race.tokens_per_step(a_race(), "copy").tolist() == [2.0, 2.0]


def test_kinds_have_the_median_of_all_that_is_theirs():
    values = np.array([[1.0, 2.0], [8.0, 8.0]])
    assert race.by_kind(a_race(), values) == {"a": 1.5, "b": 8.0}


def test_phases_are_shares_of_a_token():
    found = race.seconds_a_token(a_race(), "copy")
    assert list(found) == list(race.PHASES)
    assert found["draft"] == pytest.approx(4 * 0.5 / 16)
    assert sum(found.values()) == pytest.approx((2 + 3 + 2 + 2) / 16)


def test_pooled_outputs_are_one_long_one():
    whole = Output.pooled([an_output((2, 0), (3, 3)), an_output((1,), (2,), seconds=1.0)])
    assert whole.accepted_lengths == (2, 0, 1) and whole.draft_lengths == (3, 3, 2)
    assert whole.tokens_per_step == pytest.approx(6 / 3)
    assert whole.tokens_per_second == pytest.approx(6 / 3.0)
    with pytest.raises(ValueError, match="outputs: takes at least one"):
        Output.pooled([])


def test_alpha_counts_the_guesses_that_were_tried():
    # Kept 2 and missed the third; missed the first: 2 of 4.
    assert race.kept_of_tried([an_output((2, 0), (3, 3))]) == 2 / 4
    assert race.kept_of_tried([an_output((3,), (3,))]) == 1.0
    assert race.kept_of_tried([an_output((0, 0), (0, 0))]) == 0.0


def test_the_prediction_is_the_formula():
    times = np.array([1.0, 1.1, 1.2, 1.5])
    # A chain of 3 and one of 1, α = 1/2 by kept 1, missed 1; 0.25 a draft.
    output = an_output((1, 0), (3, 0), draft=0.5)
    tokens = (expected_tokens(0.5, 3) + 1.0) / 2
    assert race.predicted_speedup(output, times) == pytest.approx(
        tokens * 1.0 / ((1.5 + 1.0) / 2 + 0.25)
    )
    tree = an_output((1, 1), (2, 2), sizes=(3, 3), draft=0.5)
    assert race.predicted_speedup(tree, times) == pytest.approx(2.0 / (1.5 + 0.25))
    plain = an_output((0, 0), (0, 0), draft=0.0)
    assert race.predicted_speedup(plain, times) == pytest.approx(1.0)


tokens = st.lists(st.integers(0, 2), min_size=1, max_size=20)


@given(tokens, tokens, st.integers(1, 3))
def test_what_stood_before_is_found_as_by_looking(prompt, written, suffix):
    found = race.stood_before(prompt, written, suffix)
    text = prompt + written
    for n in range(len(written)):
        end = len(prompt) + n
        gram = text[end - suffix : end + 1]
        places = [p for p in range(end) if p >= suffix and text[p - suffix : p + 1] == gram]
        long_enough = end >= suffix
        in_prompt = long_enough and any(p < len(prompt) for p in places)
        assert found[0, n] == in_prompt
        assert found[1, n] == (long_enough and bool(places) and not in_prompt)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 7), min_size=2, max_size=12), st.integers(1, 3), st.integers(1, 6))
def test_no_copy_beats_the_bound(prompt, shortest, length):
    drafter = NGramDrafter(length, shortest=shortest)
    output = generate(SMALL, prompt, max_new_tokens=30, drafter=drafter)
    copyable = race.stood_before(prompt, output.tokens, shortest).sum()
    assert sum(output.accepted_lengths) <= copyable
    assert output.steps >= len(output.tokens) - copyable


def test_a_step_gives_its_tokens_at_once():
    run = race.Run((an_output((2, 0, 1), (3, 3, 3)),), (1.0, 2.0, 3.0))
    counts = [race.progress_at(run, s) for s in (0, 0.99, 1.0, 2.99, 3.0, 5.9, 6.0, 100)]
    assert counts == [0, 0, 3, 3, 4, 4, 6, 6]
    ended = replace(run.output, tokens=run.output.tokens[:5])  # within the last step's guesses
    assert race.progress_at(race.Run((ended,), run.step_seconds), 6.0) == 5


# -- the file --------------------------------------------------------------------------------------


def test_what_is_written_is_read_again(tmp_path):
    other = a_race(model="other", margins={("copy", 1): 2e-5})
    tree = race.Run((an_output((1, 0), (2, 2), sizes=(4, 4)),) * 2, (1.0, 1.0))
    changed = replace(tree.outputs[0], tokens=(0, 3, 1))
    parted = race.Run((changed, changed), (1.0, 1.0))
    other = replace(other, runs={**other.runs, "copy": (tree, parted)})
    race.save([a_race(), other], tmp_path / "race.json")
    found = race.stored(tmp_path / "race.json")
    assert list(found) == ["small", "other"]
    for one, again in zip((a_race(), other), found.values(), strict=True):
        assert again.pass_times.tolist() == one.pass_times.tolist()
        for name in (
            "sha256",
            "reading_time",
            "settings",
            "prompts",
            "vocabulary",
            "margins",
            "about",
        ):
            assert getattr(again, name) == getattr(one, name)
        for name, runs in one.runs.items():
            for a, b in zip(runs, again.runs[name], strict=True):
                assert a.outputs == b.outputs and a.step_seconds == b.step_seconds


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "race.json"
    race.save([a_race()], path)
    before = path.read_text(encoding="utf-8")
    with pytest.raises(TypeError):
        race.save([a_race(), a_race(about={"date": object()})], path)
    assert path.read_text(encoding="utf-8") == before and list(tmp_path.iterdir()) == [path]

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        race.save([a_race(about={"date": "another"})], path)
    assert path.read_text(encoding="utf-8") == before and list(tmp_path.iterdir()) == [path]


@pytest.fixture
def raced(monkeypatch):
    """The command, with a race that takes no time."""
    monkeypatch.setattr(command, "METHODS", {"small": {}})
    monkeypatch.setattr(command, "available", lambda: ["small"])
    monkeypatch.setattr(command, "track", lambda name: None)
    monkeypatch.setattr(command, "run_race", lambda *args, **settings: a_race())
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    return command


def test_a_race_is_printed_on_a_console_that_lacks_letters(raced, tmp_path, monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", console)
    raced.main(["--file", str(tmp_path / "race.json")])
    assert rb"\xd7" in console.buffer.getvalue()


def test_a_race_is_saved_before_it_is_printed(raced, tmp_path, monkeypatch):
    def broken(race):
        raise BrokenPipeError

    monkeypatch.setattr(raced, "table", broken)
    with pytest.raises(BrokenPipeError):
        raced.main(["--file", str(tmp_path / "race.json")])
    assert set(race.stored(tmp_path / "race.json")) == {"small"}


# -- the stored race -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found():
    return race.stored()


def test_the_stored_race_has_both_models_all_kinds_and_what_times_depend_on(found):
    assert set(found) == {race.REAL, race.OWN}
    reported = {text: kind for kind, texts in CHAT_PROMPTS.items() for text in texts}
    assert set(found[race.REAL].kinds) == set(CHAT_PROMPTS)
    for each in found[race.REAL].prompts:
        assert reported[each.text] == each.kind
    for each in found.values():
        assert {"processor", "threads", "python", "torch", "date", "rounds", "seed"} <= set(
            each.about
        )
        assert len(each.pass_times) == race.MOST_NODES + 1
        assert each.pass_times.min() > 0 and each.reading_time > 0
        for runs in each.runs.values():
            assert [len(run.outputs) for run in runs] == [each.about["rounds"]] * len(each.prompts)
    assert found[race.OWN].sha256 == weights_sha256(load(race.OWN))


def test_the_stored_race_was_run_with_the_settings_of_the_module(found):
    for name, each in found.items():
        for method in each.methods:
            # JSON knows lists, not tuples.
            stated = json.loads(json.dumps(dict(race.METHODS[name][method].settings)))
            assert each.settings[method] == stated


def test_every_stored_text_is_that_of_plain_decoding_or_parts_at_a_near_tie(found):
    for each in found.values():
        parted = {(name, number) for name, number, _ in race.differences(each.runs)}
        assert parted == set(each.margins)
        assert all(0 <= gap < 1e-3 for gap in each.margins.values())
        assert len(parted) <= 0.02 * len(each.methods) * len(each.prompts)


def test_stored_steps_make_the_stored_texts(found):
    for each in found.values():
        for name, runs in each.runs.items():
            for run in runs:
                output = run.output
                whole = sum(output.accepted_lengths) + output.steps
                assert whole - 1 <= len(output.tokens) <= whole
                assert len(run.step_seconds) == output.steps and min(run.step_seconds) > 0
                assert all(
                    kept <= length <= size
                    for kept, length, size in zip(
                        output.accepted_lengths,
                        output.draft_lengths,
                        output.draft_sizes,
                        strict=True,
                    )
                )
                assert set(output.tokens) <= set(each.vocabulary)
                assert name != "plain" or set(output.draft_sizes) == {0}


def test_the_course_s_model_still_writes_the_stored_text(found):
    own = found[race.OWN]
    output = own.runs["plain"][0].output
    written = speccore.generate(
        packed(load(race.OWN)), own.prompts[0].ids, max_new_tokens=len(output.tokens)
    )
    assert written.tokens == output.tokens
