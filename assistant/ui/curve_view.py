"""Draws a run's training: how far it is, the loss and the share of pairs ranked right, the end of the log.

Pure: takes records, gives HTML with every text escaped. Plots are inline SVG in the colours of the theme.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from assistant.ui.plots import scale
from assistant.ui.words import number, percent, seconds
from training.curves import Curve, Point

_PARTS = {
    "import": "loading the libraries",
    "load": "loading the model",
    "reference": "asking the base for its opinion of each pair",
    "train": "training",
    "save": "saving the adapter",
    "parity": "measuring what the engine must repeat",
    "done": "the trainer is done",
}
_SMOOTH = 0.85
"""Weight of what came before in the smoothed loss, a step of the plot; as in TensorBoard."""


def draw(curve: Curve | None, state: str) -> str:
    """How training goes, or why there is nothing to see. `state` is the run's."""
    if curve is None:
        why = {
            "queued": "The curve appears here when training begins.",
            "running": "The curve appears here when training begins, after the examples are gathered.",
        }.get(state, "No curve of it is kept on this machine.")
        return f'<p class="text">{why}</p>'
    if not curve.points:
        return f'<p class="text">Now: {escape(_PARTS.get(curve.part, curve.part))}.</p>'
    return f'<div class="plots">{_loss(curve)}{_right(curve.points)}</div>{_now(curve, state)}'


def log(text: str) -> str:
    """The end of the trainer's log; nothing where there is none. The newest line stands in view."""
    if not text:
        return ""
    return (
        '<section class="log" aria-label="End of the trainer\'s log"><h3>Log</h3>'
        f'<pre tabindex="0"><code>{escape(text)}</code></pre></section>'
    )


def smoothed(values: Sequence[float]) -> list[float]:
    """An exponential mean without the pull of its beginning (Kingma and Ba 2015, arXiv 1412.6980, 3)."""
    found, mean = [], 0.0
    for at, value in enumerate(values, 1):
        mean = _SMOOTH * mean + (1 - _SMOOTH) * value
        found.append(mean / (1 - _SMOOTH**at))
    return found


def _now(curve: Curve, state: str) -> str:
    said = [f"step {curve.step:,} of {curve.steps:,}"]
    if state == "running":
        said.append(_PARTS.get(curve.part, curve.part))
        if curve.left is not None and curve.part == "train":
            said.append(f"about {seconds(curve.left)} left of training")
    if (rate := curve.points[-1].rate) is not None:
        said.append(f"learning rate {rate:.2g}")
    return f'<p class="text">{escape(" · ".join(said))}</p>'


def _loss(curve: Curve) -> str:
    losses = [point.loss for point in curve.points]
    smooth = smoothed(losses)
    top = scale(max(losses))
    drawn = _line(curve.points, losses, top, "s0") + _line(curve.points, smooth, top, "s1")
    words = (
        f"Loss. {losses[0]:.3g} at step {curve.points[0].step}, {losses[-1]:.3g} at step {curve.step}; "
        f"smoothed {smooth[-1]:.3g}."
    )
    note = f"{losses[0]:.3g} → {smooth[-1]:.3g} smoothed"
    return _figure("Loss", note, drawn, curve.points, top, words, "{:.3g}")


def _right(points: Sequence[Point]) -> str:
    known = [(point, point.right) for point in points if point.right is not None]
    if not known:
        return ""
    shares = [share for _, share in known]
    smooth = smoothed(shares)
    kept = [point for point, _ in known]
    drawn = _line(kept, shares, 1.0, "s0") + _line(kept, smooth, 1.0, "s1")
    words = f"Pairs ranked right. {percent(shares[0])} at first, {percent(smooth[-1])} smoothed at the end."
    note = f"{percent(smooth[-1])} smoothed"
    return _figure("Pairs ranked right", note, drawn, kept, 1.0, words, "{:.0%}")


def _line(points: Sequence[Point], values: Sequence[float], top: float, look: str) -> str:
    first, last = points[0].step, points[-1].step
    width = max(1, last - first)
    path = "L".join(
        f"{100 * (point.step - first) / width:.2f} {100 - 100 * min(1.0, max(0.0, value / top)):.2f}"
        for point, value in zip(points, values, strict=True)
    )
    return f'<path class="{look}" d="M{path}{"h0" if len(points) == 1 else ""}"/>'


def _figure(
    title: str, note: str, drawn: str, points: Sequence[Point], top: float, words: str, form: str
) -> str:
    marks = "".join(f"<span>{form.format(value)}</span>" for value in (top, top / 2, 0))
    ends = f"<span>step {points[0].step:,}</span><span>{number(points[-1].step, 'step')}</span>"
    return (
        f"<figure><figcaption><b>{title}</b><span>{escape(note)}</span></figcaption>"
        f'<div class="plot"><div class="scale" aria-hidden="true">{marks}</div><div class="field">'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{escape(words)}">'
        f'<path class="grid" d="M0 0H100M0 50H100M0 100H100"/>{drawn}</svg></div>'
        f'<div class="ends" aria-hidden="true">{ends}</div></div></figure>'
    )
