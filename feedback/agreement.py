"""How far staff agree on what two of them saw, corrected for what chance alone would bring. Pure.

Cohen's kappa for each two people, Krippendorff's alpha for all of them; overall, by verdict and by fault.
Takes labels, gives figures; knows no database and no page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from feedback.review_records import FAULTS, RULINGS

FEWEST = 20
"""Turns seen twice below which a figure says little: with 20, a true kappa of 0.6 is measured anywhere
between about 0.25 and 0.95 (Cohen 1960 gives a standard error of about 0.18 at 80 % of the same)."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one person found of one turn, not knowing what the other had found."""

    turn_id: str
    person_id: str
    verdict: str
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """An agreement: `value` is None where chance alone would agree always (all said the same), or of nothing.
    `same` is the plain share, 0 to 1, of turns on which they agreed, `n` how many turns it is made of."""

    value: float | None
    same: float
    n: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Everything that can be said of the turns that two or more saw."""

    overall: Figure
    """Krippendorff's alpha of the verdicts."""
    whole: Figure
    """The same of verdict and fault together."""
    verdicts: Mapping[str, Figure]
    """Alpha of: was it this verdict or another?"""
    faults: Mapping[str, Figure]
    """Alpha of: was it this fault, or another or none? Of those faults that anybody named."""
    pairs: Mapping[tuple[str, str], tuple[Figure, Figure]]
    """Cohen's kappa of each two people: of their verdicts, and of verdict and fault together."""


def agreement(looks: Iterable[Look]) -> Agreement:
    """The figures of all turns that at least two people looked at; one look a person and turn counts."""
    seen: dict[str, dict[str, Look]] = {}
    for look in looks:
        seen.setdefault(look.turn_id, {})[look.person_id] = look
    units = [list(by.values()) for _, by in sorted(seen.items()) if len(by) > 1]
    named = {look.fault for unit in units for look in unit}
    return Agreement(
        overall=_alpha_of([[look.verdict for look in unit] for unit in units]),
        whole=_alpha_of([[_whole(look) for look in unit] for unit in units]),
        verdicts={
            verdict: _alpha_of([[look.verdict == verdict for look in unit] for unit in units])
            for verdict in RULINGS
        },
        faults={
            fault: _alpha_of([[look.fault == fault for look in unit] for unit in units])
            for fault in FAULTS
            if fault in named
        },
        pairs=_pairs(units),
    )


def kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> float | None:
    """Cohen's kappa of two people's labels, a pair a thing that both labelled.

    (p_o - p_e) / (1 - p_e): p_o is the share on which they agree, p_e the one expected if each gave labels
    by chance as often as they did. Cohen 1960, doi:10.1177/001316446002000104. None if it is undefined.
    """
    if not pairs:
        return None
    n = len(pairs)
    same = sum(one == other for one, other in pairs) / n
    first, second = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    expected = sum(count * second[label] for label, count in first.items()) / n**2
    return None if expected >= 1.0 else (same - expected) / (1 - expected)


def alpha(units: Sequence[Sequence[Hashable]]) -> float | None:
    """Krippendorff's alpha for nominal labels; each unit is a thing with the labels that people gave it.

    1 - D_o / D_e from the coincidences within units: a unit of m labels brings each of its ordered pairs
    1 / (m - 1) times, D_e is what pairs drawn from all labels together would differ by. It takes any number
    of people and gaps between them. Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability",
    repository.upenn.edu/asc_papers/43. Units with one label say nothing. None if it is undefined.
    """
    paired = [Counter(unit) for unit in units if len(unit) > 1]
    totals: Counter[Hashable] = Counter()
    for unit in paired:
        totals.update(unit)
    n = totals.total()
    apart = n * n - sum(count * count for count in totals.values())
    if not apart:
        return None
    observed = sum(
        (unit.total() ** 2 - sum(count * count for count in unit.values())) / (unit.total() - 1)
        for unit in paired
    )
    return 1 - (n - 1) * observed / apart


def in_words(figure: Figure, pair: bool = False) -> str:
    """How to read a figure: for a pair by Landis and Koch 1977 (doi:10.2307/2529310), else by Krippendorff
    2004 (doi:10.1111/j.1468-2958.2004.tb00738.x)."""
    if not figure.n:
        return "nobody has seen the same answer as somebody else yet"
    if figure.value is None:
        return "all said the same, so chance can't be told from agreement"
    few = "" if figure.n >= FEWEST else "; too few to rely on"
    return (_landis(figure.value) if pair else _krippendorff(figure.value)) + few


def _krippendorff(value: float) -> str:
    if value >= 0.8:
        return "reliable"
    return (
        "good enough for tentative conclusions" if value >= 2 / 3 else "not reliable: talk the guideline over"
    )


def _landis(value: float) -> str:
    words = ((0.8, "almost perfect"), (0.6, "substantial"), (0.4, "moderate"), (0.2, "fair"), (0.0, "slight"))
    return next((word for least, word in words if value > least), "no better than chance")


def _pairs(units: Iterable[Sequence[Look]]) -> dict[tuple[str, str], tuple[Figure, Figure]]:
    both: dict[tuple[str, str], list[tuple[Look, Look]]] = {}
    for unit in units:
        for one, other in combinations(sorted(unit, key=lambda look: look.person_id), 2):
            both.setdefault((one.person_id, other.person_id), []).append((one, other))
    return {
        people: (
            _kappa_of([(one.verdict, other.verdict) for one, other in found]),
            _kappa_of([(_whole(one), _whole(other)) for one, other in found]),
        )
        for people, found in sorted(both.items())
    }


def _whole(look: Look) -> Hashable:
    return (look.verdict, look.fault)


def _kappa_of(pairs: Sequence[tuple[Hashable, Hashable]]) -> Figure:
    return Figure(kappa(pairs), sum(one == other for one, other in pairs) / len(pairs), len(pairs))


def _alpha_of(units: Sequence[Sequence[Hashable]]) -> Figure:
    same = sum(len(set(unit)) == 1 for unit in units)
    return Figure(alpha(units), same / len(units) if units else 0.0, len(units))
