"""Draws how staff agree on what two of them saw: figures, how many turns they are made of, how to read them.

Pure: takes figures, gives HTML with every text escaped. What they mean stands in `feedback/agreement.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from assistant.ui.admin_views import nothing
from assistant.ui.review_views import WORDS
from assistant.ui.words import number, percent
from feedback.agreement import Agreement, Figure, in_words

_ABOUT = """<p class="text">Some answers are seen by two of the staff, neither knowing of the other. How far
they agree is corrected for what chance alone would bring: 1 is always, 0 as often as by chance, below 0 less
often. <b>α</b> (Krippendorff) is over everybody, <b>κ</b> (Cohen) for two people. Low figures say that the
guideline is read in different ways, not that somebody is wrong.</p>"""


def agreement(found: Agreement, names: Mapping[str, str], share: float) -> str:
    """All figures; `share` of the turns are seen twice."""
    if not found.overall.n:
        return nothing(
            "No answer has been seen by two yet.",
            f"About {percent(share)} of the answers are. It needs two people who review."
            if share
            else "None is: the share is set to nothing.",
        )
    rows = [
        ("Verdict: right, wrong, invalid vote", found.overall),
        ("Verdict and what is wrong", found.whole),
    ]
    rows += [(f"Was it “{WORDS[name].lower()}”?", figure) for name, figure in found.verdicts.items()]
    faults = [(f"Was it “{WORDS[name].lower()}”?", figure) for name, figure in found.faults.items()]
    pairs = [
        (" and ".join(names.get(person, "somebody who is gone") for person in people), figures)
        for people, figures in found.pairs.items()
    ]
    head = number(found.overall.n, "answer")
    return (
        f'{_ABOUT}<p class="text">{head} seen twice so far.</p>'
        + _table("Everybody, by verdict", "α", [(name, figure, False) for name, figure in rows])
        + _table("Everybody, by what is wrong", "α", [(name, figure, False) for name, figure in faults])
        + _table(
            "Pair by pair",
            "κ",
            [
                (f"{pair}: {what}", figure, True)
                for pair, (verdict, whole) in pairs
                for what, figure in (("verdict", verdict), ("verdict and what is wrong", whole))
            ],
        )
    )


def _table(title: str, sign: str, rows: list[tuple[str, Figure, bool]]) -> str:
    if not rows:
        return ""
    drawn = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{_value(figure)}</td><td>{percent(figure.same)}</td>'
        f"<td>{figure.n:,}</td><td>{escape(in_words(figure, pair))}</td></tr>"
        for name, figure, pair in rows
    )
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("", sign, "the same", "n", "how to read it"))
    return (
        f'<div class="heading"><h2>{title}</h2></div><div class="table" tabindex="0"><table><thead>'
        f"<tr>{heads}</tr></thead><tbody>{drawn}</tbody></table></div>"
    )


def _value(figure: Figure) -> str:
    return "–" if figure.value is None else f"{figure.value:.2f}".replace("-", "−")
