"""PyTorch foundations, small language models, fast decoding: Parts III and IV, in preparation."""

from speccore.models.pretrained import available, load

__all__ = ["available", "load"]
