"""A study: the tasks, models, training and seeds whose product is a list of runs."""

from collections.abc import Sized
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import yaml
from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from recollect.core import Config, ConfigError, source_hash, suggestion
from recollect.models import ModelConfig
from recollect.studies.expansion import expand_task
from recollect.studies.run import Run
from recollect.tasks import FunctionalTask
from recollect.training import TrainingConfig

Entries = TypeVar("Entries", bound=Sized)


def _not_empty(entries: Entries) -> Entries:
    # Field(min_length=1) would also complain, beside the real reason, when the only entry is misspelt.
    if not entries:
        raise ValueError("expected at least one entry")
    return entries


class Study(Config):
    """Every model on every task, with every learning rate and seed.

    Attributes:
        name: shown in the store and the report.
        description: one or two sentences for the reader of the report.
        tasks: in a file, `memory.alpha`, `memory.h95` and `length` may be lists (one task each).
        models: see `recollect.models.ModelConfig`.
        training: what all models share.
        tuned: changes to `training` for single models, by their title.
        learning_rates: a grid; every model is trained at each of them with the same budget, and the rate
            with the best validation error is the one reported. Empty: the rates of `training` and `tuned`.
        seeds: number of seeds; a seed decides initialisation and data.

    Example:
        >>> study = Study.parse({
        ...     "name": "demo",
        ...     "tasks": [{"memory": {"family": "impulse", "alpha": [2, 4]}, "length": 16}],
        ...     "models": [{"mixer": "gru"}, {"mixer": "attention"}],
        ...     "seeds": 3,
        ... })
        >>> len(study.runs())
        12
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    description: str = ""
    tasks: Annotated[tuple[FunctionalTask, ...], AfterValidator(_not_empty)]
    models: Annotated[tuple[ModelConfig, ...], AfterValidator(_not_empty)]
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    tuned: dict[str, dict[str, Any]] = Field(default_factory=dict)
    learning_rates: tuple[PositiveFloat, ...] = ()
    seeds: PositiveInt = 1

    @model_validator(mode="before")
    @classmethod
    def _expand_sweeps(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("tasks"), (list, tuple)):
            return data | {"tasks": [task for given in data["tasks"] for task in expand_task(given)]}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        titles = [model.title for model in self.models]
        repeated = sorted({title for title in titles if titles.count(title) > 1})
        if repeated:
            raise ValueError(f"several models are titled {', '.join(repeated)}; give each its own `label`")
        for title in self.tuned:
            if title not in titles:
                hint = suggestion(title, titles) or f"; titles: {', '.join(titles)}"
                raise ValueError(f"`tuned` names {title!r}, which is no model of this study{hint}")
        labels = [task.label for task in self.tasks]
        repeated = sorted({label for label in labels if labels.count(label) > 1})
        if repeated:
            raise ValueError(f"several tasks are {', '.join(repeated)}; leave one of each")
        for model in self.models:
            self.training_of(model)
            if self.learning_rates and "learning_rate" in self.tuned.get(model.title, {}):
                raise ValueError(f"`learning_rates` and a tuned rate of {model.title!r} exclude each other")
        return self

    def training_of(self, model: ModelConfig) -> TrainingConfig:
        """The shared training config with the model's own changes."""
        changes = self.tuned.get(model.title, {})
        return TrainingConfig.parse(self.training.model_dump() | changes, f"tuned.{model.title}")

    def runs(self) -> list[Run]:
        """All runs, tasks outermost, each once."""
        mixers = {model.mixer for model in self.models}
        sources = {mixer: source_hash(mixer) if ":" in mixer else "" for mixer in mixers}
        runs = [
            Run(task=task, model=model, training=training, seed=seed, source=sources[model.mixer])
            for task in self.tasks
            for model in self.models
            for training in self._rates(model)
            for seed in range(self.seeds)
        ]
        return list({run.id: run for run in runs}.values())

    def _rates(self, model: ModelConfig) -> list[TrainingConfig]:
        base = self.training_of(model)
        return [base.model_copy(update={"learning_rate": rate}) for rate in self.learning_rates] or [base]


def load_study(path: Path) -> Study:
    """Read a study from a YAML file.

    Raises:
        ConfigError: the file is missing, empty, not YAML, or says something that cannot be built.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"no study file {str(path)!r}; `recollect init` writes one.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        came = "an empty file" if data is None else type(data).__name__
        raise ConfigError(f"{path}: expected a mapping with `name`, `tasks` and `models`, got {came}.")
    return Study.parse(data, str(path.name))
