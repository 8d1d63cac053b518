"""The plain reference: distributed alignment search as it is written down, nothing done early and nothing left out.

At every step the network runs over the whole of base and source, token by token; the rotation is a full d x d
matrix, by matrix exponential; every position of the padded continuation is read out.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.parametrizations import orthogonal

from benchmarks.cases import BATCH, Case
from symscope.networks import RecurrentNetwork
from symscope.seeds import generator


class Plain:
    """A search in a recurrent network; starts with a rotation whose first k axes are the frame's."""

    def __init__(self, case: Case, frame: Tensor) -> None:
        assert isinstance(case.network, RecurrentNetwork)
        self.network, self.drawn, self.k = case.network, case.drawn, frame.shape[1]
        d = len(frame)
        rest = torch.randn(d, d - self.k, generator=generator(0)).to(frame.device)
        self.rotation = orthogonal(nn.Linear(d, d, bias=False, device=frame.device), orthogonal_map="matrix_exp")
        self.rotation.weight = torch.linalg.qr(torch.cat([frame, rest], 1)).Q.T
        self.adam = torch.optim.Adam(self.rotation.parameters(), lr=1e-3)
        self.draws = generator(0, "draws")

    def steps(self, count: int) -> None:
        for _ in range(count):
            loss = self.loss(torch.randint(len(self.drawn), (BATCH,), generator=self.draws))
            self.adam.zero_grad()
            loss.backward()
            self.adam.step()

    def loss(self, index: Tensor) -> Tensor:
        drawn, cell = self.drawn, self.network.cell
        base, source = (
            self._state_at(tokens[index], at[index])
            for tokens, at in ((drawn.base, drawn.base_positions), (drawn.source, drawn.source_positions))
        )
        turned, theirs = self.rotation(base), self.rotation(source)
        swapped = torch.cat([theirs[:, : self.k], turned[:, self.k :]], 1)
        states = swapped @ self.rotation.weight
        continuation = drawn.continuation[index].to(states.device)
        drives, features = cell.token_inputs(), [states]
        for token in continuation[:, :-1].unbind(1):
            states = cell.step(states, drives[token])
            features.append(states)
        scored = drawn.determined[index].to(states.device)
        logits = self.network.readout(torch.stack(features, 1)[..., cell.output])
        return cross_entropy(logits[scored], continuation[scored])

    def _state_at(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """The network over the whole sequence, and its state at one position."""
        cell = self.network.cell
        drives, tokens = cell.token_inputs(), tokens.to(self.rotation.weight.device)
        states, after = drives.new_zeros(len(tokens), cell.width), []
        for token in tokens.unbind(1):
            states = cell.step(states, drives[token])
            after.append(states)
        return torch.stack(after, 1)[torch.arange(len(tokens)), positions]
