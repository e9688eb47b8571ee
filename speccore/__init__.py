"""PyTorch foundations, small language models and fast decoding: Parts III and IV, in preparation."""
