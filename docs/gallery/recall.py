"""When one gradient step is not enough: recall of pairs whose keys are orthonormal, random, or alike."""

import altair as alt
import pandas as pd
import torch
from torch.nn.functional import normalize

from recollect.ops import delta_rule, linear_attn, rls

DIM, DRAWS, COSINE = 32, 24, 0.5
COUNTS, PRINTED = (1, 4, 8, 16, 24, 32, 40, 48, 56, 64), (8, 32, 64)
OPS = ("linear attention", "delta rule", "least squares")
rng = torch.Generator().manual_seed(0)


def unit(n, dim=DIM):
    """Unit vectors in independent random directions, `(DRAWS, n, dim)`."""
    return normalize(torch.randn(DRAWS, n, dim, dtype=torch.float64, generator=rng), dim=-1)


def orthonormal(n):
    return torch.linalg.qr(unit(n).mT).Q.mT


def correlated(n):
    """Unit keys with a component in common, of mean cosine COSINE."""
    rest = unit(n, DIM - 1)
    return torch.cat([COSINE**0.5 * torch.ones_like(rest[..., :1]), (1 - COSINE) ** 0.5 * rest], dim=-1)


def recall(op, k, v):
    """Write all pairs, then ask for each; a key of zeros writes nothing."""
    n, nothing = k.shape[1], torch.zeros_like(k)
    q, k, v = (torch.cat(parts, dim=1).unsqueeze(2) for parts in ((k, k), (k, nothing), (v, nothing)))
    constant = torch.ones_like(k[..., 0])
    if op == "linear attention":
        answers, _ = linear_attn(q, k, v, scale=1.0)
    elif op == "delta rule":
        answers, _ = delta_rule(q, k, v, beta=constant, scale=1.0)
    else:
        answers, _ = rls(q, k, v, g=0 * constant, ridge=1e-8)
    return answers[:, n:, 0]


def delta_rule_theory(n):
    """Mean error of the delta rule with random unit keys; the page derives it."""
    d, size, square, product = DIM, 0.0, [], []
    for _ in range(n):
        square = [(1 - 2 / d + 2 / (d * (d + 2))) * x + 1 / d + size / (d * (d + 2)) for x in square] + [1]
        product = [(1 - 1 / d) * x for x in product] + [1]
        size = (1 - 1 / d) * size + 1
    return sum(x - 2 * y + 1 for x, y in zip(square, product, strict=True)) / n


def theory(keys, op, n):
    """Expected error, or `None` where no formula is claimed."""
    if keys == "orthonormal":
        return 0.0
    if op == "least squares":
        return max(0.0, 1 - DIM / n)
    if op == "linear attention":
        return (n - 1) * (1 / DIM if keys == "random" else COSINE**2 + (1 - COSINE) ** 2 / (DIM - 1))
    return delta_rule_theory(n) if keys == "random" else None


rows, distances = [], []
print("keys         op                 n     error   s.e.  theory   nearest value is the right one")
for keys, draw in {"orthonormal": orthonormal, "random": unit, "correlated": correlated}.items():
    for n in [n for n in COUNTS if keys != "orthonormal" or n <= DIM]:
        k, v = draw(n), unit(n)
        for op in OPS:
            answers = recall(op, k, v)
            errors = (answers - v).square().sum(-1).mean(-1)
            mean, se, expected = float(errors.mean()), float(errors.std() / DRAWS**0.5), theory(keys, op, n)
            low, high = errors.quantile(errors.new_tensor([0.05, 0.95])).tolist()
            row = {"keys": keys, "op": op, "n": n, "error": mean, "theory": expected}
            rows.append(row | {"low": low, "high": high})
            if expected:
                distances.append(abs(mean - expected) / se)
            if n in PRINTED:
                right = (torch.cdist(answers, v).argmin(-1) == torch.arange(n)).double().mean()
                shown = "   none" if expected is None else f"{expected:7.3f}"
                print(f"{keys:12s} {op:17s}{n:3d}{mean:10.3f}{se:7.3f} {shown}{right:8.2f}")
typical = torch.tensor(distances).square().mean().sqrt()
print(f"\ndistance from theory: {typical:.2f} standard errors, root mean square of {len(distances)} points")

color = alt.Color("op:N", sort=OPS, title=None, legend=alt.Legend(orient="bottom"))
pairs = alt.X("n:Q", title="pairs written", axis=alt.Axis(values=[1, 16, 32, 48, 64]))
base = alt.Chart().encode(x=pairs, color=color)
error = alt.Y("error:Q", title="relative squared error", scale=alt.Scale(domain=[-0.05, 2.2], nice=False))
silence = alt.Chart().mark_rule(strokeDash=[4, 4], color="grey").encode(y=alt.datum(1))
panel = alt.layer(
    silence,
    base.mark_line(clip=True).encode(y="theory:Q"),
    base.mark_rule(clip=True).encode(y="low:Q", y2="high:Q"),
    base.mark_point(clip=True, filled=True, opacity=1, size=30).encode(y=error),
    data=pd.DataFrame(rows),
).properties(width=200, height=200)
panel.facet(alt.Facet("keys:N", title=None, sort=["orthonormal", "random", "correlated"])).save("recall.svg")
