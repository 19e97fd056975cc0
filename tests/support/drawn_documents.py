"""Documents of diagnoses and probes made by hand, and a reader of the pages drawn from them."""

import math
from html.parser import HTMLParser

HOSTILE = "<script>alert(1)</script>"
SENTENCES = [
    "The present of y depends on about 14 lags of u.",
    f"A linear memory function explains 92 % of {HOSTILE} out of sample.",
    "An LRU with 4 real states reaches an NMSE of 0.1; fewer than 2 cannot.",
]


class Elements(HTMLParser):
    """Start tags with their attributes, scripts by their id, and the text of everything else."""

    def __init__(self, page):
        super().__init__()
        self.source, self.tags, self.scripts, self.text, self._open = page, [], {}, "", ("", {})
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self._open = (tag, dict(attrs))
        self.tags.append(self._open)

    def handle_endtag(self, tag):
        self._open = ("", {})

    def handle_data(self, data):
        tag, attributes = self._open
        if tag == "script":
            self.scripts[attributes.get("id")] = data
        elif tag != "style":
            self.text += data


def memory(rate, length, width=0.05):
    values = [math.exp(-rate * s) * math.cos(s / 3) for s in range(length)]
    return {"values": values, "lower": [v - width for v in values], "upper": [v + width for v in values]}


def interval(value, lower, upper):
    return {"value": value, "lower": lower, "upper": upper}


def sizes(count, rate):
    errors = {2**k: 0.08 + 0.92 * math.exp(-rate * 2**k) for k in range(count)}
    return [{"size": m, "floor": (error + 0.08) / 2, "predicted": error} for m, error in errors.items()]


def recommendation(family, unit, by_size, **changes):
    entry = {
        "family": family, "unit": unit, "size": 4, "floor": 0.085, "predicted": 0.0937, "impossible_below": 2,
        "binding": True, "why": f"the theorem of {family}", "state_size": 5, "cost_per_step": 1234,
        "by_size": by_size, "model": None,
    }  # fmt: skip
    return entry | changes


def diagnosis_document():
    """With every key, as `Diagnosis.document` writes them."""
    unbound = {"size": None, "floor": None, "predicted": None, "impossible_below": None, "binding": False}
    found = [
        recommendation("lru", "real states", sizes(4, 0.9)),
        recommendation("tcn", "taps", sizes(6, 0.2), size=21),
        recommendation("lstm", "units", [], why="its gates multiply states", **unbound),
    ]
    trial = {"family": "lru", "size": 4, "role": "recommended", "predicted": 0.0937, "predicted_there": 0.096}
    smaller = {"family": "lru", "size": 2, "role": "smaller", "predicted": 0.2, "measured": None}
    return {
        "version": 1, "recollect": "0.1.0", "sentences": SENTENCES,
        "warnings": [f"The memory outlasts the lags of {HOSTILE}."],
        "series": {
            "source": "data.csv", "target": f"y {HOSTILE}", "inputs": ["u"], "autonomous": False,
            "rows": 3000, "sequences": 3, "step": "1 hour", "notes": ["2 gaps split the data."],
        },
        "memory_found": True, "memory_function": memory(0.1, 24), "lags": 24, "confidence": 0.95,
        "horizon": {"h50": 3.0, "h95": 14.0, "h50_interval": [3.0, 4.0], "h95_interval": [12.0, None]},
        "decay_law": {
            "preferred": "exponential", "evidence": 7.5, "exponential": interval(0.11, 0.1, 0.12),
            "power": interval(1.9, 1.4, 2.2),
        },
        "hankel_rank": 2, "tensor_train_rank": 3, "effective_taps": 6.2, "sign_changes": 5, "delay": 0,
        "linear_share": 0.92, "linear_share_interval": [0.9, 0.935], "noise_nmse": 0.08, "target_nmse": 0.1,
        "reached_below": 0.125, "recommended": {"family": "lru", "size": 4}, "recommendations": found,
        "excitation": {"condition": 1234.0, "message": "Slow changes of u are missing."},
        "remainder": {"statistic": 1.0, "p_value": 0.35, "share": 0.002},
        "confirmation": {
            "trials": [trial | {"measured": 0.0991, "measured_se": 0.004}, smaller], "adequate": True,
            "smaller_is_not": None, "budget": "At most 600 steps.", "noise_there": 0.0777, "num_rows": 601,
        },
        "estimation": {
            "prior": "dc", "evidence": {"tc": -3120.25, "dc": -3100.5, "flat": None},
            "hyperparameters": {"u": {"decay_rate": 0.875, "scale": 1.5}}, "delays": {"u": 0},
        },
    }  # fmt: skip


def probe_document_made(outputs=1, inputs=1, length=24):
    """With every key, as `probe_document` writes them."""
    shown = min(outputs * inputs, 6)
    channels = []
    for place in range(shown):
        found = memory(0.1 + 0.05 * place, length, 0.02)
        spread = [abs(value) + 0.05 for value in found["values"]]
        channels.append({"output": place // inputs, "input": place % inputs, **found, "rms": spread})
    sizes = [abs(value) for value in channels[0]["values"]]
    magnitude = {
        "values": sizes,
        "lower": [max(size - 0.02, 0.0) for size in sizes],
        "upper": [size + 0.02 for size in sizes],
        "rms": channels[0]["rms"],
    }
    return {
        "sentences": SENTENCES,
        "version": 1, "recollect": "0.1.0", "name": f"gru {HOSTILE}", "estimator": "jacobian",
        "quantity": "mean Jacobian", "background": "white Gaussian, deviation 1", "amplitude": 1.0,
        "position": length - 1, "samples": 32, "length": length, "confidence": 0.95,
        "channels": {"outputs": outputs, "inputs": inputs, "shown": shown},
        "memory_function": channels, "magnitude": magnitude,
        "bracket": {"lower": [size**2 / 9 for size in sizes], "upper": [s**2 / 6 for s in magnitude["rms"]]},
        "positions": [
            {"position": position, "magnitude": [size * (1 + 0.1 * place) for size in sizes[: position + 1]]}
            for place, position in enumerate((length // 4 - 1, length // 2 - 1, length - 1))
        ],
        "horizon": {"h50": interval(3.0, 3.0, 4.0), "h95": interval(14.0, 12.0, None)},
        "decay_law": {
            "preferred": "exponential", "evidence": 7.5, "exponential": interval(0.11, 0.1, 0.12),
            "power": interval(1.9, 1.4, 2.2),
        },
        "hankel_rank": 2, "tensor_train_rank": 3, "effective_taps": 6.25, "sign_changes": 5, "delay": 0,
        "linear_share": interval(0.75, 0.7, 0.8), "content_adaptivity": interval(0.25, 0.2, 0.3),
        "position_dependence": {"5": interval(0.125, 0.1, 0.2), "11": interval(0.01, 0.0, 0.02)},
        "not_measured": {},
    }  # fmt: skip
