import re
import struct
import zlib
from xml.etree import ElementTree as ET

import pytest

from symscope.errors import InvalidArgumentError, StoreError, UnknownNameError
from symscope.figures import draw_figures, iia_bars, save_paper_figure, save_paper_figures
from symscope.figures.save import COLUMNS
from symscope.figures.theme import chart_spec


def pdf_text(path):
    """Everything in a PDF, its packed streams unpacked."""
    raw = path.read_bytes()
    parts = [raw]
    for packed in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", raw, re.DOTALL):
        try:
            parts.append(zlib.decompress(packed))
        except zlib.error:
            continue  # a stream that is not packed
    return b"\n".join(parts)


def page_size(path):
    """Width and height in inches."""
    box = re.search(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)", pdf_text(path))
    return tuple(float(side) / 72 for side in box.groups())


@pytest.fixture(scope="module")
def tables(synthetic):
    return {
        "scores": synthetic.scores(),
        "trial_accuracy": synthetic.trial_accuracy(),
        "training": synthetic.training(),
    }


@pytest.fixture(scope="module", params=COLUMNS)
def drawn(request, tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    return request.param, folder, save_paper_figures(tables, folder, columns=request.param)


def test_every_figure_is_as_wide_as_its_column_at_most(drawn, tables):
    columns, folder, paths = drawn
    names = list(draw_figures(tables))
    assert [path.name for path in paths] == [
        *(f"{name}.{ending}" for name in names for ending in ("svg", "png", "pdf")),
        "captions.md",
    ]
    widths = [page_size(folder / f"{name}.pdf")[0] for name in names]
    assert all(2 < width <= COLUMNS[columns].inches + 0.01 for width in widths)
    assert max(widths) > COLUMNS[columns].inches - 0.2


def test_three_formats_of_a_figure_have_one_size(drawn):
    _, folder, _ = drawn
    width, height = page_size(folder / "iia_bars.pdf")
    root = ET.parse(folder / "iia_bars.svg").getroot()
    assert [float(root.get(side).removesuffix("in")) for side in ("width", "height")] == pytest.approx(
        [width, height], abs=0.01
    )
    pixels = struct.unpack(">II", (folder / "iia_bars.png").read_bytes()[16:24])
    assert pixels == pytest.approx((300 * width, 300 * height), abs=2)


def test_fonts_are_embedded_and_titles_left_out(drawn, tables):
    _, folder, _ = drawn
    for path in folder.glob("*.pdf"):
        text = pdf_text(path)
        assert re.search(rb"/FontFile[23]?\b", text), path.name
        assert len(re.findall(rb"/BaseFont", text)) >= 1
    for name, chart in draw_figures(tables).items():
        svg = (folder / f"{name}.svg").read_text()
        assert f">{chart_spec(chart)['title']['text']}</text>" not in svg
        assert chart_spec(chart)["title"]["text"] in (folder / "captions.md").read_text()


def test_some_figures_and_formats_are_written_alone(tables, tmp_path):
    paths = save_paper_figures(tables, tmp_path, formats=["svg"], only=["iia_bars", "training"])
    assert [path.name for path in paths] == ["iia_bars.svg", "training.svg", "captions.md"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["captions.md", "iia_bars.svg", "training.svg"]


def test_what_cannot_be_written_is_refused_before_anything_is(tables, synthetic, tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"\['jpg'\]; give some of svg, png, pdf"):
        save_paper_figures(tables, tmp_path, formats=["svg", "jpg"])
    with pytest.raises(InvalidArgumentError, match="1 or 2 columns of text, got 3"):
        save_paper_figures(tables, tmp_path, columns=3)
    with pytest.raises(UnknownNameError, match="did you mean 'iia_bars'"):
        save_paper_figures(tables, tmp_path, only=["training", "iia_bar"])
    with pytest.raises(InvalidArgumentError, match="no figure"):
        save_paper_figures({}, tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        save_paper_figure(iia_bars(synthetic.scores()), tmp_path / "file", "inside")
