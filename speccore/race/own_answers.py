"""What a language model answers, and its features while it does: what its heads are trained on.

A real model's own training text is not to be had here, and would not be what heads are to guess:
they are to guess what the model *says*. So it writes the text itself, questions included: after the
beginning of a user's turn a chat model goes on with a question (Xu et al. 2024, Magpie). Half of
the answers are to such questions, the others to tasks about a passage: an earlier answer, or a
function of Python's standard library. The features come for nothing: the pass that makes a token
makes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from rlcore.checkpoint import load_arrays, save_arrays
from rlcore.validation import check_count
from speccore.decoding.chance import Chance, SourceOfChance
from speccore.decoding.drafters.drafter import NoDrafter, Target
from speccore.decoding.generate import Text, decode
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import Draft
from speccore.models.text import SubwordTokenizer, batches, standard_library
from speccore.models.transformer import Transformer

TASKS = (
    "Summarize the following text in two sentences.",
    "Rewrite the following text in a more formal tone.",
    "Rewrite the following text in simpler words.",
    "Correct the spelling and the grammar of the following text. Change nothing else.",
    "Replace every 'you' in the following text by 'we', and repeat the whole text.",
    "List the main points of the following text.",
    "Which names, places and numbers does the following text mention? List them.",
    "Translate the following text into French.",
    "Turn the following text into a Markdown table.",
    "Turn the following text into JSON with suitable keys.",
    "Ask five questions about the following text.",
    "Continue the following text.",
    "Give the following text a title and three keywords.",
    "Repeat the second sentence of the following text, then explain it.",
)
CODE_TASKS = (
    "Explain what this Python function does.",
    "Write a docstring for this Python function, and repeat the function with it.",
    "Rename the first argument of this Python function to 'value'. Repeat the whole function.",
    "Add type hints to this Python function.",
    "Write three tests for this Python function.",
)
QUESTION = 96
"""Tokens of a question at most."""
PASSAGE = 100
"""Words of a passage at most."""
LEAST_BUSY = 0.25
"""Of a batch's texts; when fewer are still being written, they are cut where they are."""


class Recorder(NoDrafter):
    """No guesses; it keeps the features that the loop shows it, of all tokens but the last."""

    needs_features = True

    def __init__(self) -> None:
        self.features: list[Tensor] = []

    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """An empty draft."""
        self.features.append(target.features[0].half())
        return super().propose(context, sampling, chance, target)


@dataclass(frozen=True, eq=False)
class Answers:
    """Conversations one after the other, with the features of the model that has written them."""

    tokens: Tensor
    """(N,) int64."""
    features: Tensor
    """(N, C) FP16, after the last block."""
    starts: tuple[int, ...]
    """Where each conversation begins; it ends where the next one begins."""

    def batches(
        self, *, batch: int, length: int, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Endless random windows, as of ``text.batches``, with features in place of targets.

        Yields:
            (B, T) int64 tokens and their (B, T, C) features.
        """
        windows = batches(
            torch.arange(len(self.tokens)), batch=batch, length=length, generator=generator
        )
        return ((self.tokens[places], self.features[places].float()) for places, _ in windows)

    def frequent_tokens(self, count: int) -> list[int]:
        """The most frequent tokens in order of their ids; of equally frequent ones the lower.

        The ids of byte pairs are in the order in which they were found, the frequent ones first, so
        that this is a guess at tokens that do not occur here, too.
        """
        frequency = torch.bincount(self.tokens, minlength=count)
        most = torch.sort(frequency, descending=True, stable=True).indices[:count]
        found: list[int] = most.sort().values.tolist()
        return found


def write_answers(
    model: Transformer,
    folder: str | Path,
    *,
    count: int,
    batch: int = 48,
    length: int = 224,
    seed: int = 0,
    progress: bool = False,
) -> list[Path]:
    """Let a model ask and answer; go on where an earlier call was stopped.

    Args:
        model: a chat model, ``packed`` or not.
        folder: gets a file a batch.
        count: >= 1, files.
        batch: >= 1, conversations of a file.
        length: >= 1, tokens of an answer at most.
        seed: of the questions, and of the answers of every third file, which are drawn at
            temperature 0.7; the others are the most probable ones.
        progress: show a bar.

    Returns:
        The files.

    Raises:
        ValueError, TypeError: a model without a template for conversations, numbers below 1.
    """
    check_count("count", count)
    check_count("batch", batch)
    check_count("length", length)
    check_count("seed", seed, minimum=0)
    tokenizer = _chat(model)
    files = [Path(folder) / f"answers-{number:03}.safetensors" for number in range(count)]
    functions = python_functions()
    passages: list[str] = []
    for number, path in enumerate(tqdm(files, disable=not progress)):
        if not path.exists():
            generator = np.random.default_rng((seed, number))
            prompts = _prompts(model, batch, generator, functions, passages)
            temperature = 0.7 if number % 3 == 2 else 0.0
            first = seed + number * 2 * batch + batch
            texts = _decoded(model, prompts, length, temperature=temperature, seed=first)
            _save(path, texts)
        passages = [*passages, *_passages(tokenizer, path)][-20 * batch :]
    return files


def read_answers(files: Sequence[Path]) -> Answers:
    """All conversations of some files.

    Raises:
        ValueError: a damaged file.
    """
    arrays = [load_arrays(path, "files")[0] for path in files]
    before = np.cumsum([0, *(len(each["tokens"]) for each in arrays)])
    return Answers(
        torch.from_numpy(np.concatenate([each["tokens"] for each in arrays])).long(),
        torch.from_numpy(np.concatenate([each["features"] for each in arrays])),
        tuple(
            int(start)
            for each, offset in zip(arrays, before, strict=False)
            for start in each["starts"] + offset
        ),
    )


def python_functions(*, characters: int = 700) -> list[str]:
    """Short functions of the standard library, each with its ``def``; of its training files."""
    text = bytes(standard_library().train.tolist()).decode("utf-8", errors="ignore")
    found = re.findall(r"^def \w+\(\w.*?(?=^\S)", text, flags=re.MULTILINE | re.DOTALL)
    return [each.rstrip() for each in found if 100 < len(each) < characters]


def _chat(model: Transformer) -> SubwordTokenizer:
    tokenizer = model.tokenizer
    if not isinstance(tokenizer, SubwordTokenizer) or tokenizer.chat_template is None:
        raise ValueError("model: takes one that is made for conversations, with its tokenizer")
    return tokenizer


def _prompts(
    model: Transformer,
    count: int,
    generator: np.random.Generator,
    functions: Sequence[str],
    passages: Sequence[str],
) -> list[list[int]]:
    """Half of them questions that the model asks, when there are passages of earlier answers."""
    tokenizer = _chat(model)
    asked = count if not passages else (count + 1) // 2
    questions = _questions(model, asked, seed=int(generator.integers(2**31)))
    for number in range(count - asked):
        tasks, texts = (CODE_TASKS, functions) if number % 4 == 3 else (TASKS, passages)
        task, text = (each[int(generator.integers(len(each)))] for each in (tasks, texts))
        questions.append(f"{task}\n\n{text}")
    return [tokenizer.chat(each) for each in questions]


def _questions(model: Transformer, count: int, *, seed: int) -> list[str]:
    tokenizer = _chat(model)
    mark = "?"
    conversation = tokenizer.decode(tokenizer.chat(mark))
    start = tokenizer.encode(conversation[: conversation.rindex(mark)])
    texts = _decoded(
        model, [start] * count, QUESTION, temperature=0.9, seed=seed, drafter=NoDrafter
    )
    ends = {tokenizer.end_of_text}
    written = [[t for t in text.tokens[len(start) :] if t not in ends] for text in texts]
    return [tokenizer.decode(each).strip() or mark for each in written]


def _decoded(
    model: Transformer,
    prompts: Sequence[list[int]],
    length: int,
    *,
    temperature: float,
    seed: int,
    drafter: Callable[[], NoDrafter] = Recorder,
) -> list[Text]:
    texts = [
        Text(list(prompt), length, drafter(), Chance(seed + row))
        for row, prompt in enumerate(prompts)
    ]
    for _ in decode(model, texts, Sampling(temperature)):
        if sum(not text.done for text in texts) < LEAST_BUSY * len(texts):
            break
    return texts


def _save(path: Path, texts: Sequence[Text]) -> None:
    features = []
    for text in texts:
        assert isinstance(text.drafter, Recorder)
        features.append(torch.cat(text.drafter.features))
    # The last token of a text was not read, and has no features.
    kept = [text.tokens[: len(each)] for text, each in zip(texts, features, strict=True)]
    starts = np.cumsum([0, *map(len, kept)])[:-1]
    save_arrays(
        path,
        {
            "tokens": np.concatenate(kept).astype(np.int32),
            "features": torch.cat(features).cpu().numpy(),
            "starts": starts.astype(np.int64),
            "prompts": np.array([each.prompt_length for each in texts]),
        },
        {},
    )


def _passages(tokenizer: SubwordTokenizer, path: Path) -> list[str]:
    """The beginnings of the answers of a file, whole sentences where there are any."""
    arrays = load_arrays(path, "files")[0]
    found = []
    starts = [*arrays["starts"].tolist(), len(arrays["tokens"])]
    for number, prompt in enumerate(arrays["prompts"].tolist()):
        tokens = arrays["tokens"][starts[number] + prompt : starts[number + 1]].tolist()
        words = tokenizer.decode([t for t in tokens if t != tokenizer.end_of_text]).split(" ")
        text = " ".join(words[:PASSAGE]).strip()
        end = text.rfind(".")
        found.append(text[: end + 1] if end > 200 else text)
    return [each for each in found if len(each) > 100]
