"""Small language models: the transformer, its text and its training."""
