"""The built-in studies: files of this package, read like a user's own."""

from importlib.resources import as_file, files
from pathlib import Path

from recollect.core import ConfigError, suggestion
from recollect.studies.study import Study, load_study

STUDIES = {
    "smoke": "smoke.yaml",
    "quick": "quick.yaml",
    "boundary-quick": "boundary-quick.yaml",
    "plateau": "plateau.yaml",
    "warm-start": "warm-start.yaml",
    "standard": "standard.yaml",
    "paper": "paper.yaml",
    "capacity": "capacity.yaml",
    "one-layer": "one-layer.yaml",
    "capacity-vs-length": "capacity-vs-length.yaml",
    "recall-frontier": "recall-frontier.yaml",
    "mqar-a": "mqar-a.yaml",
    "mad": "mad.yaml",
    "tracking": "tracking.yaml",
    "smoothing": "smoothing.yaml",
    "recall-lm": "recall-lm.yaml",
    "mqar-recipe": "mqar-recipe.yaml",
}


def find_study(name: str) -> Study:
    """A built-in study by name, or a study file by path.

    Raises:
        ConfigError: there is neither.
    """
    if name in STUDIES:
        with as_file(files("recollect.studies") / "definitions" / STUDIES[name]) as path:
            return load_study(path)
    if name.endswith((".yaml", ".yml")) or Path(name).exists():
        return load_study(Path(name))
    hint = suggestion(name, STUDIES) or f". Built in: {', '.join(STUDIES)}."
    raise ConfigError(f"no study {name!r}{hint} A study file's name ends in .yaml.")
