"""Tune, predict, score and report on a release, read as a stranger would read it."""

from pipeline import interrupt

interrupt.command(__name__)
