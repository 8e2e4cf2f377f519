"""Networks of published checkpoints, written anew: same layers, same key names.

They import torch: an extractor imports them in `load`.
"""
