"""PyTorch and floating point (Part III), small language models and fast decoding (Part IV)."""

from speccore.decoding.drafters import (
    AdaptiveDrafter,
    DatastoreDrafter,
    EagleDrafter,
    EagleTreeDrafter,
    EarlyExitDrafter,
    FallbackDrafter,
    JacobiDrafter,
    LookaheadDrafter,
    MedusaDrafter,
    ModelDrafter,
    ModelTreeDrafter,
    MTPDrafter,
    NGramDrafter,
    NGramModelDrafter,
)
from speccore.decoding.generate import Output, generate, stream
from speccore.models.ngram import NGramModel
from speccore.models.pretrained import available, load, load_heads

__all__ = [
    "AdaptiveDrafter",
    "DatastoreDrafter",
    "EagleDrafter",
    "EagleTreeDrafter",
    "EarlyExitDrafter",
    "FallbackDrafter",
    "JacobiDrafter",
    "LookaheadDrafter",
    "MTPDrafter",
    "MedusaDrafter",
    "ModelDrafter",
    "ModelTreeDrafter",
    "NGramDrafter",
    "NGramModel",
    "NGramModelDrafter",
    "Output",
    "available",
    "generate",
    "load",
    "load_heads",
    "stream",
]
