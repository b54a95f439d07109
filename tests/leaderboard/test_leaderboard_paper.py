"""What goes into a paper: ranked rows alone, once each."""

from __future__ import annotations

from boards import AUC, board, entry, full_board, group, results, table

from handbench.leaderboard.paper import MAX_ROWS, bibtex, paper_text


def test_only_ranked_rows_go_into_a_paper() -> None:
    found = paper_text(full_board().groups[0].tables[0])
    assert found is not None
    assert found.rows == 2
    for text in (found.latex, found.markdown):
        assert "SRHand" in text
        assert "ResNet-18" in text
        assert "MediaPipe" not in text
        assert "HandOld" not in text
    assert "≈" in found.markdown


def test_nothing_ranked_is_no_table() -> None:
    assert paper_text(table([entry(results("net", {AUC: 0.5}))], unranked={0: "why"})) is None


def test_a_long_table_is_cut_and_a_name_stands_once() -> None:
    entries = [entry(results(f"net {k // 2}", {AUC: 0.9 - k / 200})) for k in range(80)]
    found = paper_text(table(entries))
    assert found is not None
    assert found.rows == MAX_ROWS // 2
    assert found.markdown.count("| net 3 |") == 1
    assert "| net 3 | 0.870 |" in found.markdown  # the better one of both called net 3


def test_a_model_cites_what_it_rests_on() -> None:
    shown = board([group([table([entry(results("net", {AUC: 0.5}))])])])
    text = bibtex(shown.models[0])
    assert "tested on freihand test" in text
    assert "@inproceedings" in text.lower()
    assert "handbench" in text
