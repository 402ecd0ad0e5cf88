"""Text that others wrote, such as names of files and classes, made fit for where it is shown."""

from __future__ import annotations

COMMIT = "[0-9a-f]{40}"
"""Pattern of a revision that never moves, on the Hub as in git."""


def printable(text: object) -> str:
    """Return text for a terminal: on one line, and without control characters, which could rewrite what stands there.

    They are escaped as in Python, and so are bytes of a file's name that are not UTF-8.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def spreadsheet_text(text: str) -> str:
    """Return text for a CSV file so that a spreadsheet shows it and does not compute it: with an apostrophe before it.

    See https://owasp.org/www-community/attacks/CSV_Injection.
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
