"""The plain reference: distributed alignment search exactly as the paper describes it, without any optimisation.

At every step the network runs over the whole of base and source, token by token. The rotation is a full d x d matrix,
by matrix exponential. The output layer is computed at every position of the padded continuation.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.parametrizations import orthogonal

from benchmarks.cases import BATCH, Case
from symscope.interchange import StoppedInputs
from symscope.networks import RecurrentNetwork
from symscope.seeds import generator


class Plain:
    """A search in a recurrent network; it starts with a rotation whose first k axes are those of a frame."""

    def __init__(self, case: Case, frame: Tensor) -> None:
        assert isinstance(case.network, RecurrentNetwork)
        self.network, self.interventions, self.k = case.network, case.interventions, frame.shape[1]
        d = len(frame)
        rest = torch.randn(d, d - self.k, generator=generator(0)).to(frame.device)
        self.rotation = orthogonal(nn.Linear(d, d, bias=False, device=frame.device), orthogonal_map="matrix_exp")
        self.rotation.weight = torch.linalg.qr(torch.cat([frame, rest], 1)).Q.T
        self.adam = torch.optim.Adam(self.rotation.parameters(), lr=1e-3)
        self.draws = generator(0, "draws")

    def steps(self, count: int) -> None:
        for _ in range(count):
            loss = self.loss(torch.randint(len(self.interventions), (BATCH,), generator=self.draws))
            self.adam.zero_grad()
            loss.backward()
            self.adam.step()

    def loss(self, index: Tensor) -> Tensor:
        interventions, cell = self.interventions, self.network.cell
        (source,) = interventions.sources
        base_state, source_state = (self._stopped_state(runs, index) for runs in (interventions.base, source))
        rotated_base, rotated_source = self.rotation(base_state), self.rotation(source_state)
        swapped = torch.cat([rotated_source[:, : self.k], rotated_base[:, self.k :]], 1)
        states = swapped @ self.rotation.weight
        targets, fed = interventions.targets[index].to(states.device), interventions.fed[index].to(states.device)
        token_inputs, features = cell.token_inputs(), [states]
        for token in fed.unbind(1):
            states = cell.step(states, token_inputs[token])
            features.append(states)
        mask = interventions.target_mask[index].to(states.device)
        logits = self.network.readout(torch.stack(features, 1)[..., cell.output])
        return cross_entropy(logits[mask], targets[mask])

    def _stopped_state(self, runs: StoppedInputs, index: Tensor) -> Tensor:
        """The state at the stop; the network runs over the whole sequence."""
        cell, tokens = self.network.cell, runs.inputs[index].to(self.rotation.weight.device)
        token_inputs = cell.token_inputs()
        states, after = token_inputs.new_zeros(len(tokens), cell.width), []
        for token in tokens.unbind(1):
            states = cell.step(states, token_inputs[token])
            after.append(states)
        return torch.stack(after, 1)[torch.arange(len(tokens)), runs.position[index]]
