"""The one exception that stands for a user's mistake."""


class UserError(ValueError):
    """Bad input: the command line prints the message alone and exits with code 2.

    It is a type of its own so that a `ValueError` out of a library, which is a bug of ours until shown otherwise, keeps
    its traceback. A message has four parts: what is wrong, the value found, where, and the argument or command that
    cures it.
    """
