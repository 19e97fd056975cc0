"""How a model is trained, and on how much it is tested."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from recollect.core import Config


class TrainingConfig(Config):
    """AdamW with linear warm-up and cosine decay, gradient clipping, early stop, best checkpoint.

    Attributes:
        loss: `sampled`, of examples drawn at every step; or `population`, its expectation, exact and with
            exact gradients, for affine models on linear functional tasks with white input. Nothing is drawn
            then: `batch_size`, `validation_examples` and `chosen_on` are not read.
        start: `random`, or `construction`: the parameters that attain the floor of the task.
        steps: the budget; the learning rate reaches zero there.
        epochs: the budget as passes over a fixed set of `examples`, from which `steps` then follows.
        batch_size: examples a step.
        learning_rate: peak.
        warmup: share of the steps in which the learning rate rises from zero.
        weight_decay: decoupled, on parameters with two axes or more.
        betas: decay of the two moments.
        clip: largest gradient norm.
        evaluate_every: steps between two evaluations on the validation split.
        patience: stop after this many evaluations without a gain of 1 %; None never stops early.
        solved_below: stop as soon as the validation error falls below this (NMSE, 1 - accuracy, or nats).
        chosen_on: split that checkpoints and learning rates are chosen on. `test` is what some published
            trainers do, and flatters: for comparison with their numbers only.
        schedule: whether the cosine falls at every step, or once an epoch of the fixed set.
        examples: train on a fixed set of this many, shuffled each epoch, as published protocols do; None
            draws fresh examples at every step.
        validation_examples, test_examples: sizes of the two splits; the test split is read once.
        long_factor: the test of a functional task is repeated at this multiple of the training length; None
            skips it.
        precision: dtype of parameters and data; `bfloat16` is autocast over float32, on a GPU.
        device: `auto` takes a GPU where there is one.
    """

    loss: Literal["sampled", "population"] = "sampled"
    start: Literal["random", "construction"] = "random"
    steps: PositiveInt = 2000
    epochs: PositiveInt | None = None
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = 3e-3
    warmup: float = Field(default=0.05, ge=0, le=1)
    weight_decay: NonNegativeFloat = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    clip: PositiveFloat = 1.0
    evaluate_every: PositiveInt = 100
    patience: PositiveInt | None = None
    solved_below: NonNegativeFloat = 0.0
    chosen_on: Literal["validation", "test"] = "validation"
    schedule: Literal["step", "epoch"] = "step"
    examples: PositiveInt | None = None
    validation_examples: PositiveInt = 256
    test_examples: PositiveInt = 2048
    long_factor: PositiveInt | None = 4
    precision: Literal["float32", "float64", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _betas_are_decays(self) -> "TrainingConfig":
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError("`betas` must lie in [0, 1)")
        return self

    @model_validator(mode="after")
    def _draws_what_it_counts(self) -> "TrainingConfig":
        if self.loss == "population":
            if self.examples is not None or self.epochs is not None:
                raise ValueError(
                    "`loss: population` draws no examples: leave out `examples` and `epochs`, give `steps`"
                )
            if self.precision == "bfloat16":
                raise ValueError("`loss: population` has no use for bfloat16: take float32 or float64")
        return self

    @model_validator(mode="after")
    def _count_the_steps(self) -> "TrainingConfig":
        if self.epochs is not None and self.examples is not None:
            object.__setattr__(self, "steps", self.epochs * max(1, self.examples // self.batch_size))
        return self
