"""Who votes in a simulation: rater functions from files or modules, their shares, and who plays them.

Runs code that the user named, and turns whatever goes wrong with it into one sentence. Knows no service,
no prompts beyond one to try, and nothing of what a vote leads to.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from training.records import Message, TrainingError

Rate = Callable[[list[dict[str, Any]], str], float]
"""`rate(messages, answer)`: the probability of a thumbs-up; `messages` come without the answer."""

_SPEC = re.compile(r"(?P<place>.+):(?P<function>[^\W\d]\w*)(?:@(?P<share>.*))?")
_TRIAL = ([{"role": "user", "content": "Where is my order?"}], "Hello! It left our house this morning.")


class BadRater(TrainingError):
    """The rater can't be used, or the shares don't add up; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One `--rater`: `FILE.py:FUNCTION[@SHARE]` or `package.module:FUNCTION[@SHARE]`."""

    place: str
    function: str
    share: float | None

    @property
    def name(self) -> str:
        return f"{self.place}:{self.function}"


@dataclass(frozen=True, slots=True)
class Rater:
    """A taste that votes."""

    name: str
    rate: Rate

    def __call__(self, messages: Sequence[Message], answer: str) -> float:
        """The probability of a thumbs-up. Raises `BadRater` for whatever is no number from 0 to 1."""
        try:
            # A copy, so that no rater can change what others are asked.
            given = self.rate([dict(message) for message in messages], answer)
        except Exception as error:
            raise BadRater(f"{self.name} raised {type(error).__name__}: {_first_line(error)}") from error
        # Text has no __float__: "0.5" is refused, a number of numpy or torch is not.
        probability = float(given) if hasattr(given, "__float__") else math.nan
        if not 0.0 <= probability <= 1.0:
            raise BadRater(f"{self.name} returned {given!r:.80}, expected a probability from 0 to 1")
        return probability


@dataclass(frozen=True, slots=True)
class Person:
    """One simulated person: the name of the account and the taste it votes by."""

    name: str
    rater: Rater


def parse(text: str) -> Spec:
    """Read a `--rater`. Raises `BadRater`."""
    found = _SPEC.fullmatch(text)
    if found is None:
        raise BadRater(f"{text!r} is no rater: expected FILE.py:FUNCTION or FILE.py:FUNCTION@SHARE")
    share = None
    if found["share"] is not None:
        try:
            share = float(found["share"])
        except ValueError:
            share = math.nan
        if not 0.0 < share <= 1.0:
            raise BadRater(f"{text!r}: the share {found['share']!r} is no number above 0 and at most 1")
    return Spec(found["place"], found["function"], share)


def load(spec: Spec) -> Rater:
    """Import the function and try it once. Raises `BadRater`."""
    try:
        module = _module(spec.place)
    except BadRater:
        raise
    except Exception as error:
        raise BadRater(
            f"{spec.place} can't be loaded: {type(error).__name__}: {_first_line(error)}"
        ) from error
    rate = getattr(module, spec.function, None)
    if not callable(rate):
        raise BadRater(f"{spec.place} has no function {spec.function}")
    rater = Rater(spec.name, rate)
    rater(*_TRIAL)
    return rater


def _module(place: str) -> ModuleType:
    if not place.endswith(".py") and "/" not in place:
        _importable(Path.cwd())
        return importlib.import_module(place)
    file = Path(place).expanduser().resolve()
    if not file.is_file():
        raise BadRater(f"{place} is no file")
    name = f"apprentice_rater_{file.stem}_{abs(hash(file)):x}"
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise BadRater(f"{place} is no Python file: its name must end in .py")
    # The file may import its neighbours, as it could if Python were started on it.
    _importable(file.parent)
    module = importlib.util.module_from_spec(spec)
    # Before it runs, because dataclasses look their own module up there.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _importable(folder: Path) -> None:
    """At the end of the path: the user's folder must not hide the standard library or us."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def shares(specs: Sequence[Spec]) -> list[float]:
    """The share of each rater, adding up to 1: those not given divide the rest. Raises `BadRater`."""
    given = [spec.share for spec in specs if spec.share is not None]
    total, silent = math.fsum(given), len(specs) - len(given)
    if total > 1 + 1e-9:
        raise BadRater(f"the raters' shares add up to {total:g}, expected at most 1")
    if silent and total > 1 - 1e-9:
        raise BadRater("the raters with a share take everything; nothing is left for those without")
    rest = (1 - total) / silent if silent else 0.0
    found = [rest if spec.share is None else spec.share for spec in specs]
    whole = math.fsum(found)
    return [share / whole for share in found]


def heads(shares: Sequence[float], people: int) -> list[int]:
    """How many of `people` play each share: by largest remainder, at least one each. Raises `BadRater`.

    `shares` are positive and add up to 1.
    """
    if people < len(shares):
        raise BadRater(f"{people} people can't play {len(shares)} raters: each needs one person at least")
    quotas = [share * people for share in shares]
    counts = [math.floor(quota + 1e-9) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda i: (counts[i] - quotas[i], i))
    for i in by_remainder[: people - sum(counts)]:
        counts[i] += 1
    while 0 in counts:
        # The most numerous can best spare one.
        counts[counts.index(max(counts))] -= 1
        counts[counts.index(0)] += 1
    return counts


def people(raters: Sequence[Rater], counts: Sequence[int], seed: int) -> list[Person]:
    """The people, rater by rater: `sim-<seed>-1` and so on."""
    players = [rater for rater, count in zip(raters, counts, strict=True) for _ in range(count)]
    return [Person(f"sim-{seed}-{number}", rater) for number, rater in enumerate(players, 1)]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
