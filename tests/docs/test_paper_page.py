"""The page of the paper says what the stored tables of its studies decide."""

from benchmarks import paper_page


def test_the_claims_of_the_page_are_those_that_its_tables_decide():
    page = paper_page.PAGE.read_text(encoding="utf-8")
    assert page.partition(paper_page.HEADING)[2] == "\n" + paper_page.decided()


def test_a_copy_of_a_study_has_the_tables_that_decide_claims(tmp_path, monkeypatch):
    first = paper_page.studies()[0]
    monkeypatch.setattr(paper_page, "DATA", tmp_path)
    paper_page.add(first)
    copied = {path.relative_to(tmp_path / first.name): path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert copied == {path.relative_to(first): path.read_bytes() for path in first.rglob("*.*")}
