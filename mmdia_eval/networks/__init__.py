"""Networks of published checkpoints, written anew: same layers, same key names. Imports torch."""
