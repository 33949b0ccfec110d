"""`kill -9` at any moment, then the same command: the results of an undisturbed run, and nothing computed twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import handful
from handful import read_study
from tiny_study import STUDY_FILE, results, write_study

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

LONG = 40  # steps of a classifier's fit
# runs in every process, workers included: frequent checkpoints; a line for every fit that is taken up again; and a fit
# that has saved one waits to be killed once the results that KILL_TEST_HOLD names are there
FREQUENT = """
import os
import time

if os.environ.get("KILL_TEST_LOG"):
    from handful.nn import train

    train.How.__init__.__defaults__ = ("cpu", None, 0.005, False, None)
    resume = train._Loop.resume

    def _resume(self, path, *given):
        made = resume(self, path, *given)
        with open(os.environ["KILL_TEST_LOG"], "a") as log:
            log.write(f"{path.name} {made.step}\\n")
        return made

    save = train._Loop.save

    def _save(self, path, *given):
        save(self, path, *given)
        done = len(list(path.parent.parent.glob("results/*/*/record.json"))) - 3  # pictures and two splits are no jobs
        if done >= int(os.environ["KILL_TEST_HOLD"]):
            time.sleep(60)

    train._Loop.resume, train._Loop.save = _resume, _save
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
    def started(self, hold: int = 99) -> Iterator[subprocess.Popen[bytes]]:
        environment = {**self.environment, "KILL_TEST_HOLD": str(hold)}
        process = subprocess.Popen(
            self.argv, env=environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # whatever a failing test leaves
            process.communicate()

    def killed(self, done: int, in_a_fit: bool) -> None:
        """Start it and kill the parent alone when so many jobs are done; if asked to, in a fit with a checkpoint."""
        with self.started(done if in_a_fit else 99) as process:
            deadline = time.monotonic() + 60
            while not self.store.exists() or self.jobs_done() < done or (in_a_fit and not self.checkpoints()):
                assert process.poll() is None, f"it ended before: {process.communicate()[0].decode()}"
                assert time.monotonic() < deadline
                time.sleep(0.01)
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
        """Results but for the pictures and the two splits."""
        return max(0, len(list(self.store.glob("results/*/*"))) - 3)

    def checkpoints(self) -> list[str]:
        return [path.name for path in self.store.glob("checkpoints/*") if path.suffix != ".part"]

    def times(self) -> dict[Path, tuple[int, int]]:
        """Inode and time of change of every finished file."""
        found = (path for path in (self.store / "results").rglob("*") if path.is_file())
        return {path: ((stat := path.stat()).st_ino, stat.st_mtime_ns) for path in found}


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
    handful.run(read_study(folder / "study.toml"), folder / "undisturbed", budget=None, engine="serial", device="cpu")
    return results(folder / "undisturbed")


@pytest.mark.parametrize(("engine", "moments"), [("serial", (0, 1, 3, 6)), ("local", (3,))])
def test_a_killed_run_goes_on_to_the_results_of_an_undisturbed_one(
    folder: Path, undisturbed: dict[str, bytes], engine: str, moments: tuple[int, ...]
) -> None:
    command = Command(folder, f"killed-{engine}", engine)
    before: dict[Path, tuple[int, int]] = {}
    for moment in moments:
        command.killed(moment, in_a_fit=moment == moments[-1])
        after = command.times()
        assert {path: after[path] for path in before} == before
        before = after
    assert moments[-1] <= command.jobs_done() < 12
    (stopped, *_) = command.checkpoints()
    command.finished()
    assert results(command.store) == undisturbed
    after = command.times()
    assert {path: after[path] for path in before} == before
    resumed = dict(line.split() for line in command.log.read_text().splitlines())
    assert 0 < int(resumed[stopped]) < LONG
    assert not command.checkpoints()
    assert not list((command.store / "aside").iterdir())
