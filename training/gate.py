"""Decides whether a candidate may be promoted, from what was measured. Pure.

Two things must hold: it is shown to be better than what is live, by evidence that luck does not give, and no
guard has anything against it. What could not be measured never promotes. Knows no engine and no database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from training.evidence import Mean, share
from training.records import BETTER, Check, Outcome

OTHER_TOKENS = 1e9
"""Stands for a difference where trainer and engine split the same answer into different tokens."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a candidate must reach. Log-probabilities in nats a token, shares from 0 to 1."""

    parity: float = 0.15
    """Mean absolute difference between trainer and engine; bf16 on the engine against fp32 in the trainer."""
    chance: float = 0.05
    """How likely one that is no better may be promoted, in all looks of a month together."""
    margin: float = 0.2
    """How much a guard may lose: the lower bound of the difference must lie above minus this."""
    harm: float = 0.05
    """How much worse one kind of evidence may find the candidate, while another finds it better."""
    longest_ratio: float = 2.0
    """How much longer than the live adapter's the candidate's answers may be."""
    longest_to_base: float = 3.0
    """How much longer than the base's, so that many small steps don't make a large one."""
    shortest_ratio: float = 0.33
    drift: float = 2.0
    """Nats a token by which the base's own answers may become less likely (its KL divergence)."""
    gibberish: float = 3.0
    """Nats a token by which the base may find the candidate's answers less likely than its own."""
    faults: int = 1
    """How many more opening questions than the live adapter it may leave without an answer."""
    missing: float = 0.1
    """Share of fresh answers, more than the live adapter's, that may be empty, cut or looping."""
    dropped: float = 0.5
    """Share of the training rows that the trainer may leave out."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One kind of evidence that the candidate is better than what is live."""

    name: str
    gain: Mean | None
    """The mean difference, clustered by who stands behind it; None: it could not be had, `said` tells why."""
    said: str
    by: str = "person"


@dataclass(frozen=True, slots=True)
class Guard:
    """What one set of probes found: shares of right answers, and the differences probe by probe."""

    name: str
    count: int
    base: float
    live: float
    candidate: float
    to_base: Mean | None
    to_live: Mean | None
    lost: Sequence[str] = ()
    """Questions that the base answered right and the candidate does not; the first few."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the evaluation found out."""

    load_error: str | None = None
    sound: int = 0
    """Opening questions that were asked."""
    bad_answers: Sequence[str] = ()
    """Why an answer to one of them is not one: empty, cut, looping; one line each."""
    live_bad_answers: int = 0
    parity: float | None = None
    """Mean absolute difference of token log-probabilities, trainer against engine, in nats."""
    drift: float | None = None
    gibberish: float | None = None
    missing: tuple[float, float] | None = None
    """Share of fresh answers that are none: the candidate's, the live adapter's."""
    length_ratio: float | None = None
    length_to_base: float | None = None
    unsafe: Sequence[str] = ()
    """Answers of the candidate, and not of the live adapter, with words that none may hold."""
    personal: Sequence[str] = ()
    """Personal data in its answers that nobody gave it; what it learnt by heart stands first."""
    guards: Sequence[Guard] = ()
    evidence: Sequence[Evidence] = ()
    health: Mapping[str, float] = field(default_factory=dict)
    """What the trainer reported at its end, and the share of what it saw that was `rehearsed`."""


DEFAULT = Thresholds()


def decide(found: Measured, thresholds: Thresholds = DEFAULT, place: int = 1) -> tuple[Outcome, list[Check]]:
    """The outcome and each check in words. `place`: which look of this month it is, from 1.

    Any check that fails rejects; any that could not be decided leaves "not enough evidence".
    """
    if found.load_error is not None:
        return "rejected", [Check("loads", False, found.load_error)]
    checks = [
        Check("loads", True, "the engine serves it"),
        _sound(found, thresholds),
        *_text(found, thresholds),
        _parity(found, thresholds),
        *_health(found, thresholds),
        *(_guard(guard, thresholds) for guard in found.guards),
        _better(found, thresholds, place),
    ]
    if any(check.passed is False for check in checks):
        return "rejected", checks
    if any(check.passed is None for check in checks):
        return "not_enough_evidence", checks
    return "passed", checks


# -- evidence ----------------------------------------------------------------------------------------


def _better(found: Measured, thresholds: Thresholds, place: int) -> Check:
    """Better by one kind of evidence, and not worse by any: each spends its part of the error budget."""
    had = [one for one in found.evidence if one.gain is not None]
    said = "; ".join(_told(one) for one in found.evidence) or "nothing was voted on that is held out"
    if not had:
        return Check(BETTER, None, said)
    alpha = share(thresholds.chance, place) / len(had)
    budget = f"p must be at most {alpha:.3g}: look {place} of this month, {len(had)} kinds of evidence"
    gains = [one.gain for one in had if one.gain is not None]
    if any(gain.high < 0 or gain.mean < -thresholds.harm for gain in gains):
        return Check(BETTER, False, f"worse than what is live: {said}")
    if all(gain.mean <= 0 for gain in gains):
        return Check(BETTER, False, f"no better than what is live: {said}")
    if any(gain.p <= alpha for gain in gains):
        return Check(BETTER, True, said)
    return Check(BETTER, None, f"it may be luck: {said} ({budget}); more votes will do")


def _told(one: Evidence) -> str:
    if one.gain is None:
        return f"{one.name}: {one.said}"
    gain = one.gain
    return (
        f"{one.name}: {one.said}, {gain.mean:+.2f} ({gain.low:+.2f} to {gain.high:+.2f}, p = {gain.p:.2g}, "
        f"{gain.count} values by {gain.clusters} {one.by}s)"
    )


# -- guards ------------------------------------------------------------------------------------------


def _guard(guard: Guard, thresholds: Thresholds) -> Check:
    """Not worse than the base and than what is live, by more than the margin."""
    said = (
        f"right in {guard.candidate:.0%} of {guard.count} (base {guard.base:.0%}, live {guard.live:.0%}; "
        f"may lose {thresholds.margin:.0%})"
    )
    if guard.lost:
        said += f"; lost, for one: {guard.lost[0]}"
    gains = [gain for gain in (guard.to_base, guard.to_live) if gain is not None]
    if not gains:
        return Check(guard.name, None, "too few probes")
    if any(gain.mean <= -thresholds.margin for gain in gains):
        return Check(guard.name, False, said)
    lowest = min(gain.low for gain in gains)
    if lowest <= -thresholds.margin:
        return Check(guard.name, None, f"{said}; it may have lost {-lowest:.0%}")
    return Check(guard.name, True, said)


def _sound(found: Measured, thresholds: Thresholds) -> Check:
    if not found.sound:
        return Check("sound answers", None, "no question was asked")
    bad, live_bad = len(found.bad_answers), found.live_bad_answers
    said = f"{found.sound - bad} of {found.sound} opening questions (live: {found.sound - live_bad})"
    if bad:
        said += f"; not answered, for one: {found.bad_answers[0]}"
    return Check("sound answers", bad - live_bad <= thresholds.faults, said)


def _text(found: Measured, thresholds: Thresholds) -> list[Check]:
    """What the answers look like: their words, their ends, their length."""
    checks = []
    if found.gibberish is not None:
        checks.append(_most("readable text", found.gibberish, thresholds.gibberish, _GIBBERISH))
    if found.drift is not None:
        checks.append(_most("drift from the base", found.drift, thresholds.drift, _DRIFT))
    if found.missing is not None:
        ours, theirs = found.missing
        said = f"{ours:.0%} of the fresh answers are empty, cut or loop (live: {theirs:.0%})"
        checks.append(Check("whole answers", ours - theirs <= thresholds.missing, said))
    checks.append(_length(found, thresholds))
    said = f"in an answer: {found.unsafe[0]!r}" if found.unsafe else "no insults or threats"
    checks.append(Check("safe text", not found.unsafe, said))
    said = f"in an answer: {found.personal[0]}" if found.personal else "none that was not given"
    checks.append(Check("personal data", not found.personal, said))
    return checks


_GIBBERISH = "the base finds its answers {0:.2f} nats a token less likely than its own"
_DRIFT = "the base's own answers became {0:.2f} nats a token less likely"


def _most(name: str, value: float, most: float, words: str) -> Check:
    return Check(name, value <= most, f"{words.format(value)} (at most {most:g})")


def _length(found: Measured, thresholds: Thresholds) -> Check:
    if found.length_ratio is None:
        return Check("length", None, "no answers to compare")
    to_base = found.length_to_base if found.length_to_base is not None else found.length_ratio
    said = f"answers are {found.length_ratio:.2f} times as long as live ones, {to_base:.2f} times the base's"
    within = thresholds.shortest_ratio <= found.length_ratio <= thresholds.longest_ratio
    return Check("length", within and to_base <= thresholds.longest_to_base, said)


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


def _health(found: Measured, thresholds: Thresholds) -> list[Check]:
    """What the trainer's own figures say: DPO may win margins by making both sides unlikely."""
    health = found.health
    rows, used = health.get("rows_in", 0.0), health.get("rows_used", 0.0)
    chosen, rejected = health.get("rewards/chosen"), health.get("rewards/rejected")
    if not rows or chosen is None or rejected is None:
        return []
    # What is rehearsed has the same text on both sides: neither can be right.
    voted, dropped = 1 - health.get("rehearsed", 0.0), 1 - used / rows
    right = min(1.0, health.get("rewards/accuracies", 0.0) / voted) if voted > 0 else 1.0
    said = (
        f"chosen {chosen:+.2f} and rejected {rejected:+.2f} against the base, {right:.0%} of the last pairs "
        f"right, {dropped:.0%} of the rows left out"
    )
    # A chosen answer that became less likely, though less so than the other: the model moved off both.
    fell = chosen < min(0.0, 0.5 * rejected)
    wins = chosen - rejected > 0 and right < 0.5
    return [Check("training health", not (fell or wins or dropped > thresholds.dropped), said)]
