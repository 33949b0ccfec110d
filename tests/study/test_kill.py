"""`kill -9` at any moment, then the same command: the results of an undisturbed run, and nothing computed twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_study import STUDY_FILE, results, write_study

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

LONG = 400  # steps of a fit, so that there is a checkpoint while it runs
# stands in every process, workers included: frequent checkpoints, and a line for every fit that is taken up again
FREQUENT = """
import os
import sys

if os.environ.get("KILL_TEST_LOG"):
    from handful.nn import train

    train.How.__init__.__defaults__ = ("cpu", None, 0.02, None)
    resume = train._resume

    def _resume(path, *given):
        made = resume(path, *given)
        with open(os.environ["KILL_TEST_LOG"], "a") as log:
            log.write(f"{path.name[:64]} {made[0].step}\\n")
        return made

    train._resume = _resume
"""


class Command:
    """`handful run` on one study, in a session of its own."""

    def __init__(self, folder: Path, store: str, engine: str) -> None:
        self.store, self.log = folder / store, folder / f"{store}.log"
        self.log.touch()
        self.argv = [sys.executable, "-m", "handful", "run", str(folder / "study.toml"), "-o", str(self.store)]
        self.argv += ["--engine", engine, "--workers", "2", "--device", "cpu", "--budget", "0"]
        path = os.pathsep.join([str(folder), *sys.path])
        self.environment = {**os.environ, "PYTHONPATH": path, "KILL_TEST_LOG": str(self.log), "OMP_NUM_THREADS": "1"}

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            self.argv, env=self.environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def killed_when(self, reached: Callable[[], bool]) -> None:
        """Start it and kill it, the parent alone, as soon as something is reached."""
        with self.started() as process:
            deadline = time.monotonic() + 60
            while not reached():
                assert process.poll() is None, f"it ended before: {process.communicate()[0].decode()}"
                assert time.monotonic() < deadline
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert process.returncode == -signal.SIGKILL
        assert gone(process.pid), f"workers are left: {in_session(process.pid)}"

    def finished(self) -> None:
        with self.started() as process:
            output, _ = process.communicate(timeout=90)
        assert process.returncode == 0, output.decode()
        assert gone(process.pid)

    def jobs_done(self) -> int:
        """Results of jobs: a classifier, a generator or what is made with one."""
        files = ("classifier.json", "generator.json", "ledger.npz")
        made = {path.parent for name in files for path in self.store.glob(f"results/*/*/{name}")}
        return len(made | {path.parent for path in self.store.glob("results/*/*/arrays.npz") if predicts(path)})

    def checkpoints(self) -> list[str]:
        return [path.name for path in self.store.glob("checkpoints/*") if len(path.name) == 64]

    def times(self) -> dict[Path, tuple[int, int]]:
        """Inode and time of change of every finished file."""
        found = (path for path in (self.store / "results").rglob("*") if path.is_file())
        return {path: ((stat := path.stat()).st_ino, stat.st_mtime_ns) for path in found}


def predicts(path: Path) -> bool:
    return '"stage": "predictions"' in (path.parent / "record.json").read_text()


def in_session(session: int) -> list[int]:
    """Living processes of a session, from /proc."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            state, _, _, its_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if entry.name.isdigit() and its_session == str(session) and state not in "ZX":
            found.append(int(entry.name))
    return found


def gone(session: int, seconds: float = 8) -> bool:
    deadline = time.monotonic() + seconds
    while in_session(session) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not in_session(session)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill")
    (folder / "sitecustomize.py").write_text(FREQUENT)
    long = STUDY_FILE.replace(
        "view = {size = 8}\ntraining = {steps = 4,", f"view = {{size = 8}}\ntraining = {{steps = {LONG},"
    )
    assert long != STUDY_FILE
    write_study(folder, long)
    return folder


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict[str, bytes]:
    command = Command(folder, "undisturbed", "serial")
    command.finished()
    assert command.log.read_text() == ""
    assert not command.checkpoints()
    return results(command.store)


@pytest.mark.parametrize(("engine", "moments"), [("serial", (0, 1, 3, 6)), ("local", (0, 3))])
def test_a_killed_run_goes_on_to_the_results_of_an_undisturbed_one(
    folder: Path, undisturbed: dict[str, bytes], engine: str, moments: tuple[int, ...]
) -> None:
    command = Command(folder, f"killed-{engine}", engine)
    before: dict[Path, tuple[int, int]] = {}
    for moment in moments:
        reached = (lambda: command.store.exists()) if moment == 0 else (lambda num=moment: command.jobs_done() >= num)
        command.killed_when(reached)
        after = command.times()
        assert {path: after[path] for path in before} == before
        before = after
    num = command.jobs_done()
    assert moments[-1] <= num < 12
    command.killed_when(lambda: command.jobs_done() >= num and bool(command.checkpoints()))
    (stopped, *_) = command.checkpoints()
    before |= command.times()
    command.finished()
    assert results(command.store) == undisturbed
    after = command.times()
    assert {path: after[path] for path in before} == before
    resumed = dict(line.split() for line in command.log.read_text().splitlines())
    assert 0 < int(resumed[stopped]) < LONG
    assert not command.checkpoints()
    assert not list((command.store / "aside").iterdir())
