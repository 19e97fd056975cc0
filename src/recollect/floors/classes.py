"""Classes of models by the name that the command line takes.

Names of mixers stand for what the mixer alone can do between a linear encoder and a linear decoder, and
several names may stand for one class. `ssm` and `linear_rnn` are linear recurrences with any matrix, shift
registers included; `s4d`, `lru` and `real_ssm` are diagonal ones, which have the same bounds. Content-free
attention has names of its own, since the mixers called `attention` read content.
"""

from dataclasses import replace

from recollect.core import lookup
from recollect.floors.alibi import AlibiHeads
from recollect.floors.dilated import LinearDilated
from recollect.floors.finite_memory import FiniteMemory
from recollect.floors.floor import ModelClass
from recollect.floors.linear_recurrence import LinearRecurrence
from recollect.floors.no_positions import NoPositions
from recollect.floors.none import NoFloor
from recollect.floors.relative_bias import RelativeBias

_REASONS = {
    "a nonlinear recurrence can keep more than a linear one of as many states; `linear_rnn` is bounded": (
        "rnn",
    ),
    "its gates multiply what it stores, so its output is not linear in the input": ("lstm", "gru"),
    "its decay is computed from the input, so it may keep each input for as long as it likes": (
        "gateloop", "gla", "hgrn", "hgrn2", "mamba", "mamba2", "mlstm", "rwkv6",
    ),
    "its output is a product of queries, keys and values, not linear in the input": (
        "based", "cosformer", "dijiang", "hedgehog", "linear_attention", "performer", "rebased", "retnet",
        "rfa",
    ),
    "what it writes depends on what it has stored": (
        "delta_product", "deltanet", "gated_deltanet", "kda", "longhorn",
    ),
    "the regression that it solves is not linear in the input": (
        "intention", "kernel_intention", "mesa", "rls",
    ),
    "its memory is itself a model, trained while it reads": ("titans", "ttt_linear", "ttt_mlp"),
    "what it reads is decided by content; content-free heads are bounded: `alibi`, `relative_bias`, "
    "`no_positions`": (
        "alibi_attention", "attention", "forgetting_attention", "local_linear_attention",
        "local_polynomial_attention", "parallax", "skyformer", "soft", "softmax_attention",
        "softmax_attention_qknorm",
    ),
    "it stands for every composition of regression weights, function class and optimizer; their names have "
    "a reason each": ("regression",),
}  # fmt: skip

_RECURRENCE = LinearRecurrence()
_DIAGONAL = LinearRecurrence(diagonal=True)
_FINITE = FiniteMemory()

MODEL_CLASSES: dict[str, ModelClass] = {
    "ssm": _RECURRENCE,
    "s4d": _DIAGONAL,
    "lru": _DIAGONAL,
    "linear_rnn": _RECURRENCE,
    "real_ssm": LinearRecurrence(poles="real", diagonal=True),
    "tcn": _FINITE,
    "fir": _FINITE,
    "gated_conv": _FINITE,
    "linear_tcn": LinearDilated(),
    "alibi": AlibiHeads(slopes="fixed"),
    "learned_alibi": AlibiHeads(slopes="learned"),
    "relative_bias": RelativeBias(),
    "no_positions": NoPositions(),
    **{name: NoFloor(reason) for reason, names in _REASONS.items() for name in names},
}
"""Of each name, the class; what its size counts is the class's `unit`."""

BOUNDED = (
    "ssm", "lru", "real_ssm", "tcn", "linear_tcn", "alibi", "learned_alibi", "relative_bias", "no_positions",
)  # fmt: skip
"""One name for each class that a theorem bounds."""


def find_class(name: str, *, feed_through: bool = False) -> ModelClass:
    """The class called `name`.

    Args:
        name: a key of `MODEL_CLASSES`.
        feed_through: whether the present input reaches the output beside the states or heads. Convolutions,
            and heads without positions, have it anyway: they stay as they are.

    Raises:
        ConfigError: no class has that name; says the nearest.

    Example:
        >>> find_class("lru").unit
        'real states'
    """
    found = lookup(MODEL_CLASSES, name, "model class")
    if feed_through and isinstance(found, LinearRecurrence | AlibiHeads | RelativeBias):
        return replace(found, feed_through=True)
    return found
