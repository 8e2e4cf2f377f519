"""Protocol files: what each protocol runs, with which settings."""
