import pytest
from typer.testing import CliRunner

from symscope.cli import app
from symscope.report import ReportInputs, save_inputs


@pytest.fixture(scope="module")
def results(synthetic, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    save_inputs(ReportInputs("Results", synthetic.tables()), folder)
    return folder


def test_figures_of_a_folder_are_written_and_named(results):
    ended = CliRunner().invoke(app, ["figures", str(results), "--format", "svg, pdf", "--only", "iia_bars"])
    assert ended.exit_code == 0, ended.output
    names = ["iia_bars.svg", "iia_bars.pdf", "captions.md"]
    assert ended.output.split() == [str(results / "paper" / name) for name in names]
    assert sorted(path.name for path in (results / "paper").iterdir()) == sorted(names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "iia_barz"], "did you mean 'iia_bars'"),
        (["--format", "gif"], "give some of svg, png, pdf"),
        (["--columns", "4"], "1 or 2 columns"),
    ],
)
def test_invalid_options_are_refused(results, options, message):
    ended = CliRunner().invoke(app, ["figures", str(results), *options])
    assert ended.exit_code == 2
    assert message in ended.output


def test_a_folder_without_results_is_refused(tmp_path):
    ended = CliRunner().invoke(app, ["figures", str(tmp_path)])
    assert ended.exit_code == 2
    assert "holds no results" in ended.output
