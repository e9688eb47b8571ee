"""PyTorch and floating point (Part III), small language models and fast decoding (Part IV)."""

from speccore.decoding.drafters import (
    DatastoreDrafter,
    EarlyExitDrafter,
    JacobiDrafter,
    LookaheadDrafter,
    ModelDrafter,
    ModelTreeDrafter,
    NGramDrafter,
    NGramModelDrafter,
)
from speccore.decoding.generate import Output, generate, stream
from speccore.models.ngram import NGramModel
from speccore.models.pretrained import available, load

__all__ = [
    "DatastoreDrafter",
    "EarlyExitDrafter",
    "JacobiDrafter",
    "LookaheadDrafter",
    "ModelDrafter",
    "ModelTreeDrafter",
    "NGramDrafter",
    "NGramModel",
    "NGramModelDrafter",
    "Output",
    "available",
    "generate",
    "load",
    "stream",
]
