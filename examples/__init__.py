"""Example data shipped with the package: the mini benchmark."""
