"""PyTorch and floating point (Part III), small language models and fast decoding (Part IV).

Part IV is in preparation.
"""
