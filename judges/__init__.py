"""Judges: clients of the services that judge. They register with `@judge`."""
