"""A run's model as it is drawn, and its training: each from its own part of the run's seed."""

from recollect.core import derive_seed, seeded_initialisation
from recollect.models import SequenceModel
from recollect.studies.run import Run
from recollect.tasks import Task
from recollect.training import Trained, train
from recollect.training.trainer import Progress


def drawn_model(run: Run, task: Task) -> SequenceModel:
    """The model before training."""
    seed = derive_seed(run.seed, "model")
    return run.model.build(task.input_size, task.output_size, seed, is_tokens=task.is_tokens)


def data_seed(run: Run) -> int:
    """The seed of the examples of a run."""
    return derive_seed(run.seed, "data")


def fit(run: Run, task: Task, model: SequenceModel, on_progress: Progress) -> Trained:
    """Train the model of a run in place."""
    assert run.training is not None
    # A user's module may draw (dropout) while it trains: those draws belong to the run's seed too.
    with seeded_initialisation(derive_seed(run.seed, "training")):
        return train(model, task, run.training, data_seed(run), on_progress)
