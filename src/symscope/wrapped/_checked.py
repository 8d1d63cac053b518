"""A network that checks each site at its first use."""

from abc import ABC
from collections.abc import Callable

import torch
from torch import Tensor

from symscope.checks import check_natural_runs, check_network
from symscope.errors import BrokenLawError
from symscope.networks import Network, evaluation_mode

ROUNDING = 1e-4
"""Largest difference between the logits of a network and of its module, as a share of the largest logit."""


@torch.no_grad()
def check_logits(network: Network, original: Callable[[Tensor], Tensor], inputs: Tensor | None = None) -> None:
    """Raises `BrokenLawError` where the logits of a network differ from those of the module that it wraps.

    Args:
        network: the network.
        original: from inputs to the logits of the module.
        inputs: inputs to compare on; default: a few token ids.
    """
    if inputs is None:
        inputs = (torch.arange(10) % network.vocabulary).reshape(2, 5)
    inputs = inputs.to(network.device)
    with evaluation_mode(network):
        logits, expected = network(inputs).float(), original(inputs).float()
    scale = expected.abs().max().clamp(min=1)
    if logits.shape != expected.shape:
        raise BrokenLawError(f"the network's logits are {tuple(logits.shape)}, the module's {tuple(expected.shape)}")
    difference = float((logits - expected).abs().max())
    if not difference <= max(ROUNDING, 16 * torch.finfo(network.dtype).eps) * scale:
        raise BrokenLawError(f"the network's logits differ from those of its module, by up to {difference:.3g}")


class CheckedNetwork(Network, ABC):
    """Base class of adapters: a site passes `check_network` at its first use, or the use is refused.

    Of sites that share their code (`kind_of_site`) one is checked completely, and the others by natural runs.
    A subclass calls `super().__init__()` and must call `check_site` wherever a caller names a site.
    """

    def __init__(self) -> None:
        super().__init__()
        self._checked: set[str] = set()

    def kind_of_site(self, site: str) -> str:
        """What the sites that are read and rewritten by the same code have in common; default: nothing."""
        return site

    def check_site(self, site: str) -> None:
        """Raises `UnknownNameError` when there is no such site, and `BrokenLawError` when it breaks a law."""
        super().check_site(site)
        if site in self._checked:
            return
        kinds = {self.kind_of_site(checked) for checked in self._checked}
        self._checked.add(site)  # the check itself uses the site
        try:
            if self.kind_of_site(site) in kinds:
                check_natural_runs(self, site)
            else:
                check_network(self, sites=[site])
        except BaseException:
            self._checked.discard(site)
            raise
