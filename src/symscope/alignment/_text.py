"""Results as text and as a card in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symscope.display import Bar, card

if TYPE_CHECKING:
    from symscope.alignment.result import AlignmentResult
    from symscope.alignment.score import Score


def result_text(result: AlignmentResult) -> str:
    """All that is known about an alignment, a line for each fact."""
    metrics = result.metrics
    lines = [f"{result.variable} of {result.hypothesis} at {result.site}, {_size(result)}: IIA {result.score}"]
    lines.append(f"verdict: {result.verdict.word}. {result.verdict.sentence}")
    if result.trial_accuracy is not None:
        lines.append(f"the network without an intervention: {result.trial_accuracy:.3f} of sequences correct")
    if result.selectivity is not None:
        name, above = result.selectivity
        interval = f"{above.low:.3f} to {above.high:.3f}"
        lines.append(f"above the nearest null control, {name}, by {above.value:.3f} ({interval})")
    if metrics.informative is not None:
        lines.append(f"on informative interventions: IIA {metrics.informative}")
    if metrics.by_value:
        worst = min(metrics.by_value, key=lambda value: metrics.by_value[value].iia)
        lines.append(f"worst source value, {worst}: IIA {metrics.by_value[worst]}")
    if metrics.cause is not None:
        lines.append(f"cause, where only the variable differs: IIA {metrics.cause}")
    if metrics.isolation is not None:
        lines.append(f"isolation, where only the rest differs: IIA {metrics.isolation}")
    if metrics.held_out is not None:
        lines.append(f"values held out of training interventions: IIA {metrics.held_out}")
    if result.complement is not None:
        lines.append(f"everything swapped except all variables: behaviour unchanged in {result.complement}")
    if metrics.probe is not None:
        lines.append(f"a linear probe reads the variable with a score of {metrics.probe:.3f} (R² or accuracy)")
    if metrics.mean_length_error is not None:
        lines.append(f"answers are off by {metrics.mean_length_error:.2f} tokens on average")
    if result.naturalness is not None:
        lines.append(f"rewritten states: {result.naturalness}")
    lines.append(f"their distance: {metrics.divergence}")
    lines += [f"control {name}: IIA {score}" for name, score in result.controls.items()]
    lines += [f"WARNING: {warning}" for warning in result.warnings]
    return "\n  ".join(lines)


def _size(result: AlignmentResult) -> str:
    sizes = sorted({alignment.k for alignment in result.alignments.values()})
    return f"k = {', '.join(map(str, sizes))} ({result.function})"


def bar(name: str, score: Score, *, main: bool = False) -> Bar:
    """A score as a bar of a card."""
    return Bar(name, score.iia, score.low, score.high, main)


def result_card(result: AlignmentResult) -> str:
    """An alignment as a card of HTML."""
    metrics = result.metrics
    bars = [bar("alignment", result.score, main=True)]
    bars += [bar(f"control: {name}", score) for name, score in result.controls.items()]
    parts = (
        ("informative interventions", metrics.informative),
        ("cause: only the variable differs", metrics.cause),
        ("isolation: only the rest differs", metrics.isolation),
    )
    bars += [bar(name, score) for name, score in parts if score is not None]
    facts = [
        f"{result.verdict.word}: {result.verdict.sentence}",
        f"Distance of rewritten states: {metrics.divergence}.",
    ]
    if result.naturalness is not None:
        facts.append(f"Rewritten states: {result.naturalness}.")
    below = f"of {result.hypothesis} at {result.site}, {_size(result)}, {result.score.n:,} interventions"
    return card(result.variable, below, bars, facts, result.warnings)
