"""Decides whether a candidate may be promoted, from what was measured. Pure.

Everything must hold; what could not be measured never promotes. Knows no engine and no database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.records import Check, Outcome

OTHER_TOKENS = 1e9
"""Stands for a difference where trainer and engine split the same answer into different tokens."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a candidate must reach. Log-probabilities in nats a token."""

    parity: float = 0.15
    """Mean absolute difference between trainer and engine; bf16 on the engine against fp32 in the trainer."""
    fewest_pairs: int = 8
    """Held-out examples below which nothing can be said."""
    longest_ratio: float = 2.0
    """How much longer than the live adapter's the candidate's answers to the probes may be."""
    chance: float = 0.05
    """How likely a coin may be to prefer so many chosen sides (one-sided exact binomial test)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the evaluation found out."""

    load_error: str | None = None
    probes: int = 0
    bad_answers: Sequence[str] = ()
    """Why an answer to a probe is not one: empty, cut, looping; one line each."""
    live_bad_answers: int = 0
    parity: float | None = None
    """Mean absolute difference of token log-probabilities, trainer against engine, in nats."""
    pairs: int = 0
    preferred: float = 0.0
    """Held-out examples whose chosen side the candidate lifts, against the base, above the other side."""
    preferred_by_live: float = 0.0
    """The same by the live adapter. The bare base prefers neither: half a pair each."""
    margin_gain: float | None = None
    """Mean growth of the margin between chosen and rejected, against the live adapter, in nats."""
    length_ratio: float | None = None


DEFAULT = Thresholds()


def decide(found: Measured, thresholds: Thresholds = DEFAULT) -> tuple[Outcome, list[Check]]:
    """The outcome and each check in words."""
    if found.load_error is not None:
        return "rejected", [Check("loads", False, found.load_error)]
    checks = [
        Check("loads", True, "the engine serves it"),
        _sound(found),
        _parity(found, thresholds),
        _length(found, thresholds),
        _preference(found, thresholds),
    ]
    if any(check.passed is False for check in checks):
        return "rejected", checks
    if any(check.passed is None for check in checks):
        return "not_enough_evidence", checks
    return "passed", checks


def _sound(found: Measured) -> Check:
    if not found.probes:
        return Check("sound answers", None, "no probe was asked")
    if len(found.bad_answers) > found.live_bad_answers:
        return Check(
            "sound answers",
            False,
            f"{len(found.bad_answers)} of {found.probes} probes were not answered "
            f"(live: {found.live_bad_answers}); first: {found.bad_answers[0]}",
        )
    return Check("sound answers", True, f"{found.probes - len(found.bad_answers)} of {found.probes} probes")


def _parity(found: Measured, thresholds: Thresholds) -> Check:
    if found.parity is None:
        return Check("served as trained", None, "the trainer left no log-probabilities to compare with")
    if found.parity >= OTHER_TOKENS:
        return Check("served as trained", False, "trainer and engine split an answer into different tokens")
    detail = (
        f"token log-probabilities of trainer and engine differ by {found.parity:.3f} nats on average "
        f"(at most {thresholds.parity})"
    )
    return Check("served as trained", found.parity <= thresholds.parity, detail)


def _length(found: Measured, thresholds: Thresholds) -> Check:
    if found.length_ratio is None:
        return Check("length", None, "no answers to compare")
    detail = f"answers are {found.length_ratio:.2f} times as long as the live adapter's"
    return Check("length", found.length_ratio <= thresholds.longest_ratio, detail)


def _preference(found: Measured, thresholds: Thresholds) -> Check:
    if found.pairs < thresholds.fewest_pairs:
        return Check(
            "held-out preference",
            None,
            f"only {found.pairs} held-out examples, {thresholds.fewest_pairs} are needed: more votes will do",
        )
    detail = (
        f"prefers the chosen side in {found.preferred:g} of {found.pairs} held-out examples, "
        f"the live one in {found.preferred_by_live:g}"
    )
    if found.preferred <= found.preferred_by_live:
        return Check("held-out preference", False, detail)
    coin = _coin(found.preferred, found.pairs)
    if coin > thresholds.chance:
        return Check("held-out preference", None, f"{detail}; a coin does as well with p = {coin:.2f}")
    return Check("held-out preference", True, detail)


def _coin(preferred: float, pairs: int) -> float:
    """The probability that a coin prefers at least so many of the chosen sides."""
    from scipy.stats import binom

    return float(binom.sf(preferred - 1, pairs, 0.5))
