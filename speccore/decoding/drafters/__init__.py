"""Where guesses come from: ``propose(context, …)`` returns a token tree and the laws it has."""

from speccore.decoding.drafters.adaptive import AdaptiveDrafter
from speccore.decoding.drafters.drafter import Drafter, NoDrafter
from speccore.decoding.drafters.eagle import EagleDrafter, EagleTreeDrafter
from speccore.decoding.drafters.early_exit import EarlyExitDrafter
from speccore.decoding.drafters.fallback import FallbackDrafter
from speccore.decoding.drafters.lookahead import JacobiDrafter, LookaheadDrafter
from speccore.decoding.drafters.medusa import MedusaDrafter
from speccore.decoding.drafters.model import ModelDrafter, ModelTreeDrafter
from speccore.decoding.drafters.mtp import MTPDrafter
from speccore.decoding.drafters.ngram import DatastoreDrafter, NGramDrafter
from speccore.decoding.drafters.ngram_model import NGramModelDrafter

__all__ = [
    "AdaptiveDrafter",
    "DatastoreDrafter",
    "Drafter",
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
    "NGramModelDrafter",
    "NoDrafter",
]
