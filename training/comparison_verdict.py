"""The verdict of a comparison in plain words: which of the three helps here, and what it costs.

Pure: differences in, sentences out. Where an interval overlaps zero it says that the evidence is not enough,
unless the interval is so narrow that no difference that counts fits into it. Measures nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from training.comparison import FEWEST, Contrast, Estimate, Helper, Judge

MARGIN = 0.10
"""So much less of liked answers still counts as the same: one answer in ten."""
UNKNOWN = "Not enough evidence"
"""How every sentence begins that leaves a question open."""
_NAMES: Mapping[Helper, str] = {
    "prompt": "the long prompt",
    "adapter": "the adapter",
    "retrieval": "retrieval",
    "examples": "showing approved answers",
}


def standing(gain: Estimate | None) -> Literal["better", "worse", "same", "unknown"]:
    """What an interval of a difference allows to say: `same` only if it is nowhere wider than `MARGIN`."""
    if gain is None:
        return "unknown"
    if gain.low > 0:
        return "better"
    if gain.high < 0:
        return "worse"
    return "same" if gain.low >= -MARGIN and gain.high <= MARGIN else "unknown"


def verdict(differences: Sequence[Contrast], judge: Judge) -> list[str]:
    """Which of the helpers helps here and what it costs, in sentences, the answer first."""
    alone = [one for one in differences if one.kind == "against base" and len(one.cell.helpers) == 1]
    said = [_headline(alone, judge), *map(_alone, alone)]
    said += [_instead(one) for one in differences if one.kind == "instead" and one.gain]
    return said + [_on_top(one) for one in differences if one.kind == "on top" and one.gain]


def _headline(alone: Sequence[Contrast], judge: Judge) -> str:
    if judge.abstains:
        return (
            f"Nobody can say which answers are better: {judge.abstains}. What each costs stands nonetheless."
        )
    parts = []
    for kind, lead in (
        ("better", "Helps here"),
        ("worse", "Harms here"),
        ("same", "Makes no difference"),
        ("unknown", UNKNOWN),
    ):
        names = [_NAMES[one.cell.helpers[0]] for one in alone if standing(one.gain) == kind]
        parts += [f"{lead}: {_list(names)}."] if names else []
    return " ".join(parts)


def _alone(one: Contrast) -> str:
    name = _NAMES[one.cell.helpers[0]]
    if one.questions < FEWEST:
        few = f"only {one.questions} questions were answered both ways, {FEWEST} are needed"
        return f"{UNKNOWN} whether {name} by itself helps: {few}."
    costs = _costs(one)
    if one.gain is None:
        return f"{_upper(name)} {costs}."
    words = {
        "better": f"{_upper(name)} helps: {figures(one.gain)} against the bare base",
        "worse": f"{_upper(name)} harms: {figures(one.gain)} against the bare base",
        "same": f"{_upper(name)} by itself makes no difference that counts ({_inside(one.gain)})",
        "unknown": f"{UNKNOWN} whether {name} by itself helps ({_inside(one.gain)})",
    }
    return f"{words[standing(one.gain)]}. It {costs}."


def _instead(one: Contrast) -> str:
    assert one.gain is not None
    (ours,), (theirs,) = one.cell.helpers, one.other.helpers
    first = f"{_upper(_NAMES[ours])} without {_NAMES[theirs]}"
    second = "the base with it" if ours == "adapter" else f"{_NAMES[theirs]} without {_NAMES[ours]}"
    shown = _inside(one.gain)
    kind = standing(one.gain)
    if kind == "unknown" and one.gain.low < -MARGIN:
        opening = f"{UNKNOWN} whether {_lower(first)} is as good as {second}"
        return f"{opening} ({shown}); it {_costs(one)}."
    # What may be better, and is not worse by the margin, is as good: it is asked to replace, not to win.
    word = {"better": "better than", "worse": "worse than"}.get(kind, "as good as")
    return f"{first} is {word} {second} ({shown}) and {_costs(one)}."


def _on_top(one: Contrast) -> str:
    assert one.gain is not None
    (name,) = set(one.cell.helpers) - set(one.other.helpers)
    rest = " and ".join(_NAMES[helper] for helper in one.other.helpers)
    shown = _inside(one.gain)
    words = {
        "better": f"On top of {rest}, {_NAMES[name]} adds to it ({shown})",
        "worse": f"On top of {rest}, {_NAMES[name]} takes away from it ({shown})",
        "same": f"On top of {rest}, {_NAMES[name]} makes no difference that counts ({shown})",
        "unknown": f"{UNKNOWN} whether {_NAMES[name]} adds anything on top of {rest} ({shown})",
    }
    return f"{words[standing(one.gain)]}; it {_costs(one)}."


def _costs(one: Contrast) -> str:
    """What the first cell costs more or less than the second: `reads 412 tokens less a question`.

    How much is read is known exactly; how much is written, and how long that takes, only where the interval
    leaves zero out.
    """
    read, written, seconds = round(one.prompt_tokens), round(_sure(one.answer_tokens)), _sure(one.seconds)
    parts = [f"reads {_more(read)} a question"] if read else []
    each = [f"writes {_more(written)}"] if written else []
    if seconds:
        each.append(f"takes {abs(seconds):.2f} s {'longer' if seconds > 0 else 'less'}")
        if one.cost:
            each.append(f"costs {money(abs(one.cost))} {'more' if one.cost > 0 else 'less'}")
    if each:
        parts += [*each[:-1], f"{each[-1]} an answer"]
    return _list(parts) or "costs nothing that can be seen"


def _list(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def _sure(found: Estimate | None) -> float:
    """The value, or 0 where the interval has zero in it."""
    return 0.0 if found is None or found.low <= 0 <= found.high else found.value


def _more(tokens: int) -> str:
    return f"{abs(tokens)} tokens {'more' if tokens > 0 else 'less'}"


def figures(gain: Estimate) -> str:
    """A difference with its interval: `+0.21 (0.10 to 0.32)`."""
    return f"{signed(gain.value)} ({_interval(gain)})"


def _inside(gain: Estimate) -> str:
    """The same to stand in brackets: `−0.02, −0.09 to 0.05`."""
    return f"{signed(gain.value)}, {_interval(gain)}"


def _interval(gain: Estimate) -> str:
    return f"{signed(gain.low, False)} to {signed(gain.high, False)}"


def signed(value: float, plus: bool = True) -> str:
    """Two decimals with a real minus; nothing is -0.00."""
    text = f"{abs(value):.2f}"
    if float(text) == 0:
        return text
    return ("−" if value < 0 else "+" if plus else "") + text


def money(value: float) -> str:
    """A small amount with two digits that tell something: `0.00012`.

    >>> money(0.000123), money(1.5)
    ('0.00012', '1.5')
    """
    digits = max(2, 1 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") or "0"


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]
