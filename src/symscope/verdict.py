"""The few numbers that verdicts and warnings go by, in one place: what counts as high, and what as unlike nature."""

HIGH_IIA = 0.9
"""An IIA counts as high when the lower end of its interval reaches this."""

MAX_DIVERGENCE = 0.2
"""Rewritten states count as natural while at most this share of their norm lies outside the span of natural states,
and at most this share of the effect is dormant."""
