"""A page with several tasks and algorithms: every network of it is opened, every variable and subspace is chosen."""

import pytest
from tests.explorer.examples import make_result, random_projector
from tests.report.browser import CHROMIUM, Page

import symscope as sc
from symscope.alignment import Results
from symscope.explorer import Subject, explore_subjects

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]

PAIRS = [
    ("multi-object-void", "up-down"), ("square", "up-down-square"), ("same-object", "up-up"),
    ("modulo", "up-down-modulo"), ("single-object", "ctx-distr"), ("single-object", "increment"),
]  # fmt: skip

WALK = """(async () => {
  const options = (id) => [...document.getElementById(id).options].map((option) => option.value);
  const choose = (id, value) => {
    const select = document.getElementById(id);
    select.value = value;
    select.dispatchEvent(new Event("change"));
    return document.getElementById("message").textContent;
  };
  const pause = () => new Promise((done) => setTimeout(done, 30));
  const said = [];
  let seen = 0;
  for (const subject of options("subject")) {
    said.push(choose("subject", subject));
    for (const variable of options("variable")) {
      said.push(choose("variable", variable));
      for (const how of variable.startsWith("v") ? options("how") : []) said.push(choose("how", how));
      document.getElementById("random").click();
      await pause();
      seen += 1;
    }
  }
  return { seen, said: said.filter((text) => text !== "") };
})()"""


def arithmetic():
    task = sc.make_task("arithmetic", largest_total=6, quantities=range(1, 4), held_out=())
    algorithm = sc.make_algorithm("running-total", task)
    network = sc.make_network("transformer-nope", 8, len(task.vocabulary), sc.generator(0), layers=1).eval()
    results = [
        make_result(variable.name, {variable.name: random_projector(8, 2, sc.generator(0))}, "layer1", algorithm.name)
        for variable in algorithm.variables
    ]
    return Subject("arithmetic", network, algorithm, Results(results))


def of_task(name, algorithm):
    task = sc.make_task(name, quantities=range(1, 7), held_out=())
    network = sc.make_network("gru", 16, len(task.vocabulary), sc.generator(0)).eval()
    results = [
        make_result(variable.name, {variable.name: random_projector(16, 3, sc.generator(0))}, "h", algorithm)
        for variable in sc.make_algorithm(algorithm, task).variables
    ]
    return Subject(f"{name}, {algorithm}", network, sc.make_algorithm(algorithm, task), Results(results))


def test_every_task_and_algorithm_is_explored(tmp_path):
    subjects = [*(of_task(*pair) for pair in PAIRS), arithmetic()]
    explore_subjects(subjects, tmp_path / "page.html")
    with Page(tmp_path, (1400, 1000)) as page:
        page.open(tmp_path / "page.html")
        walked = page.value(WALK)
        assert page.said == []
        assert walked["said"] == []
        assert walked["seen"] == sum(len(subject.algorithm.variables) + 2 for subject in subjects)
        assert page.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
