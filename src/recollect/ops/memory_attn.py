r"""Linear attention with a memory function as regression weights.

$$o_t = \sum_{s \ge 0} \rho_h(s)\, (q_t^\top k_{t-s})\, v_{t-s}, \qquad
\rho_h(s) = \mathrm{Re} \sum_p c_{hp} \lambda_{hp}^s + \tau_h(s)$$

As test-time regression: an association of age $s$ has the weight $\rho(s)$, which need be neither positive
nor falling; a linear function class, and one gradient step from zero. Exponentials are read from states,

$$S_{p,t} = \lambda_p S_{p,t-1} + k_t v_t^\top, \qquad o_t = \mathrm{Re} \sum_p c_p S_{p,t}^\top q_t,$$

so $P$ poles cost $P$ times the state of linear attention; one real pole is retention (arXiv:2307.08621). The
taps $\tau$ are a memory function that ends, for what no few exponentials describe (a delay): they are read
from the last associations themselves.
"""

from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Inexact
from torch import Tensor

from recollect.core.shapes import Keys, Queries, Values
from recollect.ops.chunks import merge_chunks, split_chunks
from recollect.ops.dispatch import dispatch, key_scale
from recollect.ops.powers import powers
from recollect.ops.samples import H, normal, queries_keys_values
from recollect.ops.spec import OpSpec

Poles = Inexact[Tensor, "H P"]
HeadTaps = Float[Tensor, "H S"]


class MemoryState(NamedTuple):
    """What is carried: a map for each pole, and the last `S - 1` associations where there are `S` taps."""

    sums: Inexact[Tensor, "_ H P K V"]
    keys: Float[Tensor, "_ history H K"]
    values: Float[Tensor, "_ history H V"]


class _MemoryFunction(NamedTuple):
    """Its parts, for each head; poles and residues are both real or both complex."""

    poles: Poles
    residues: Poles
    taps: HeadTaps | None


def memory_attn(
    q: Queries,
    k: Keys,
    v: Values,
    poles: Poles,
    residues: Poles,
    *,
    taps: HeadTaps | None = None,
    scale: float | None = None,
    initial_state: MemoryState | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    form: str = "chunkwise",
    chunk_size: int = 64,
) -> tuple[Values, MemoryState | None]:
    r"""Weights from a memory function: $o_t = \sum_s \rho_h(s) (q_t^\top k_{t-s}) v_{t-s}$.

    Work O(T (C (K + V) + P K V + S (K + V))) per head in the chunkwise form with chunks of C, where a complex
    pole counts twice; the state has P K V numbers and S - 1 associations.

    Args:
        q: queries.
        k: keys.
        v: values.
        poles: of each head's memory function, `(H, P)`, real or complex, of modulus at most 1. A complex pole
            stands for itself and its conjugate. Powers are taken in float64, whatever the precision of `q`.
        residues: their coefficients, `(H, P)`.
        taps: what is added to the sum of exponentials at the ages `0 .. S - 1`, `(H, S)`.
        scale: factor of the queries, `K**-0.5` if `None`.
        initial_state: state before the first position, empty if `None`.
        output_final_state: return the state after the last position instead of `None`.
        cu_seqlens: boundaries of packed sequences (batch of one), `(num_sequences + 1,)`.
        form: `reference`, `recurrent`, `chunkwise` or `parallel`.
        chunk_size: positions that the chunkwise form treats at once.

    Returns:
        Outputs `(B, T, H, V)`, and the final state or `None`.

    Raises:
        ValueError: poles, residues or taps without a row for each head; an unknown form, or boundaries that
            do not fit.

    Example:
        >>> q = k = torch.ones(1, 4, 1, 1)
        >>> v = torch.tensor([1.0, 0.0, 0.0, 0.0])[None, :, None, None]
        >>> pole, residue = torch.tensor([[0.5]]), torch.tensor([[1.0]])
        >>> memory_attn(q, k, v, pole, residue)[0].flatten()
        tensor([1.0000, 0.5000, 0.2500, 0.1250])
        >>> memory_attn(q, k, v, pole, residue, taps=torch.tensor([[0.0, 0.0, 1.0]]))[0].flatten()
        tensor([1.0000, 0.5000, 1.2500, 0.1250])
    """
    num_heads = q.shape[2]
    rows = {"poles": poles, "residues": residues} | ({} if taps is None else {"taps": taps})
    if poles.shape != residues.shape or any(x.ndim != 2 or len(x) != num_heads for x in rows.values()):
        shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in rows.items())
        raise ValueError(
            f"expected poles and residues of one shape (H, P) and taps (H, S) with H={num_heads} heads, got "
            f"{shapes}. Expand what the heads share."
        )
    dtype = torch.promote_types(torch.promote_types(poles.dtype, residues.dtype), torch.float64)
    state_dtype = q.dtype.to_complex() if dtype.is_complex else q.dtype
    history = 0 if taps is None else taps.shape[1] - 1
    return dispatch(
        FORMS,
        form,
        {"q": q * key_scale(scale, q), "k": k, "v": v},
        lambda batch: MemoryState(
            k.new_zeros(batch, num_heads, poles.shape[1], k.shape[3], v.shape[3], dtype=state_dtype),
            k.new_zeros(batch, history, *k.shape[2:]),
            v.new_zeros(batch, history, *v.shape[2:]),
        ),
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        rho=_MemoryFunction(poles.to(dtype), residues.to(dtype), None if taps is None else taps.to(q.dtype)),
        chunk_size=chunk_size,
    )


def _reference(
    q: Queries, k: Keys, v: Values, state: MemoryState, *, rho: _MemoryFunction, chunk_size: int
) -> tuple[Values, MemoryState]:
    """Every position as a weighted sum over all ages; what came before is read from the state."""
    length, history = k.shape[1], state.keys.shape[1]
    keys, values = torch.cat([state.keys, k], dim=1), torch.cat([state.values, v], dim=1)
    decays = powers(rho.poles, length + 1).to(state.sums.dtype)
    faded = _exponentials(rho, length).to(q.dtype)
    outputs = []
    for t in range(length):
        sums = torch.einsum("hp,bhpkv->bhkv", rho.residues.to(decays.dtype) * decays[:, t + 1], state.sums)
        output = torch.einsum("bhk,bhkv->bhv", q[:, t], sums.real.to(q.dtype))
        output = output + _weighted(faded[:, : t + 1], q[:, t], k[:, : t + 1], v[:, : t + 1])
        if rho.taps is not None:
            window = slice(t, t + history + 1)
            output = output + _weighted(rho.taps, q[:, t], keys[:, window], values[:, window])
        outputs.append(output)
    writes = torch.einsum("bthk,bthv,htp->bhpkv", k.to(decays), v.to(decays), decays[:, :length].flip(1))
    sums = decays[:, -1, :, None, None] * state.sums + writes
    state = MemoryState(sums, keys[:, length:].clone(), values[:, length:].clone())
    return torch.stack(outputs, dim=1), state


def _weighted(
    by_age: Float[Tensor, "H S"],
    query: Float[Tensor, "B H K"],
    k: Float[Tensor, "B S H K"],
    v: Float[Tensor, "B S H V"],
) -> Float[Tensor, "B H V"]:
    """The sum over associations, the last of which has age 0."""
    return torch.einsum("hs,bhk,bshk,bshv->bhv", by_age.flip(1), query, k, v)


def _recurrent(
    q: Queries, k: Keys, v: Values, state: MemoryState, *, rho: _MemoryFunction, chunk_size: int
) -> tuple[Values, MemoryState]:
    """A linear recurrence for each pole, position by position; residues mix what is read."""
    readings, sums, length = [], state.sums, q.shape[1]
    decay = rho.poles.to(sums.dtype)[..., None, None]
    columns = (x.to(sums.dtype).unsqueeze(3) for x in (q, k, v))
    for q_t, k_t, v_t in zip(*(x.unbind(1) for x in columns), strict=True):
        write = k_t.unsqueeze(-1) * v_t.unsqueeze(-2)
        sums = torch.addcmul(write, decay, sums)
        readings.append((q_t.unsqueeze(-2) @ sums).squeeze(-2))
    mixed = torch.einsum("hp,bthpv->bthv", rho.residues.to(sums.dtype), torch.stack(readings, dim=1))
    output = mixed.real.to(q.dtype)
    if rho.taps is None:
        return output, state._replace(sums=sums)
    keys, values = torch.cat([state.keys, k], dim=1), torch.cat([state.values, v], dim=1)
    window = rho.taps.shape[1]
    scores = (q.movedim(1, 2).unsqueeze(-2) @ _windows(keys, window, 1).mT) * rho.taps.flip(1)[:, None, None]
    output = output + merge_chunks(scores @ _windows(values, window, 1), length)
    return output, MemoryState(sums, keys[:, length:].clone(), values[:, length:].clone())


def _parallel(
    q: Queries, k: Keys, v: Values, state: MemoryState, *, rho: _MemoryFunction, chunk_size: int
) -> tuple[Values, MemoryState]:
    """All positions at once, with the Toeplitz matrix of the memory function; O(T^2)."""
    return _in_chunks(q, k, v, state, rho, q.shape[1])


def _chunkwise(
    q: Queries, k: Keys, v: Values, state: MemoryState, *, rho: _MemoryFunction, chunk_size: int
) -> tuple[Values, MemoryState]:
    """Whole chunks, then the rest as a shorter one: with a constant decay no position can be left empty."""
    length = q.shape[1]
    whole = length - length % chunk_size
    if whole in (0, length):
        return _in_chunks(q, k, v, state, rho, min(chunk_size, length))
    first, state = _in_chunks(q[:, :whole], k[:, :whole], v[:, :whole], state, rho, chunk_size)
    rest, state = _in_chunks(q[:, whole:], k[:, whole:], v[:, whole:], state, rho, length - whole)
    return torch.cat([first, rest], dim=1), state


def _in_chunks(
    q: Queries, k: Keys, v: Values, state: MemoryState, rho: _MemoryFunction, size: int
) -> tuple[Values, MemoryState]:
    """Inside a chunk as attention with a mask of weights, the same for all chunks; between them by states.

    Poles, parts and keys are one axis of the products: P complex states are read as one of 2 P K rows.
    """
    length, window = q.shape[1], state.keys.shape[1] + size
    keys, values = torch.cat([state.keys, k], dim=1), torch.cat([state.values, v], dim=1)
    own_q, own_k, own_v = (split_chunks(x, size) for x in (q, k, v))
    decays = powers(rho.poles, size + 1)
    read = _parts((rho.residues.unsqueeze(1) * decays[:, 1:]).conj().resolve_conj(), -1).to(q.dtype)
    write = _parts(decays[:, :size].flip(1), -1).to(k.dtype)
    writes = (_times(own_k, write).mT @ own_v).unflatten(3, (*write.shape[2:], k.shape[-1]))
    writes = writes.to(state.sums.real.dtype)
    before, sums = _carry(decays[:, -1].to(state.sums.dtype), _joined(writes, 4), state.sums)
    scores = (own_q @ _windows(keys, window, size).mT) * _mask(rho, size).to(q.dtype).unsqueeze(1)
    states = _parts(before, 4).flatten(3, 5).to(q.dtype)
    outputs = scores @ _windows(values, window, size) + _times(own_q, read) @ states
    state = MemoryState(sums, keys[:, length:].clone(), values[:, length:].clone())
    return merge_chunks(outputs, length), state


def _times(
    x: Float[Tensor, "B H N C K"], factors: Float[Tensor, "H C P parts"]
) -> Float[Tensor, "B H N C rows"]:
    """Each key or query once for each pole and part."""
    return torch.einsum("bhnck,hcpr->bhncprk", x, factors).flatten(4)


def _carry(
    decay: Poles, writes: Inexact[Tensor, "B H N P K V"], sums: Inexact[Tensor, "B H P K V"]
) -> tuple[Inexact[Tensor, "B H N P K V"], Inexact[Tensor, "B H P K V"]]:
    """States before each chunk, and after the last."""
    factor, before = decay[..., None, None], []
    for write in writes.unbind(2):
        before.append(sums)
        sums = torch.addcmul(write, factor, sums)
    return torch.stack(before, dim=2), sums


def _mask(rho: _MemoryFunction, size: int) -> Float[Tensor, "H C window"]:
    """Weights of a chunk's positions, and of those before it that the taps reach."""
    inside = _toeplitz(_exponentials(rho, size), size, size)
    if rho.taps is None:
        return inside
    history = rho.taps.shape[1] - 1
    return torch.nn.functional.pad(inside, (history, 0)) + _toeplitz(rho.taps, size, history + size)


def _windows(x: Float[Tensor, "B all H K"], window: int, step: int) -> Float[Tensor, "B H N window K"]:
    """The `window` positions that each chunk of `step` sees, its own the last of them."""
    return rearrange(x.unfold(1, window, step), "b n h k w -> b h n w k")


def _exponentials(rho: _MemoryFunction, length: int) -> Float[Tensor, "H T"]:
    """The sum of exponentials at the ages `0 .. length - 1`."""
    return torch.einsum("hp,hsp->hs", rho.residues, powers(rho.poles, length)).real


def _toeplitz(by_age: Float[Tensor, "H S"], rows: int, columns: int) -> Float[Tensor, "H rows columns"]:
    """The value for the age of each column as seen from each row; the last column belongs to the last row."""
    position = torch.arange(columns, device=by_age.device)
    age = position[columns - rows :, None] - position
    known = (age >= 0) & (age < by_age.shape[1])
    return torch.where(known, by_age[:, age.clamp(0, by_age.shape[1] - 1)], 0.0)


def _parts(x: Tensor, dim: int) -> Tensor:
    """Real and imaginary part on an axis of their own; a real tensor has one part."""
    return torch.stack([x.real, x.imag], dim=dim) if x.is_complex() else x.unsqueeze(dim)


def _joined(x: Tensor, dim: int) -> Tensor:
    """The inverse of `_parts`."""
    return x.squeeze(dim) if x.shape[dim] == 1 else torch.complex(*x.unbind(dim))


FORMS = {"reference": _reference, "recurrent": _recurrent, "chunkwise": _chunkwise, "parallel": _parallel}


def _sample_inputs(rng: torch.Generator, length: int) -> dict[str, Tensor]:
    poles = 0.95 * torch.rand(H, 2, dtype=torch.float64, generator=rng)
    return queries_keys_values(rng, length) | {"poles": poles, "residues": normal(rng, H, 2)}


SPEC = OpSpec(
    op=memory_attn,
    forms=("reference", "recurrent", "parallel", "chunkwise"),
    sample_inputs=_sample_inputs,
    sequences={"q": 1, "k": 1, "v": 1},
)
