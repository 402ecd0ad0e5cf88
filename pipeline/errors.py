"""The error that a user can mend."""


class UserError(ValueError):
    """Something that a user can mend; the message is one sentence that says what and how."""
