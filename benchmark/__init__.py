"""Tune, predict, score and report on a release, read as a stranger would read it."""
