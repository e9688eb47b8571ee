"""PyTorch and floating point (Part III), small language models and fast decoding (Part IV)."""

from speccore.decoding.drafters import (
    DatastoreDrafter,
    EarlyExitDrafter,
    JacobiDrafter,
    LookaheadDrafter,
    ModelDrafter,
    ModelTreeDrafter,
    NGramDrafter,
)
from speccore.decoding.generate import Output, generate, stream
from speccore.models.pretrained import available, load

__all__ = [
    "DatastoreDrafter",
    "EarlyExitDrafter",
    "JacobiDrafter",
    "LookaheadDrafter",
    "ModelDrafter",
    "ModelTreeDrafter",
    "NGramDrafter",
    "Output",
    "available",
    "generate",
    "load",
    "stream",
]
