"""Up-Down and Up-Up: alike on every sequence, and apart where an intervention tells them apart."""

import hypothesis.strategies as st
import torch
from hypothesis import given

from symscope.algorithms import UpDown, UpUp
from symscope.interventions import continue_from
from symscope.seeds import generator
from symscope.tasks import same_object

TASK = same_object(void_probability=0.2)
UP_DOWN, UP_UP = UpDown(TASK), UpUp(TASK)


@given(quantities=st.lists(st.integers(1, 30), min_size=1, max_size=8), seed=st.integers(0, 10_000))
def test_alike_without_interventions(quantities, seed):
    tokens = TASK.draw(torch.tensor(quantities), generator(seed)).tokens
    down, up = UP_DOWN.run(tokens), UP_UP.run(tokens)
    assert torch.equal(down["phase"], up["phase"])
    assert torch.equal(down["count"], up["demo_count"] - up["resp_count"])
    for place in range(tokens.shape[1]):
        one, other = ({key: column[:, place] for key, column in values.items()} for values in (down, up))
        assert torch.equal(UP_DOWN.next_token_mask(one), UP_UP.next_token_mask(other))


def responses(algorithm, values, swaps):
    """How many responses follow in the resp phase, after each swap."""
    rows = len(values["phase"])
    then = continue_from(algorithm, {**values, **swaps}, torch.zeros(rows, dtype=torch.long), generator(0))
    return [
        int((tokens == TASK.response).sum()) if ends else None
        for tokens, ends in zip(then.tokens, then.ends, strict=True)
    ]


def test_apart_once_responses_have_been_given():
    # Base: 5 shown and r = 0..4 answered. Source: 3 shown, at the trigger.
    r = torch.arange(5)
    resp, three, five = torch.ones(5, dtype=torch.long), torch.full((5,), 3), torch.full((5,), 5)
    down, up = {"count": 5 - r, "phase": resp}, {"demo_count": five, "resp_count": r, "phase": resp}
    assert responses(UP_DOWN, down, {}) == responses(UP_UP, up, {}) == [5, 4, 3, 2, 1]
    assert responses(UP_DOWN, down, {"count": three}) == [3, 3, 3, 3, 3]
    assert responses(UP_UP, up, {"demo_count": three}) == [3, 2, 1, 0, None]  # 4 answered, 3 wanted: no end
    assert responses(UP_UP, up, {"resp_count": torch.zeros_like(r)}) == [5, 5, 5, 5, 5]
