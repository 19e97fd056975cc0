"""Errors a user can cause. Each message says what was expected, what came, and what to do.

The command line prints these without a traceback (`--debug` shows it); anything else is a defect.
"""


class RecollectError(Exception):
    """Base of every error that a user can cause and mend."""


class ConfigError(RecollectError):
    """A configuration, study file or argument does not say something we can build."""


class NotDefinedError(RecollectError):
    """A quantity has no meaning here, e.g. a learned position beyond the trained length."""


class NumericalError(RecollectError, ValueError):
    """Numbers have left the range in which an algorithm works; training ends there as diverged."""


class StoreError(RecollectError):
    """The result store cannot be opened, read or written."""
