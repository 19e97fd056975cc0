"""The trainer: pure steps, evaluation with standard errors, the audit of what was learned."""

from recollect.training.assessment import Metrics, Series, assess
from recollect.training.checkpoint import ModelFacts, load_model, save_model
from recollect.training.config import TrainingConfig
from recollect.training.convergence import has_plateaued, still_improving
from recollect.training.evaluation import (
    NormalisedError,
    Predictions,
    Score,
    Scores,
    normalised_error,
    predict_split,
    score_split,
)
from recollect.training.objective import Objective, check_objective, population_objective
from recollect.training.optimizer import OptimizerState, adamw, clip_norm, learning_rate_at
from recollect.training.parameters import ParameterLayout
from recollect.training.step import TrainingState, initial_training_state, loss_function, training_step
from recollect.training.trainer import SOLVED_BELOW, Curve, Trained, resolve_device, train

__all__ = [
    "SOLVED_BELOW",
    "Curve",
    "Metrics",
    "ModelFacts",
    "NormalisedError",
    "Objective",
    "OptimizerState",
    "ParameterLayout",
    "Predictions",
    "Score",
    "Scores",
    "Series",
    "Trained",
    "TrainingConfig",
    "TrainingState",
    "adamw",
    "assess",
    "check_objective",
    "clip_norm",
    "has_plateaued",
    "initial_training_state",
    "learning_rate_at",
    "load_model",
    "loss_function",
    "normalised_error",
    "population_objective",
    "predict_split",
    "resolve_device",
    "save_model",
    "score_split",
    "still_improving",
    "train",
    "training_step",
]
