"""One progress bar, only on a terminal, which disappears when the work is done."""

import io
import re
import subprocess
import sys
from contextlib import redirect_stderr

import pytest

from minirobust.progress import counted, progress_bar


def frames(written):
    """What the line showed, one drawing after the other."""
    text = re.sub(r"\x1b\[[?\d]*[a-zA-Z]", "", written)
    return [frame.strip() for frame in text.split("\r") if "samples" in frame]


def counts(shown):
    """How far the bar was in each drawing."""
    return [word for frame in shown for word in frame.split() if "/" in word]


def test_the_bar_counts(terminal):
    with redirect_stderr(terminal), progress_bar(2_000, "pgd") as bar:
        bar.advance(500)
        bar.advance(1_500)
    shown = frames(terminal.getvalue())
    assert counts(shown)[:3] == ["0/2,000", "500/2,000", "2,000/2,000"]
    assert all(frame.startswith("pgd ") and len(frame) <= 80 for frame in shown)


def test_the_text_can_change_and_is_escaped(terminal):
    with redirect_stderr(terminal), progress_bar(2, "audit: FGSM") as bar:
        bar.text = "audit: [bold]\x1b[2J"
        assert bar.text == "audit: [bold]\\x1b[2J"
    assert frames(terminal.getvalue())[1].startswith("audit: [bold]\\x1b[2J ")


def test_the_bar_is_removed_at_the_end_and_by_an_error(terminal):
    with pytest.raises(KeyboardInterrupt), redirect_stderr(terminal), progress_bar(2, "pgd"):
        raise KeyboardInterrupt
    assert terminal.getvalue().rstrip("\r\n").endswith("\x1b[1A\x1b[2K")
    with redirect_stderr(terminal), progress_bar(2, "again"):
        pass
    assert "again" in terminal.getvalue()


def test_a_bar_under_a_bar_is_not_shown(terminal):
    with redirect_stderr(terminal), progress_bar(2, "audit") as bar:
        with progress_bar(5, "pgd") as inner:
            inner.advance(5)
            inner.text = "apgd"
        bar.advance(2)
    assert "2/2 samples" in terminal.getvalue()
    assert "pgd" not in terminal.getvalue()


def test_chunks_are_counted_by_their_samples(terminal):
    with redirect_stderr(terminal):
        assert list(counted(iter([slice(0, 3), slice(3, 5)]), 5, "pgd", shown=True)) == [slice(0, 3), slice(3, 5)]
    assert counts(frames(terminal.getvalue()))[:3] == ["0/5", "3/5", "5/5"]


def test_bar_is_removed_when_the_loop_over_chunks_ends(terminal):
    def interrupted():
        for _ in counted([slice(0, 3)], 5, "pgd", shown=True):
            raise KeyboardInterrupt

    with redirect_stderr(terminal), pytest.raises(KeyboardInterrupt):
        interrupted()
    assert terminal.getvalue().rstrip("\r\n").endswith("\x1b[1A\x1b[2K")


def test_results_printed_under_a_bar_go_to_the_output(terminal, capsys):
    with redirect_stderr(terminal), progress_bar(2, "audit"):
        print("result")
    assert capsys.readouterr().out == "result\n"
    assert "result" not in terminal.getvalue()


def test_the_cursor_is_visible_for_a_debugger(terminal):
    with redirect_stderr(terminal), progress_bar(2, "audit"):
        assert terminal.getvalue().rindex("\x1b[?25h") > terminal.getvalue().rindex("\x1b[?25l")


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_without_a_terminal_nothing_is_shown(stream):
    with redirect_stderr(stream), progress_bar(2, "audit") as bar:
        bar.advance()
        bar.text = "more"
    assert stream is None or stream.getvalue() == ""


def test_bar_is_shown_only_on_request(terminal):
    with redirect_stderr(terminal), progress_bar(2, "audit", shown=False) as bar:
        bar.advance()
    assert terminal.getvalue() == ""


def test_rich_is_imported_for_a_bar_that_is_shown_only():
    code = """
import sys
from minirobust.progress import progress_bar
with progress_bar(2, "audit") as bar:
    bar.advance()
assert "rich" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.PIPE)
