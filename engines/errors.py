"""The one exception whose text is meant for the person at the keyboard."""


class UserError(Exception):
    """A fault the user can mend: one sentence with what was expected, what came, what to do.

    `run.py` prints it without a traceback and exits with 1.
    """
