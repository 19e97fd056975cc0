"""Formulas as MathML, which browsers draw by themselves: no script and no font from anywhere.

Arithmatex marks what is between dollar signs; each mark is replaced by its MathML.
"""

import html
import re

from latex2mathml.converter import convert

MARK = re.compile(
    r'<(span|div) class="arithmatex">\s*\\[(\[](?P<latex>.+?)\\[)\]]\s*</(?:span|div)>', flags=re.DOTALL
)


def on_page_content(content: str, **_: object) -> str:
    """The page's HTML with its formulas converted."""
    return MARK.sub(_converted, content)


def _converted(mark: re.Match[str]) -> str:
    display = "block" if mark[1] == "div" else "inline"
    return convert(html.unescape(mark["latex"]).strip(), display=display)
