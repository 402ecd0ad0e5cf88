"""The error that a user can mend, and sentences that several modules say."""


class UserError(ValueError):
    """Something that a user can mend; the message is one sentence that says what and how."""


def missing_package(name: str, extra: str) -> str:
    """Say that the package `name` is not installed, and which of this project's extras brings it."""
    return f"{name} is not installed; in a checkout of this project: pip install -e '.[{extra}]'"
