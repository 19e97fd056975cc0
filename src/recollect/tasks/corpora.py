"""Text that ships with Python itself, so that a language model can be trained without a download.

Two corpora, both in English and Python, both a few megabytes:

* `docs`: the topics of the language reference that `help()` shows (`pydoc_data.topics`), the licence,
  and the docstrings of the standard library;
* `stdlib`: the same topics and licence, and the source files of the standard library, docstrings included.

They differ between versions of Python, so the hash of a text belongs to the identity of whatever is
measured on it (`Text.content`).
"""

import hashlib
import inspect
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from pydoc_data.topics import topics

from recollect.core import ConfigError

SHIPPED = ("docs", "stdlib")

# Tests, tables that a program wrote, and the topics as Python source.
_LEFT_OUT = {"encodings", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "turtledemo"}

# Text in triple quotes that begins a line: docstrings, and a few long constants among them. Parsing the
# sources instead takes two seconds longer.
_DOCSTRING = re.compile(r'^[ \t]*[rRuU]?("""|\'\'\')(.*?)\1', re.DOTALL | re.MULTILINE)

_BREAK = re.compile(r"\n\s*\n")
_REPEATABLE = 40


def read_corpus(source: str | Path, characters: int) -> str:
    """The first `characters` of a corpus that ships with Python, or of a text file.

    Shipped documents come in an order that depends on their names alone, so that every part of the text
    has its share of all of them. A paragraph of 40 characters or more is kept where it occurs first
    (`without_repeats`): what a later part of the text asks has not been read before, licence headers
    included. Shorter ones are kept each time.

    Raises:
        ConfigError: a file that is not UTF-8, or a Python that comes without its sources.
        OSError: a file that cannot be read.

    Example:
        >>> text = read_corpus("docs", characters=10_000)
        >>> len(text), text == read_corpus("docs", characters=20_000)[:10_000]
        (10000, True)
    """
    if source in SHIPPED:
        return _shipped(str(source), characters)
    try:
        return without_repeats([Path(source).read_text(encoding="utf-8")])[:characters]
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: expected text in UTF-8 ({error}).") from error


def without_repeats(documents: list[str]) -> str:
    """The documents as one text, each paragraph of at least 40 characters where it occurs first.

    Paragraphs lie between empty lines and are counted and compared up to their white space, however many
    lines they have. Shorter ones stay wherever they are.

    Example:
        >>> header = "Licensed under the terms of the licence, see LICENSE."
        >>> text = without_repeats([f"one\\n\\n{header}", f"{header}\\n\\ntwo"])
        >>> text.split("\\n\\n") == ["one", header, "two"]
        True
    """
    seen, kept = set[str](), list[str]()
    for document in documents:
        for paragraph in _BREAK.split(document.strip("\n")):
            words = " ".join(paragraph.split())
            if words not in seen:
                kept.append(paragraph)
            if len(words) >= _REPEATABLE:
                seen.add(words)
    return "\n\n".join(kept)


@lru_cache(maxsize=4)
def _shipped(source: str, characters: int) -> str:
    named = dict(_modules()) | {f"topics/{name}": text for name, text in topics.items()} | _licence()
    if source == "docs":
        named = {name: _docstrings(text) if name.endswith(".py") else text for name, text in named.items()}
    return without_repeats([named[name] for name in sorted(named, key=_place)])[:characters]


def _place(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _modules() -> Iterator[tuple[str, str]]:
    """Name and source of every module of the standard library that is written in Python."""
    root = Path(sysconfig.get_path("stdlib"))
    files = [root / f"{name}.py" for name in sys.stdlib_module_names]
    folders = sorted(sys.stdlib_module_names - _LEFT_OUT)
    files += [file for name in folders for file in (root / name).rglob("*.py")]
    found = [file for file in files if file.is_file() and not {"test", "tests"} & set(file.parts)]
    if not found:
        raise ConfigError(f"this Python comes without its sources in {root}; give the path of a text file.")
    for file in found:
        yield file.relative_to(root).as_posix(), file.read_text(encoding="utf-8", errors="replace")


def _licence() -> dict[str, str]:
    """The licence text, from the places where `license()` looks for it; some distributions leave it out."""
    library = Path(os.__file__).parent
    files = [folder / name for folder in (library.parent, library) for name in ("LICENSE.txt", "LICENSE")]
    found = [file for file in files if file.is_file()]
    return {"LICENSE": found[0].read_text(encoding="utf-8", errors="replace")} if found else {}


def _docstrings(source: str) -> str:
    return "\n\n".join(inspect.cleandoc(match[2]) for match in _DOCSTRING.finditer(source))
