"""What identifies a network: its architecture and a hash of its weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch

from symscope.networks.base import Network


@dataclass(frozen=True)
class NetworkIdentity:
    """Identity of a trained network, which a file keeps with the alignments that were found in it.

    Attributes:
        architecture: class and sizes of the network.
        weights: hash of all weights.
    """

    architecture: str
    weights: str

    @classmethod
    def of(cls, network: Network) -> NetworkIdentity:
        """The identity of a network; it reads all weights, about a second for each gigabyte."""
        return cls(network.architecture, tensors_digest(network))

    def mismatch(self, network: Network) -> str:
        """How a network differs from this identity, as the end of a sentence; empty if it is the same."""
        other = NetworkIdentity.of(network)
        if self.architecture != other.architecture:
            return f"a network of another architecture: {self.architecture}, not {other.architecture}"
        if self.weights != other.weights:
            return f"a network of the same architecture with other weights (hash {self.weights}, not {other.weights})"
        return ""


def tensors_digest(network: Network) -> str:
    """Hash of the architecture, and of the names, types, shapes and values of all weights of a network."""
    digest = hashlib.sha256(network.architecture.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:20]
