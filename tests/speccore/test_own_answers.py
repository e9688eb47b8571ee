"""A model's own questions and answers, and its features while it writes them."""

import numpy as np
import pytest
import torch

from rlcore.checkpoint import load_arrays
from speccore.models.text import SubwordTokenizer
from speccore.models.transformer import Transformer, TransformerConfig
from speccore.race.own_answers import Answers, python_functions, read_answers, write_answers

LENGTH = 140


@pytest.fixture(scope="module")
def model():
    from tokenizers import pre_tokenizers

    tokens = ["<end>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "<user>"]
    config = TransformerConfig(
        vocab_size=len(tokens), layers=2, width=32, heads=2, kv_heads=1, hidden=48, context=2048
    )
    model = Transformer(config, seed=1)
    with torch.no_grad():
        model.embedding.weight.mul_(4)  # laws that are not all alike
    model.tokenizer = SubwordTokenizer.byte_pairs(
        tokens,
        [],
        control=["<end>", "<user>"],
        end_of_text=0,
        chat_template="<user>{{ messages[0]['content'] }}<user>",
    )
    return model


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("answers")
    return write_answers(model, folder, count=3, batch=4, length=LENGTH)


def conversations(files):
    answers = read_answers(files)
    ends = (*answers.starts[1:], len(answers.tokens))
    return [
        (answers.tokens[start:end], answers.features[start:end])
        for start, end in zip(answers.starts, ends, strict=True)
    ]


def test_features_are_the_models_own_in_fp16(model, files):
    found = conversations(files)
    assert len(found) == 12
    for tokens, features in found:
        with torch.inference_mode():
            expected = model.features(tokens[None])[-1][0]
        assert features.dtype == torch.float16
        assert torch.allclose(features.float(), expected, rtol=2e-3, atol=1e-3)


def test_two_files_are_greedy_and_the_third_is_drawn(model, files):
    likely = []
    for path in files:
        prompts = load_arrays(path)[0]["prompts"].tolist()
        shares = []
        for (tokens, _), prompt in zip(conversations([path]), prompts, strict=True):
            assert 0 <= len(tokens) - prompt < LENGTH  # the last token was not read
            with torch.inference_mode():
                best = model(tokens[None])[0].argmax(-1)
            shares += (best[prompt - 1 : -1] == tokens[prompt:]).tolist()
        likely.append(np.mean(shares))
    assert likely[0] == likely[1] == 1.0
    assert likely[2] < 0.9


def test_half_of_the_later_prompts_are_tasks(model, files):
    texts = [model.tokenizer.decode(tokens.tolist()) for tokens, _ in conversations(files)]
    assert all(text.startswith("<user>") for text in texts)
    about = ["\n\n" in text and ("text" in text or "function" in text) for text in texts]
    assert not any(about[:4])  # nothing has been written yet that a task could be about
    assert sum(about[4:]) == 4


def test_a_stopped_run_goes_on_and_ends_the_same(model, files, tmp_path):
    again = write_answers(model, tmp_path, count=2, batch=4, length=LENGTH)
    written = again[0].stat().st_mtime_ns
    again = write_answers(model, tmp_path, count=3, batch=4, length=LENGTH)
    assert again[0].stat().st_mtime_ns == written
    for one, other in zip(files, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
    (tmp_path / "other").mkdir()
    other_seed = write_answers(model, tmp_path / "other", count=1, batch=4, length=LENGTH, seed=7)
    assert other_seed[0].read_bytes() != files[0].read_bytes()


def test_windows_have_the_features_of_their_tokens():
    features = torch.arange(50.0)[:, None].half().repeat(1, 3)
    answers = Answers(torch.arange(50), features, starts=(0, 20))
    drawn = answers.batches(batch=4, length=9, generator=torch.Generator().manual_seed(0))
    tokens, found = next(drawn)
    assert tokens.shape == (4, 9) and found.shape == (4, 9, 3) and found.dtype == torch.float32
    assert torch.equal(tokens.float()[..., None].expand_as(found), found)
    assert (tokens.diff(dim=1) == 1).all() and len(set(tokens[:, 0].tolist())) > 1


def test_the_most_frequent_tokens_in_the_order_of_their_ids():
    answers = Answers(torch.tensor([7, 7, 7, 9, 9, 1, 4, 4]), torch.zeros(8, 2).half(), starts=(0,))
    assert answers.frequent_tokens(2) == [4, 7]
    assert answers.frequent_tokens(4) == [1, 4, 7, 9]
    assert answers.frequent_tokens(6) == [0, 1, 2, 4, 7, 9]  # of those that do not occur, the first


def test_functions_are_whole_but_for_few():
    """They end before the next line that is not indented, which may be part of a string."""
    functions = python_functions()
    assert len(functions) > 500
    whole = 0
    for text in functions[:200]:
        try:
            compile(text, "function", "exec")
            whole += 1
        except SyntaxError:
            pass
    assert whole >= 195


def test_what_cannot_answer_is_refused(model, tmp_path):
    silent = Transformer(model.config)
    with pytest.raises(ValueError, match="model: takes one that is made for conversations"):
        write_answers(silent, tmp_path, count=1)
    with pytest.raises(ValueError, match="batch: takes a whole number >= 1, got 0"):
        write_answers(model, tmp_path, count=1, batch=0)
    with pytest.raises(ValueError, match="count: takes a whole number >= 1, got 0"):
        write_answers(model, tmp_path, count=0)
    assert not list(tmp_path.iterdir())
