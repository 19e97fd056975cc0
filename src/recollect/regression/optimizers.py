"""Third axis: how the regression is solved while a sequence is read."""

from abc import abstractmethod
from typing import Annotated, Any, Literal, final

from pydantic import Field, PositiveFloat, PositiveInt

from recollect.core import Config

Retrieve = Literal["after", "before"]
"""Whether position t is answered after association t was learned, or before."""


class AbstractOptimizer(Config):
    """A test-time optimizer."""

    kind: Any

    @property
    @abstractmethod
    def equation(self) -> str:
        """The update, in plain text."""


@final
class OneStep(AbstractOptimizer):
    """One gradient step on the whole loss from where the parameters start; the covariance of keys is ignored.

    Attributes:
        normalise: divide what is read by the same sum without values: `sum` (linear attention's
            normaliser), or `bounded`, by the larger of its size and 1 (mLSTM).
        retrieve: before or after the association of the same position.
        bonus: with `retrieve="before"`: the present association counts by a learned factor for each key
            channel instead (RWKV).

    Example:
        >>> OneStep().equation
        'theta_t = theta_0 - grad sum_i w_i |v_i - m(k_i)|^2 / 2'
        >>> OneStep(normalise="bounded").equation.partition("; ")[2]
        'read m(q) / max(|n(q)|, 1), n the same of values 1'
    """

    kind: Literal["one_step"] = "one_step"
    normalise: Literal["none", "sum", "bounded"] = "none"
    retrieve: Retrieve = "after"
    bonus: bool = False

    @property
    def equation(self) -> str:
        update = "theta_t = theta_0 - grad sum_i w_i |v_i - m(k_i)|^2 / 2"
        if self.normalise == "none":
            return update
        total = "n(q)" if self.normalise == "sum" else "max(|n(q)|, 1)"
        return f"{update}; read m(q) / {total}, n the same of values 1"


@final
class Exact(AbstractOptimizer):
    """The minimiser of the weighted loss plus a ridge.

    What the ridge penalises depends on the function class, which `describe()` of a layer says. A mean of
    values (a local constant) and a learned slope have none.

    Attributes:
        prior: `decaying`, a prior that is forgotten like an association before the first, or `fixed`.
        ridge: its strength, where training starts from.
        learned: whether training moves the ridge, one a head and key channel; in a class that has one.

    Example:
        >>> Exact(ridge=0.1).equation
        'argmin sum_i w_i |v_i - m(k_i)|^2'
    """

    kind: Literal["exact"] = "exact"
    prior: Literal["decaying", "fixed"] = "decaying"
    ridge: PositiveFloat = 1.0
    learned: bool = False

    @property
    def equation(self) -> str:
        return "argmin sum_i w_i |v_i - m(k_i)|^2"


@final
class Sgd(AbstractOptimizer):
    """Gradient steps on one association after the other.

    A decay among the regression weights shrinks the parameters before each step, which is L2 regularisation;
    other weights multiply the step on the association that they weight.

    Attributes:
        step: the step size, taken as it is; or `learned`, computed from the input:
            `max_step sigmoid(W x + b)` times the share that is stable from the start, `(1 - momentum)` over
            the size of a minibatch (and its steps) and the curvature of the function class at keys of norm 1;
            in a network the momentum is that at the start.
        max_step: the largest learned step, before that share; 2 lets a step overshoot (negative eigenvalues).
        rule: with importance w, `explicit`, `w step`; `implicit`, the proximal step
            `w step / (1 + w step |phi|^2)`, which is stable for features of any size; `normalised`,
            `min(w, 1) step / |phi|^2`. Features of a key may be longer than the key: there take `implicit`.
        num_steps: steps at each position, each on an association of its own (DeltaProduct).
        minibatch: positions whose gradients are taken at one point, where their minibatch starts.
        gradient: where gradients are taken: of parameters after the decay of their position (Gated DeltaNet),
            or `undecayed`, before it (Titans).
        momentum: keep this share of the last update, `learned` for a share computed from the input.
        weight_decay: share of the parameters lost at each position, before its first update, beside the decay
            of the weights.
        retrieve: before or after the association of the same position.

    Example:
        >>> Sgd(momentum=0.9).equation
        'u_t = 0.9 u_{t-1} - step_t grad |v_t - m(k_t)|^2 / 2; theta_t = theta_{t-1} + u_t'
        >>> Sgd(num_steps=2, weight_decay=0.5).equation.partition("; ")[0]
        'once at each position: theta becomes (1 - 0.5) theta'
    """

    kind: Literal["sgd"] = "sgd"
    step: PositiveFloat | Literal["learned"] = "learned"
    max_step: PositiveFloat = 1.0
    rule: Literal["explicit", "implicit", "normalised"] = "explicit"
    num_steps: PositiveInt = 1
    minibatch: PositiveInt = 1
    gradient: Literal["decayed", "undecayed"] = "decayed"
    momentum: Annotated[float, Field(ge=0, lt=1)] | Literal["learned"] = 0.0
    weight_decay: Annotated[float, Field(ge=0, lt=1)] | Literal["learned"] = 0.0
    retrieve: Retrieve = "after"

    @property
    def equation(self) -> str:
        size = {
            "explicit": "step_t",
            "implicit": "step_t / (1 + step_t |k_t|^2)",
            "normalised": "step_t / |k_t|^2",
        }[self.rule]
        gradient = f"{size} grad |v_t - m(k_t)|^2 / 2"
        if self.gradient == "undecayed":
            gradient += " before the decay"
        if self.minibatch > 1:
            gradient += f" at the start of its {self.minibatch} positions"
        kept = "" if self.weight_decay == 0 else f"(1 - {_name(self.weight_decay, 'decay_t')}) "
        once = f"once at each position: theta becomes {kept}theta; then " if kept else ""
        if self.num_steps > 1:
            kept = ""
        if self.momentum == 0:
            update = f"theta_t = {kept}theta_{{t-1}} - {gradient}"
        else:
            share = _name(self.momentum, "mu_t")
            update = f"u_t = {share} u_{{t-1}} - {gradient}; theta_t = {kept}theta_{{t-1}} + u_t"
        return update if self.num_steps == 1 else f"{once}{self.num_steps} times at each position: {update}"


def _name(value: float | str, symbol: str) -> str:
    return symbol if value == "learned" else f"{value:g}"


TestTimeOptimizer = Annotated[OneStep | Exact | Sgd, Field(discriminator="kind")]
"""Any test-time optimizer; as a pydantic field parsed from `{"kind": "sgd", "momentum": 0.9}`."""
