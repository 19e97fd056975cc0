"""What makes a page hold all it needs: data and scripts inside, and a file that is whole or not there."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert
from markupsafe import Markup

from recollect.report.files import VEGA_LITE_VERSION


def embedded(value: Any) -> Markup:
    """JSON that no text in it can leave: `</script>` and `<!--` need a `<`."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


@cache
def vega() -> Markup:
    """The scripts that draw charts."""
    source = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE_VERSION)
    return Markup(source.replace("</script", "<\\/script"))


def write_whole(text: str, path: Path) -> Path:
    """Replace a file in one move: a full disk or an interrupt leaves the page of before, not half of one."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return path
