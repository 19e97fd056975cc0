"""The command line: thin commands over the packages."""

from recollect.cli.app import app, main

__all__ = ["app", "main"]
