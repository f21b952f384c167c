"""A small model of the votes: the probability that people give an answer a thumbs-up.

It ranks fresh answers to questions whose votes found no partner, and says how far it can be trusted to.
Knows nothing of pairs, runs or language models. numpy and scikit-learn are imported when it is fitted, never
to score.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from feedback.records import Judged, Message, as_said, normalise
from training.screening import screen
from training.settling import Settled, settle

FEWEST = 8
"""Ups and downs that there must be of each: with fewer, a cross-validated figure means nothing."""
TRUSTED = 0.55
"""Least lower bound of the AUC at which the ranking may be used; 0.5 is a coin. In simulations with 80 votes
0.6 turned away up to a third of the models that were good, and 0.55 still let no coin through."""
JUDGES_FROM = 0.6
"""Least lower bound of the AUC, on votes it never saw, at which a model may judge adapters, or abstains."""
ONE_VOICE = 64
"""Votes up to which a person's votes count whole; beyond, they share the weight of so many."""
STRENGTH = 0.05
"""Inverse strength of the L2 penalty (`C` of scikit-learn), and the weights of the blocks of features below:
the best on average over nine simulated tastes with 40 to 320 votes each."""
BLOCKS: Mapping[str, float] = {"all": 1.0, "first": 3.0, "last": 3.0}
_FOLDS = 5
_SENTENCE = re.compile(r"(?<=[.!?…])\s+|\n+")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_NUMBERED = re.compile(r"^\s*\d+[.)]", re.MULTILINE)
_BULLET = re.compile(r"^\s*[-*•]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class VoteModel:
    """A fitted model. `auc` is how often it ranks an up above a down, on questions it was not fitted on."""

    auc: float
    auc_low: float
    """Lower end of the one-sided 95 % interval of `auc`."""
    ups: int
    downs: int
    weights: Mapping[str, float]
    """By name of the feature, such as `last:anything else`: what speaks for an answer is above zero."""
    bias: float
    scales: tuple[tuple[float, float], ...]
    """Mean and standard deviation of each measure of `_shape`."""
    slope: float
    offset: float
    """From the model's logit to a calibrated one: slope * logit + offset."""

    @property
    def trusted(self) -> bool:
        """Whether the ranking may be used: even the lower bound of the AUC is well above a coin."""
        return self.auc_low >= TRUSTED

    def score(self, prompt: Sequence[Message], answer: str) -> float:
        """The probability, 0 to 1, of a thumbs-up for this answer to this prompt."""
        found = _features(_question(prompt), answer)
        shape = _scaled(_shape(_question(prompt), answer), self.scales)
        logit = self.bias
        for name, value in (*found.items(), *shape.items()):
            logit += self.weights.get(name, 0.0) * value
        return _sigmoid(self.slope * logit + self.offset)


def fit(judged: Sequence[Judged], seed: int = 0) -> VoteModel | None:
    """A model of what people together say of the answers in `judged`; None if the votes are too few.

    Leave held-out turns to evaluation. Beyond `ONE_VOICE` votes a person's votes weigh less each, so that
    nobody's taste becomes everybody's by diligence.
    """
    settled, _ = settle(screen(judged)[0])
    given = Counter(person for answer in settled for person in answer.people)

    def weight(answer: Settled) -> float:
        return max(min(1.0, ONE_VOICE / given[person]) for person in answer.people)

    return fit_answers(
        [answer.turn.prompt for answer in settled],
        [answer.turn.answer for answer in settled],
        [answer.up for answer in settled],
        [weight(answer) for answer in settled],
        seed,
    )


def fit_answers(
    prompts: Sequence[Sequence[Message]],
    answers: Sequence[str],
    labels: Sequence[bool],
    weights: Sequence[float] | None = None,
    seed: int = 0,
) -> VoteModel | None:
    """Logistic regression on words and shape of the answers; one label, True for up, and weight an answer.

    The AUC comes from cross-validation that never has a question on both sides. None with fewer than `FEWEST`
    ups or downs, and when the questions are too few to be divided.
    """
    ups = sum(labels)
    if min(ups, len(labels) - ups) < FEWEST:
        return None
    questions = [_question(prompt) for prompt in prompts]
    asked = list(zip(questions, answers, strict=True))
    scales = _scales([_shape(*one) for one in asked])
    rows = [{**_features(*one), **_scaled(_shape(*one), scales)} for one in asked]
    groups = [normalise(question) for question in questions]
    table, names = _table(rows)
    trusts = list(weights or [1.0] * len(answers))
    logits = _out_of_fold(table, labels, trusts, groups, seed)
    if logits is None:
        return None
    auc = _auc(logits, labels, trusts)
    # Votes on one question are not independent, so each question counts once a side.
    of_ups = len({group for group, up in zip(groups, labels, strict=True) if up})
    of_downs = len({group for group, up in zip(groups, labels, strict=True) if not up})
    low = auc_lower_bound(auc, of_ups, of_downs)
    slope, offset = _calibration(logits, labels, trusts)
    model = _regression(table, labels, trusts)
    fitted = {name: float(weight) for name, weight in zip(names, model.coef_[0], strict=True)}
    bias = float(model.intercept_[0])
    return VoteModel(auc, low, ups, len(labels) - ups, fitted, bias, scales, slope, offset)


def auc_lower_bound(auc: float, ups: int, downs: int, z: float = 1.645) -> float:
    """The least true AUC that `auc` from so many independent ups and downs agrees with, one-sided 95 %.

    R. G. Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney statistic,
    part 2, Statistics in Medicine 25 (2006) 559-573, method 5: the variance of Hanley and McNeil with both
    sizes averaged, taken at the bound and not at the estimate. It stays honest where all ups outrank all
    downs, where a bootstrap gives an interval of no width.
    """
    mean = (ups + downs) / 2 - 1
    low, high = 0.0, auc
    for _ in range(50):
        true = (low + high) / 2
        spread = 1 + mean * ((1 - true) / (2 - true) + true / (1 + true))
        error = math.sqrt(true * (1 - true) * spread / (ups * downs))
        low, high = (low, true) if auc - true <= z * error else (true, high)
    return high


# -- features ----------------------------------------------------------------------------------------


def _features(question: str, answer: str) -> dict[str, float]:
    """Words and pairs of words of the whole answer, of its first and of its last sentence, by name.

    Each block is log-scaled and of length 1 times its weight. Rare words are not raised (no idf): with few
    votes they are what a model learns by heart.
    """
    sentences = _sentences(answer)
    texts = {"all": answer, "first": sentences[0], "last": sentences[-1]}
    found: dict[str, float] = {}
    for block, text in texts.items():
        tokens = _TOKEN.findall(text.lower())
        pairs = [f"{one} {other}" for one, other in pairwise(tokens)]
        counts = {name: 1 + math.log(times) for name, times in Counter([*tokens, *pairs]).items()}
        length = math.sqrt(sum(value * value for value in counts.values())) or 1.0
        found |= {f"{block}:{name}": BLOCKS[block] * value / length for name, value in counts.items()}
    return found


def _shape(question: str, answer: str) -> list[float]:
    """What can be seen of an answer without reading it: lengths, lists, marks, ends, the question's words."""
    sentences = _sentences(answer)
    words, asked = answer.lower().split(), set(question.lower().split())
    first, last = len(sentences[0].split()), len(sentences[-1].split())
    return [
        math.log1p(len(answer)),
        math.log1p(len(words)),
        math.log1p(len(sentences)),
        len(words) / len(sentences),
        min(answer.count("?"), 3),
        min(answer.count("!"), 3),
        min(answer.count("\n"), 6),
        len(_NUMBERED.findall(answer)) > 1,
        len(_BULLET.findall(answer)) > 1,
        any(sign.isdigit() for sign in answer),
        answer.rstrip().endswith("?"),
        answer.rstrip().endswith("!"),
        sentences[0].endswith("!"),
        sentences[0].endswith("?"),
        math.log1p(first),
        math.log1p(last),
        first <= 3,
        last <= 3,
        len(asked & set(words)) / max(1, len(set(words))),
    ]


def _scaled(shape: Sequence[float], scales: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Measures as features, in standard deviations from the mean; an outlier counts as 3 of them."""
    pairs = enumerate(zip(shape, scales, strict=True))
    return {f"shape:{n}": max(-3.0, min(3.0, (value - mean) / width)) for n, (value, (mean, width)) in pairs}


def _sentences(answer: str) -> list[str]:
    return [part.strip() for part in _SENTENCE.split(answer) if part.strip()] or [""]


def _question(prompt: Sequence[Message]) -> str:
    return str(as_said(prompt)[-1].get("content") or "") if prompt else ""


# -- fitting -----------------------------------------------------------------------------------------


def _table(rows: Sequence[Mapping[str, float]]) -> tuple[Any, list[str]]:
    """(sparse matrix of rows by features, names of the features)."""
    from sklearn.feature_extraction import DictVectorizer

    named = DictVectorizer()
    table = named.fit_transform(rows)
    return table, [str(name) for name in named.get_feature_names_out()]


def _regression(table: Any, labels: Sequence[bool], weights: Sequence[float]) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=STRENGTH, max_iter=500).fit(table, labels, sample_weight=weights)


def _scales(shapes: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
    found = []
    for values in zip(*shapes, strict=True):
        mean = sum(values) / len(values)
        width = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        found.append((mean, width or 1.0))
    return tuple(found)


def _out_of_fold(
    table: Any, labels: Sequence[bool], weights: Sequence[float], groups: Sequence[str], seed: int
) -> list[float] | None:
    """Each row's logit by a model that saw no row of its group; None if the groups can't be divided."""
    from sklearn.model_selection import StratifiedGroupKFold

    folds = min(_FOLDS, len(set(groups)), sum(labels), len(labels) - sum(labels))
    if folds < 2:
        return None
    logits = [0.0] * len(groups)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for chosen, others in splitter.split(table, labels, groups):
        known = [labels[at] for at in chosen]
        if len(set(known)) < 2:
            return None
        model = _regression(table[chosen], known, [weights[at] for at in chosen])
        for at, logit in zip(others, model.decision_function(table[others]), strict=True):
            logits[at] = float(logit)
    return logits


def _calibration(
    logits: Sequence[float], labels: Sequence[bool], weights: Sequence[float]
) -> tuple[float, float]:
    """(slope, offset) that turn out-of-fold logits into calibrated ones (Platt 1999); never reverses them."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=10.0)
    model.fit([[logit] for logit in logits], labels, sample_weight=weights)
    slope = float(model.coef_[0][0])
    if slope <= 0:
        base = sum(labels) / len(labels)
        return 0.0, math.log(base / (1 - base))
    return slope, float(model.intercept_[0])


def _auc(logits: Sequence[float], labels: Sequence[bool], weights: Sequence[float]) -> float:
    from sklearn.metrics import roc_auc_score

    value: Any = roc_auc_score(labels, logits, sample_weight=weights)
    return float(value)


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, logit))))
