"""Clean source to released files; one module a stage, which meet on disk and never import each other."""

from pipeline.run import interrupts

interrupts.command(__name__)
