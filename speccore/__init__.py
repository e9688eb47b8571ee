"""PyTorch foundations, small language models, fast decoding: Parts III and IV, in preparation."""
