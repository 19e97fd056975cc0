"""What a sequence model remembers, and how.

The public names live in the subpackages: `recollect.memory`, `recollect.tasks`, `recollect.models`,
`recollect.training`, `recollect.studies`, `recollect.report`. Importing `recollect` itself is cheap.
"""

from importlib.metadata import version

__version__ = version("recollect")
__all__ = ["__version__"]
