"""Judges: extractors whose device is the network. They register with `@judge`."""
