"""Clean source to released files; one module a stage, which meet on disk and never import each other."""

from pipeline import interrupt

interrupt.command(__name__)


class UserError(ValueError):
    """Something that a user can mend; the message is one sentence that says what and how."""
