"""Text for the models: bytes as tokens, and Python's own standard library as the corpus.

The standard library's sources lie on every machine that can run the course, so nothing has to be
downloaded. They differ between versions of Python: ``Corpus.sha256`` says which text a result
belongs to.
"""

from __future__ import annotations

import hashlib
import sysconfig
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlcore.validation import check_count, check_number
from speccore.models.kv_cache import KVCache
from speccore.models.transformer import Transformer

# Tests and data are no prose; the last two are packages of others, in whatever state.
LEFT_OUT = {
    "__pycache__",
    "encodings",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "test",
    "tests",
    "turtledemo",
    "dist-packages",
    "site-packages",
}


class ByteTokenizer:
    """Text as its UTF-8 bytes: 256 token ids, every text possible, nothing to learn."""

    vocab_size = 256
    end_of_text = 0
    """The byte 0, which no Python source contains; it stands after each file of a corpus."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""
        return list(text.encode("utf-8"))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; bytes that are no UTF-8, such as half a letter, become �.

        Raises:
            ValueError: an id outside 0 … 255.
        """
        wrong = [each for each in ids if not 0 <= each < self.vocab_size]
        if wrong:
            raise ValueError(f"ids: takes numbers from 0 to 255, got {wrong[0]}")
        return bytes(ids).decode("utf-8", errors="replace")


class SubwordTokenizer:
    """Text as the tokens of a vocabulary of frequent pieces, by the library ``tokenizers``.

    Args:
        tokenizer: a ``tokenizers.Tokenizer``.
        end_of_text: id of the token that ends an answer; None if there is none.
        chat_template: what turns a conversation into a text, in Jinja's language; None if the
            model is not made for conversations.
    """

    def __init__(
        self, tokenizer: Any, *, end_of_text: int | None, chat_template: str | None
    ) -> None:
        self._tokenizer = tokenizer
        self.vocab_size: int = tokenizer.get_vocab_size()
        self.end_of_text = end_of_text
        self.chat_template = chat_template

    @classmethod
    def byte_pairs(
        cls,
        tokens: Sequence[str],
        merges: Sequence[str],
        *,
        control: Sequence[str],
        end_of_text: int,
        chat_template: str | None,
    ) -> SubwordTokenizer:
        """Byte-pair encoding (Sennrich et al. 2016) of bytes, as GPT-2's; each digit by itself.

        Args:
            tokens: (V,) the tokens by id, bytes written as in GPT-2's vocabulary.
            merges: pairs of tokens that become one, the most frequent first, each as "a b".
            control: tokens with a meaning of their own; ``encode`` knows them in a text.
            end_of_text, chat_template: as above.

        Raises:
            ModuleNotFoundError: the libraries of the extra ``real`` are missing.
        """
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # an extra

        pairs = [(first, second) for first, second in (each.split(" ") for each in merges)]
        vocabulary = {token: number for number, token in enumerate(tokens)}
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
        digits = pre_tokenizers.Digits(individual_digits=True)
        words = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens(list(control))
        return cls(tokenizer, end_of_text=end_of_text, chat_template=chat_template)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, control tokens included; what is no UTF-8 becomes �.

        Raises:
            ValueError: an id outside the vocabulary.
        """
        wrong = [each for each in ids if not 0 <= each < self.vocab_size]
        if wrong:
            raise ValueError(f"ids: takes numbers from 0 to {self.vocab_size - 1}, got {wrong[0]}")
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    def chat(self, *messages: str, system: str | None = None) -> list[int]:
        """Token ids of a conversation that the model is to continue.

        Args:
            messages: what was said in turns, the user's first and last.
            system: what the model is told about its part; None for the template's own words.

        Raises:
            ValueError: an even number of messages, or a model without a template for them.
        """
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        if self.chat_template is None:
            raise ValueError("messages: this model has no template for conversations")
        if len(messages) % 2 == 0:
            raise ValueError(f"messages: takes an odd number, got {len(messages)}")
        said = [
            {"role": ("user", "assistant")[number % 2], "content": each}
            for number, each in enumerate(messages)
        ]
        if system is not None:
            said.insert(0, {"role": "system", "content": system})
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        template = environment.from_string(self.chat_template)
        return self.encode(template.render(messages=said, add_generation_prompt=True))


@dataclass(frozen=True, eq=False)
class Corpus:
    """Text as bytes, split by file."""

    train: Tensor
    """(N,) uint8, the files one after the other, each ended by ``ByteTokenizer.end_of_text``."""
    validation: Tensor
    """(M,) uint8, from other files."""
    train_files: tuple[str, ...]
    """Names relative to the library, in order."""
    validation_files: tuple[str, ...]
    sha256: str
    """Of all names and contents, in hexadecimal digits."""


def standard_library(*, validation: float = 0.1) -> Corpus:
    """The sources of this Python's standard library, without its tests.

    A file's side is drawn from its name (CRC-32), so it is the same with every version of Python.

    Args:
        validation: share of the files held out, in (0, 1).

    Raises:
        ValueError: a share outside (0, 1).
        FileNotFoundError: this Python has no sources beside it.
    """
    if not 0 < validation < 1:
        raise ValueError(f"validation: takes a number in (0, 1), got {validation!r}")
    root = Path(sysconfig.get_path("stdlib"))
    names = sorted(
        name for path in root.rglob("*.py") if _belongs(name := path.relative_to(root).as_posix())
    )
    if not names:
        raise FileNotFoundError("standard_library: this Python has no sources (*.py) beside it")
    digest = hashlib.sha256()
    parts: dict[bool, list[bytes]] = {False: [], True: []}
    files: dict[bool, list[str]] = {False: [], True: []}
    for name in names:
        content = (root / name).read_bytes().replace(b"\r\n", b"\n") + b"\0"
        digest.update(name.encode() + b"\0" + content)
        held_out = zlib.crc32(name.encode()) < validation * 2**32
        parts[held_out].append(content)
        files[held_out].append(name)
    train, held = (_as_tensor(b"".join(parts[side])) for side in (False, True))
    return Corpus(train, held, tuple(files[False]), tuple(files[True]), digest.hexdigest())


def language_reference() -> Tensor:
    """(N,) uint8: the chapters of the language reference that ``help()`` shows, English prose."""
    return _as_tensor("\n".join(topics.values()).encode())


def _as_tensor(content: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(content, dtype=np.uint8).copy())


def _belongs(name: str) -> bool:
    *folders, file = name.split("/")
    # What the build wrote about this machine is no part of the library.
    built = file.startswith("_sysconfigdata") or any(each.startswith("config-") for each in folders)
    return not (built or LEFT_OUT & set(folders))


def batches(
    text: Tensor, *, batch: int, length: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless random windows of a text: inputs, and the same shifted by one token as targets.

    Args:
        text: (N,) token ids.
        batch: B, windows a batch.
        length: T, tokens a window.
        generator: where the windows' places come from.

    Yields:
        (B, T) int64 inputs and (B, T) int64 targets.

    Raises:
        ValueError: a text that is not longer than one window.
    """
    check_count("batch", batch)
    check_count("length", length)
    if text.dim() != 1 or len(text) <= length:
        raise ValueError(
            f"text: takes more than length = {length} tokens in a row, got {tuple(text.shape)}"
        )
    return _windows(text, batch, length, generator)


def _windows(
    text: Tensor, batch: int, length: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        starts = torch.randint(len(text) - length, (batch, 1), generator=generator)
        window = text[starts + torch.arange(length + 1)].long()  # (B, T + 1)
        yield window[:, :-1], window[:, 1:]


@torch.no_grad()
def own_text(
    model: Transformer,
    starts: Tensor,
    length: int,
    *,
    temperature: float = 1.0,
    generator: torch.Generator,
) -> Tensor:
    """Texts that a model goes on with, drawn token by token from softmax(logits / temperature).

    An end-of-text token is one like the others: another text follows it, as in the corpus.

    Args:
        model: what writes.
        starts: (B, S) token ids, S >= 1.
        length: tokens that follow each, >= 1; S + length is at most the model's context + 1, as
            the last token is not read.
        temperature: >= 0; 0 takes the most probable token.
        generator: where the tokens come from, on the CPU.

    Returns:
        (B, S + length) int64, the starts and what follows.

    Raises:
        ValueError, TypeError: an argument outside what it takes.
    """
    _check_own(model, starts.shape[-1], length, temperature)
    weight = model.norm.weight
    cache = KVCache(model.config, len(starts), dtype=weight.dtype, device=weight.device)
    pieces = [starts.long()]
    for _ in range(length):
        features = model.features(pieces[-1], cache=cache)[-1]
        logits = model.logits(features[:, -1]).cpu().double()  # (B, V)
        if temperature == 0:
            new = logits.argmax(-1, keepdim=True)
        else:
            new = torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)
        pieces.append(new.to(starts.device))
    return torch.cat(pieces, 1)


def own_batches(
    model: Transformer,
    text: Tensor,
    *,
    batch: int,
    prompt: int,
    length: int,
    temperature: float = 1.0,
    generator: torch.Generator,
) -> Iterator[tuple[Tensor, Tensor]]:
    """As ``batches``, but only a window's first tokens are the text's; the model writes the rest.

    Self-distillation (Cai et al. 2024, section 2.3.2): so heads learn to guess what the model says
    and not what the text does. A window takes ``length + 1 - prompt`` passes of the model.

    Args:
        model: what writes.
        text: (N,) token ids.
        batch: B, windows a batch.
        prompt: S, tokens of a window that come from the text, from 1 to ``length``.
        length: T, tokens a window, at most the model's context.
        temperature: >= 0, see ``own_text``.
        generator: where the windows' places and the tokens come from.

    Yields:
        (B, T) int64 inputs and (B, T) int64 targets.

    Raises:
        ValueError, TypeError: an argument outside what it takes.
    """
    if check_count("prompt", prompt) > check_count("length", length):
        raise ValueError(f"prompt: takes at most length = {length} tokens, got {prompt}")
    _check_own(model, prompt, length + 1 - prompt, temperature)
    starts = batches(text, batch=batch, length=prompt, generator=generator)
    windows = (
        own_text(model, start, length + 1 - prompt, temperature=temperature, generator=generator)
        for start, _ in starts
    )
    return ((window[:, :-1], window[:, 1:]) for window in windows)


def _check_own(model: Transformer, start: int, length: int, temperature: float) -> None:
    most = model.config.context + 1 - start
    if check_count("length", length) > most:
        raise ValueError(
            f"length: takes at most context + 1 − start = {model.config.context} + 1 − {start} "
            f"tokens, got {length}"
        )
    check_number("temperature", temperature, "a finite number >= 0", lambda t: 0 <= t < np.inf)
