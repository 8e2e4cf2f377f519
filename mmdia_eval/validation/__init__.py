"""Checks of submissions: the same program on a submitter's machine and where pull requests land."""
