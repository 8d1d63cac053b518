"""The page in a real browser: it computes what torch computes, and what a reader does works."""

import copy
import json

import pytest
import torch
from tests.explorer.examples import CONSTRUCTED, KINDS, make_subject
from tests.report.browser import CHROMIUM, Page

import symscope as sc
from symscope.alignment.functions import subspace
from symscope.explorer import explore_subjects
from symscope.explorer.encoding import decode_array

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]

WIDE, PHONE = (1400, 1000), (390, 844)
INTERVENTIONS = 200
READY = """new Promise((done) => {
  const look = () => document.documentElement.dataset.mapped && done(true);
  new MutationObserver(look).observe(document.documentElement, { attributes: true });
  look();
})"""


def random_settings(subject, index, count, seed=0):
    """Settings of the page: any two stops of sequences of the task, any alignment, every way to write."""
    task, draws = subject.algorithm.task, sc.generator(seed, "explorer", "settings")
    drawn = [task.draw(task.draw_quantities(count, draws), draws) for _ in ("base", "source")]
    variables = [result.variable for result in subject.results.all]
    settings = []
    for row in range(count):
        entry = {"subject": index, "demos": int(torch.randint(4, (1,), generator=draws)), "value": None}
        for which, batch in zip(("base", "source"), drawn, strict=True):
            length = int(batch.lengths[row])
            entry[which] = batch.tokens[row, :length].tolist()
            entry[f"{which}Position"] = int(torch.randint(1, length - 1, (1,), generator=draws))
        alignment = int(torch.randint(len(variables), (1,), generator=draws))
        how = ("map", "map", "random", "rest", "whole", "none")[int(torch.randint(6, (1,), generator=draws))]
        special = how in ("whole", "none")
        variable = how if special else variables[alignment]
        settings.append({**entry, "alignment": alignment, "variable": variable, "how": "map" if special else how})
    return settings


def padded(rows):
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row, dtype=torch.long) for row in rows], batch_first=True)


def stopped(settings, which):
    tokens = padded([setting[which][: setting[f"{which}Position"] + 1] for setting in settings])
    return tokens, torch.tensor([setting[f"{which}Position"] for setting in settings])


def rewritten_state(subject, explorer, setting, base, source):
    """The state of one row, by the alignments of the results."""
    if setting["variable"] in ("whole", "none"):
        return source if setting["variable"] == "whole" else base
    alignments = subject.results.all[setting["alignment"]].alignments.values()
    if setting["how"] == "random":
        frame = decode_array(explorer.document["subjects"][0]["random"])
        k = sum(alignment.k for alignment in alignments)
        alignments = [subspace(frame[:, : min(k, frame.shape[1])])]
    if setting["how"] == "rest":
        base, source = source, base
    for alignment in alignments:
        base = alignment.to(base.dtype).swap(base, source)
    return base


def logits_along(network, state, tokens):
    """The logits before each of the tokens that a run continues with, from one call of torch."""
    mask = torch.arange(max(map(len, tokens))) < torch.tensor([len(row) for row in tokens])[:, None]
    logits = network.readout(network.resume(state, padded([row[:-1] for row in tokens]), mask))
    return logits.split([len(row) for row in tokens])


def check_prediction(algorithm, setting, subject, predicted):
    """The algorithm itself, with the overwritten values, allows each token of a prediction and then ends."""
    after = {
        which: algorithm.run(torch.tensor([setting[which][: setting[f"{which}Position"] + 1]]))
        for which in ("base", "source")
    }
    values, source = ({name: column[:, -1] for name, column in after[which].items()} for which in ("base", "source"))
    every = [variable.name for variable in algorithm.variables]
    if setting["variable"] in ("whole", "none"):
        taken = every if setting["variable"] == "whole" else []
    else:
        chosen = list(subject.results.all[setting["alignment"]].alignments)
        taken = [name for name in every if (name in chosen) != (setting["how"] == "rest")]
    values = {**values, **{name: source[name] for name in taken}}
    if predicted is None:  # at once, or after the free tokens
        fed = [algorithm.task.roles["demo"][0]] * setting["demos"] + [algorithm.task.trigger]
        for token in fed if algorithm.can_end(values) else ():
            values = algorithm.step(values, torch.tensor([token]))
        assert not algorithm.can_end(values)
        return
    for token in predicted:
        assert algorithm.next_token_mask(values)[0, token]
        values = algorithm.step(values, torch.tensor([token]))
    assert predicted[-1] == algorithm.task.vocabulary.eos


def torch_errors(network, subject, explorer, settings, swaps):
    """The largest difference of a logit after swaps; continuations with and without the swap must be equal."""
    site = subject.results.all[0].site
    state = network.run_until(*stopped(settings, "base"), site)
    sources = network.states_at(*stopped(settings, "source"), site)
    parts = zip(settings, state.states.split(1), sources.split(1), strict=True)
    rewritten = state.rewrite(torch.cat([rewritten_state(subject, explorer, *part) for part in parts]))
    worst = 0.0
    for run, tokens, fed in ((rewritten, "produced", "fed"), (state, "unswapped", "fedUnswapped")):
        for swap, logits in zip(swaps, logits_along(network, run, [swap[tokens] for swap in swaps]), strict=True):
            free = ~torch.tensor(swap[fed])
            assert (logits.argmax(1) == torch.tensor(swap[tokens]))[free].all()
            if tokens == "produced":
                of_page = torch.tensor(swap["logits"], dtype=torch.float64)
                worst = max(worst, float((of_page - logits).abs().max()))
    return worst


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_the_page_computes_what_torch_computes(kind, tmp_path):
    subject = make_subject(kind)
    network = subject.network
    explorer = explore_subjects([subject], tmp_path / "page.html")
    settings = random_settings(subject, 0, INTERVENTIONS)
    with Page(tmp_path) as page:
        page.open(tmp_path / "page.html")
        assert page.value(READY)
        swaps = page.value(f"{json.dumps(settings)}.map((setting) => symscopeExplorer.intervene(setting))")
        assert page.said == []
    # Single precision is coarser than 1e-4 where logits of constructed networks are sums of terms of up to 1e4.
    single = torch_errors(network, subject, explorer, settings, swaps)
    double = torch_errors(copy.deepcopy(network).double(), subject, explorer, settings, swaps)
    assert double < 1e-4
    assert kind in CONSTRUCTED or single < 1e-4
    for setting, swap in list(zip(settings, swaps, strict=True))[:40]:
        check_prediction(subject.algorithm, setting, subject, swap["predicted"])
