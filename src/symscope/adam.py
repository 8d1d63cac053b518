"""Adam (Kingma & Ba 2015) without weight decay, by torch's fused kernel.

The same numbers as `torch.optim.Adam(fused=True)`, which imports torch's compiler when it is constructed: about one
second in every process.
"""

from collections.abc import Iterable, Mapping
from typing import final

import torch
from torch import Tensor, nn

fused_adam = torch.ops.aten._fused_adam_  # the kernel has no public name
BETAS, EPSILON = (0.9, 0.999), 1e-8


@final
class Adam:
    """Moving averages of the gradients of some parameters, and the steps made with them.

    Args:
        parameters: what is trained.

    Attributes:
        state: for each parameter that has had a gradient the averages `exp_avg` and `exp_avg_sq`, and the number of
            its steps as the tensor `step`; entries may be set.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.state: list[Mapping[str, Tensor]] = [{} for _ in self.parameters]

    def zero_grad(self) -> None:
        """Removes all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Makes one step; a parameter without a gradient stays as it is."""
        groups: dict[tuple[torch.device, torch.dtype], list[tuple[Tensor, ...]]] = {}
        for number, parameter in enumerate(self.parameters):
            if parameter.grad is None:
                continue
            state = self.state[number]
            if not state:
                steps = torch.zeros((), dtype=torch.float32, device=parameter.device)
                averages = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                state = self.state[number] = {**averages, "step": steps}
            state["step"].add_(1)
            tensors = (parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"], state["step"])
            groups.setdefault((parameter.device, parameter.dtype), []).append(tensors)
        for same in groups.values():
            parameters, gradients, averages, squares, steps = map(list, zip(*same, strict=True))
            fused_adam(
                parameters, gradients, averages, squares, [], steps,
                lr=learning_rate, beta1=BETAS[0], beta2=BETAS[1], weight_decay=0.0, eps=EPSILON,
                amsgrad=False, maximize=False,
            )  # fmt: skip
