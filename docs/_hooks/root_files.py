"""Pages that are files of the repository's root, whose links are those of the repository.

Each such page in `docs` is a stub; the file takes its place here, with links that lead to pages.
"""

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILES = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """The root's file in place of its stub; every other page as it is."""
    if page.file.src_uri not in FILES:
        return markdown
    text = (ROOT / FILES[page.file.src_uri]).read_text(encoding="utf-8").replace("](docs/", "](")
    for stub, file in FILES.items():
        text = text.replace(f"]({file}", f"]({stub}")
    return text
