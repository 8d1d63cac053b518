"""signatures first"""

from __future__ import annotations

from collections.abc import Callable

from symscope.runner.events import Event, Outcome
from symscope.runner.jobs import Plan
from symscope.runner.store import Store


def run(
    plan: Plan,
    store: Store,
    *,
    workers: int,
    threads: int = 1,
    on_event: Callable[[Event], None] = lambda event: None,
    retry_failed: bool = True,
) -> Outcome:
    """Does what of a plan is not in the store; `workers=0` runs in this process."""
    raise NotImplementedError
