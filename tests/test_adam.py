"""Adam against `torch.optim.Adam`, and a program that searches does not import torch's compiler."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from symscope.adam import Adam


def parameters() -> list[nn.Parameter]:
    draws = torch.Generator().manual_seed(0)
    made = [torch.randn(shape, generator=draws) for shape in ((5, 3), (7,), (2, 2))]
    return [nn.Parameter(tensor) for tensor in [*made, torch.randn(4, dtype=torch.double, generator=draws)]]


@pytest.mark.parametrize("fused", [True, False])
def test_the_steps_are_those_of_torch(fused):
    ours, theirs = parameters(), parameters()
    adam, reference = Adam(ours), torch.optim.Adam(theirs, fused=fused)
    draws = torch.Generator().manual_seed(1)
    for step in range(20):
        rate = 0.1 / (1 + step)
        for group in reference.param_groups:
            group["lr"] = rate
        adam.zero_grad()
        reference.zero_grad()
        for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            if number != 2 or step > 5:  # one parameter has no gradient at first
                mine.grad = torch.randn(mine.shape, generator=draws, dtype=mine.dtype)
                other.grad = mine.grad.clone()
        adam.step(rate)
        reference.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=0 if fused else 1e-6, atol=0 if fused else 1e-7)


def test_a_declaration_a_training_and_a_search_do_not_import_the_compiler():
    program = """
import sys
import symscope as sc
from symscope.studies import preset
preset("zoo")
print("torch._dynamo" in sys.modules or "sympy" in sys.modules)
task = sc.make_task("multi-object", quantities=range(1, 4), held_out=())
network = sc.make_network("gru", 4, len(task.vocabulary), sc.generator(0))
sc.train(network, task, 0, sc.TrainingOptions(epochs=1, batch=4, validate_each=2))
data = sc.counterfactuals(sc.make_algorithm("up-down", task), "count", n_train=20, n_validation=20, n_test=20)
sc.evaluate(sc.fit(network, data, 1, options=sc.SearchOptions(steps=2, batch=4)))
print("torch._dynamo" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"], run.stderr
