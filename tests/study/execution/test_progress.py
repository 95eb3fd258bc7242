"""The progress of each task, according to its file."""

import io
import re

import numpy as np
import pytest
from complete_records import complete

import minirobust as mr
from minirobust.study import StudyConfig, store
from minirobust.study.execution.progress import Progress, State, state
from minirobust.study.store import task_path

CONFIG = StudyConfig("digits", "mlp", (1 / 64, 2.0, 16.0), epochs=20)


@pytest.fixture
def write(tmp_path):
    net = mr.models.mlp(1.0, hidden=3)
    store.open_folder(tmp_path, CONFIG)

    def write(T, epochs, attacked=False, audited=False):
        robustness = np.zeros((epochs, 5, 10))
        robustness[:, 2] = 0.25  # at the main ε
        record = complete(
            CONFIG,
            T,
            0,
            epochs,
            attacked,
            audited,
            epochs_test_accuracy=0.5 + np.arange(epochs) / 100,
            epochs_robustness=robustness,
            timing_training=np.full(epochs, 2.0),
            timing_evaluation=np.full(epochs, 1.0),
        )
        store.write(task_path(tmp_path, T, 0), record, net, mr.Adam(net))

    return write


def test_state_shows_the_progress_of_each_task(write, tmp_path):
    write(1 / 64, 5)
    write(2.0, 20)
    first, second, third = (state(CONFIG, tmp_path, T, 0) for T in CONFIG.temperatures)
    assert (first.epoch, first.stage, first.accuracy, first.robustness) == (5, "epoch 5 of 20", 0.54, 0.25)
    assert first.seconds_left == 15 * 3.0
    assert " ".join(str(first).split()) == "T = 1/64 seed 0 epoch 5 of 20 accuracy 0.540 FGSM 0.250 45 s left"
    assert second.stage == "pixel attack"
    assert (third.stage, str(third)) == ("not begun", "T = 16     seed 0   not begun")
    write(2.0, 20, attacked=True)
    assert state(CONFIG, tmp_path, 2.0, 0).stage == "trained, not audited"
    write(2.0, 20, attacked=True, audited=True)
    assert state(CONFIG, tmp_path, 2.0, 0).stage == "done"


@pytest.mark.parametrize(
    ("seconds", "text"), [(99, "99 s left"), (100, "2 min left"), (5400, "90 min left"), (9000, "2.5 h left")]
)
def test_remaining_time_is_shown_in_seconds_minutes_or_hours(seconds, text):
    assert str(State(1.0, 0, 1, 2, False, False, 0.5, 0.5, seconds)).endswith(f"  {text}")


def test_plain_lines_appear_at_every_tenth_of_a_task(write, tmp_path):
    stream = io.StringIO()
    progress = Progress(CONFIG, tmp_path, stream=stream)
    progress.show()
    assert stream.getvalue() == ""
    for epoch in range(1, 6):
        write(2.0, epoch)
        progress.show()
        progress.show()
    assert [line.split()[6:9] for line in stream.getvalue().splitlines()] == [["2", "of", "20"], ["4", "of", "20"]]


def test_a_terminal_shows_a_table_in_place_of_the_last(write, tmp_path, terminal):
    with Progress(CONFIG, tmp_path, stream=terminal) as progress:
        progress.show()
        write(2.0, 4)
        before = len(terminal.getvalue())
        progress.show()
        drawn = terminal.getvalue()[before:]
    assert drawn.count("\x1b[1A") == 3  # three lines up
    header, _, second, _ = re.sub(r"\x1b\[[\d?]*\w", "", drawn).strip("\r").splitlines()
    assert header.split() == ["T", "seed", "state", "accuracy", "FGSM", "time", "left"]
    assert second.split()[:6] == ["2", "0", "epoch", "4", "of", "20"]
    assert terminal.getvalue().endswith("\x1b[?25h")  # the cursor is back, and the table stays


def test_quiet_prints_nothing(write, tmp_path):
    write(2.0, 20)
    stream = io.StringIO()
    Progress(CONFIG, tmp_path, quiet=True, stream=stream).show()
    assert stream.getvalue() == ""


def test_no_error_stream_is_quiet(write, tmp_path, monkeypatch):
    write(2.0, 20)
    monkeypatch.setattr("sys.stderr", None)
    Progress(CONFIG, tmp_path).show()


def test_each_line_is_shown_at_once(write, tmp_path):
    class Buffered(io.StringIO):
        shown = ""

        def flush(self):
            self.shown = self.getvalue()

    stream = Buffered()
    write(2.0, 10)
    Progress(CONFIG, tmp_path, stream=stream).show()
    assert "epoch 10 of 20" in stream.shown
