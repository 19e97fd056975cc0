"""Docstrings head an example with `Example:`; griffe knows the section as `Examples:` only."""

import re
from typing import Any

import griffe

HEADING = re.compile(r"^Example:$", flags=re.MULTILINE)


class ExampleHeadings(griffe.Extension):
    """Renames the heading, so that examples are shown as code and not as quotations."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = HEADING.sub("Examples:", obj.docstring.value)
