"""PyTorch and floating point (Part III), small language models and fast decoding (Part IV).

Part IV is in preparation.
"""

from speccore.models.pretrained import available, load

__all__ = ["available", "load"]
