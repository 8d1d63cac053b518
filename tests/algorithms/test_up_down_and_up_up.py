"""Up-Down and Up-Up agree on every sequence, and differ after some interventions."""

import hypothesis.strategies as st
import torch
from hypothesis import given

from symscope.algorithms import UpDown, UpUp
from symscope.interchange import continue_from
from symscope.seeds import generator
from symscope.tasks import same_object

TASK = same_object(void_probability=0.2)
UP_DOWN, UP_UP = UpDown(TASK), UpUp(TASK)


@given(quantities=st.lists(st.integers(1, 30), min_size=1, max_size=8), seed=st.integers(0, 10_000))
def test_they_agree_without_interventions(quantities, seed):
    tokens = TASK.draw(torch.tensor(quantities), generator(seed)).tokens
    down, up = UP_DOWN.run(tokens), UP_UP.run(tokens)
    assert torch.equal(down["phase"], up["phase"])
    assert torch.equal(down["count"], up["demo_count"] - up["resp_count"])
    for position in range(tokens.shape[1]):
        down_state, up_state = ({key: column[:, position] for key, column in values.items()} for values in (down, up))
        assert torch.equal(UP_DOWN.next_token_mask(down_state), UP_UP.next_token_mask(up_state))


def responses(algorithm, values, swaps):
    """Number of response tokens that follow each swap, None if there is no end."""
    rows = len(values["phase"])
    continuations, _, ends = continue_from(
        algorithm, {**values, **swaps}, torch.zeros(rows, dtype=torch.long), generator(0)
    )
    return [
        int((tokens == TASK.response).sum()) if end else None for tokens, end in zip(continuations, ends, strict=True)
    ]


def test_they_differ_after_a_swap_in_the_resp_phase():
    # Base: 5 demo tokens and r = 0..4 responses. Source: 3 demo tokens, at the trigger.
    r = torch.arange(5)
    resp, three, five = torch.ones(5, dtype=torch.long), torch.full((5,), 3), torch.full((5,), 5)
    down, up = {"count": 5 - r, "phase": resp}, {"demo_count": five, "resp_count": r, "phase": resp}
    assert responses(UP_DOWN, down, {}) == responses(UP_UP, up, {}) == [5, 4, 3, 2, 1]
    assert responses(UP_DOWN, down, {"count": three}) == [3, 3, 3, 3, 3]
    assert responses(UP_UP, up, {"demo_count": three}) == [3, 2, 1, 0, None]  # 4 responses to 3 demo tokens: no end
    assert responses(UP_UP, up, {"resp_count": torch.zeros_like(r)}) == [5, 5, 5, 5, 5]
