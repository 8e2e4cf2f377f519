"""Extractors: each owns one engine and makes one kind of artifact."""
