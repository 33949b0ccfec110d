"""Every engine, and any executor of the standard library's kind, stores the same results and outlives failing jobs."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from multiprocessing import active_children, get_context
from pathlib import Path

import pytest

from handful.errors import ConfigError, HandfulError
from handful.study import stages
from handful.study.engines import ENGINES, engine, run_jobs
from handful.study.plan import Plan, make_plan
from handful.study.run import put_inputs
from handful.study.stages import STAGES, Job
from handful.study.store import Store
from handful.study.study import Study
from tiny_study import digits, results, tiny

ExecutorOf = Callable[[str], AbstractContextManager[Executor]]
OTHERS = {
    "a plain pool of processes": lambda: ProcessPoolExecutor(1, mp_context=get_context("spawn")),
    "one thread": lambda: ThreadPoolExecutor(1),
}


@pytest.fixture(scope="module")
def local() -> Iterator[Executor]:
    with engine("local", 2) as executor:
        yield executor


@pytest.fixture
def executor_of(local: Executor) -> ExecutorOf:
    """A new executor by name, or the one of two processes that tests share, because starting them takes seconds."""
    return lambda name: nullcontext(local) if name == "local" else OTHERS[name]() if name in OTHERS else engine(name, 1)


def planned(study: Study, root: Path) -> tuple[Plan, Store]:
    """The plan of a study and a store with the pictures and splits it reads."""
    store = Store(root)
    plan = make_plan(study, store, budget=None, workers=1, device="cpu", timed=False, say=lambda line: None)
    put_inputs(plan, store)
    return plan, store


class Events:
    """What `run_jobs` told, as (stage, arm, event)."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def __call__(self, job: Job, what: str) -> None:
        self.told.append((job.stage, job.arm, what))

    def of(self, what: str) -> list[tuple[str, str]]:
        return [(stage, arm) for stage, arm, event in self.told if event == what]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of the tiny study, one job after another."""
    plan, store = planned(tiny(), tmp_path_factory.mktemp("expected") / "store")
    with engine("serial", 1) as executor:
        run_jobs(plan.jobs, executor, store)
    assert all(store.has(job.key) for job in plan.jobs)
    return results(store.root)


@pytest.mark.parametrize("name", [*ENGINES, *OTHERS])
def test_every_executor_stores_the_same_bytes(
    name: str, tmp_path: Path, expected: dict[str, bytes], executor_of: ExecutorOf
) -> None:
    plan, store = planned(tiny(), tmp_path / "store")
    events = Events()
    with executor_of(name) as executor:
        run_jobs(plan.jobs, executor, store, at_once=2, event=events)
        assert results(store.root) == expected
        again = Events()
        run_jobs(plan.jobs, executor, store, at_once=2, event=again)
    assert again.told == []
    assert len(events.of("finished")) == len(events.of("started")) == len(plan.jobs)
    assert all(store.seconds(job.key) > 0 for job in plan.jobs)


def test_a_job_starts_when_what_it_reads_is_there_and_not_before(tmp_path: Path) -> None:
    plan, store = planned(tiny(), tmp_path / "store")
    unmet: list[Job] = []

    def event(job: Job, what: str) -> None:
        if what == "started":
            unmet.extend([job] if not all(store.has(key) for key in job.inputs.values()) else [])

    with ThreadPoolExecutor(2) as executor:
        run_jobs(plan.jobs, executor, store, at_once=2, event=event)
    assert unmet == []
    assert all(store.has(job.key) for job in plan.jobs)


def test_no_more_jobs_are_handed_out_than_asked_for(tmp_path: Path) -> None:
    plan, store = planned(tiny(repeats=3), tmp_path / "store")
    running = [0]
    most = [0]

    def event(job: Job, what: str) -> None:
        running[0] += 1 if what == "started" else -1
        most[0] = max(most[0], running[0])

    with ThreadPoolExecutor(4) as executor:
        run_jobs(plan.jobs, executor, store, at_once=2, event=event)
    assert most[0] == 2
    assert running[0] == 0


def test_a_job_given_twice_runs_once(tmp_path: Path) -> None:
    plan, store = planned(tiny("baseline"), tmp_path / "store")
    twice = [replace(job, arm="another name", repeat=7) for job in plan.jobs]
    events = Events()
    with engine("serial", 1) as executor:
        run_jobs([*plan.jobs, *twice], executor, store, event=events)
    assert len(events.of("started")) == len(plan.jobs) == 4


def one_picture_to_mix() -> Study:
    """A study in which `interpolate` fails: class 'two' has one training picture."""
    return tiny("baseline", "interpolate", source=digits(12, 12, 3), val_fraction=0.2, repeats=2)


@pytest.mark.parametrize("name", list(ENGINES))
def test_a_failed_job_is_recorded_and_the_rest_goes_on(name: str, tmp_path: Path, executor_of: ExecutorOf) -> None:
    plan, store = planned(one_picture_to_mix(), tmp_path / "store")
    events = Events()
    with executor_of(name) as executor:
        run_jobs(plan.jobs, executor, store, at_once=2, event=events)
    assert events.of("failed") == [("synthetic", "interpolate")] * 2
    assert events.of("skipped") == [("classifier", "interpolate"), ("predictions", "interpolate")] * 2
    for job in plan.jobs:
        failure = store.failure(job.key)
        if job.stage == "synthetic":
            assert failure is not None
            assert failure["error"].startswith("DataError: class 'two' has 1 training picture")
            assert "Traceback (most recent call last)" in failure["traceback"]
            assert "in _make" in failure["traceback"]
            assert {key: failure[key] for key in job.to_json()} == job.to_json()
            assert not store.has(job.key)
        else:
            assert failure is None
            assert store.has(job.key) == (job.arm == "baseline" or job.stage == "generator")


def test_the_next_run_tries_a_failed_job_again(
    tmp_path: Path, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store = planned(tiny(), tmp_path / "store")
    calls = [0]

    def broken(*given: object) -> dict[str, object]:
        calls[0] += 1
        raise MemoryError("too many pictures")

    with monkeypatch.context() as patch, engine("serial", 1) as executor:
        patch.setitem(stages.STAGES, "generator", replace(STAGES["generator"], run=broken))
        run_jobs(plan.jobs, executor, store)
    assert calls == [2]
    assert not list((store.root / "aside").iterdir())
    finished = [job for job in plan.jobs if store.has(job.key)]
    assert {job.arm for job in finished} == {"baseline"}
    first = {path: path.stat().st_mtime_ns for path in (store.root / "results").rglob("*") if path.is_file()}
    failed = [job for job in plan.jobs if job.stage == "generator"]
    assert [store.failure(job.key)["error"] for job in failed] == ["MemoryError: too many pictures"] * 2
    with engine("serial", 1) as executor:
        run_jobs(plan.jobs, executor, store)
    assert [store.failure(job.key) for job in failed] == [None, None]
    assert results(store.root) == expected
    assert {path: path.stat().st_mtime_ns for path in first} == first


def kill_a_worker(known: set[int], stop: threading.Event) -> None:
    """Kill the first worker process that this one starts, while it is at work."""
    while not stop.is_set():
        new = [child for child in active_children() if child.pid not in known]
        if new:
            os.kill(new[0].pid, signal.SIGKILL)
            return
        time.sleep(0.01)


def test_a_killed_worker_is_a_failed_job_and_the_rest_goes_on(tmp_path: Path, expected: dict[str, bytes]) -> None:
    plan, store = planned(tiny(), tmp_path / "store")
    stop, events, before = threading.Event(), Events(), {child.pid for child in active_children()}
    killer = threading.Thread(target=kill_a_worker, args=(before, stop))
    killer.start()
    with engine("local", 1) as executor:
        run_jobs(plan.jobs, executor, store, event=events)
        stop.set()
        killer.join()
        ((stage, arm),) = events.of("failed")
        assert (stage, arm) == ("classifier", "baseline")
        (failed,) = [job for job in plan.jobs if store.failure(job.key) is not None]
        assert "its worker process died" in store.failure(failed.key)["error"]
        open_jobs = [job for job in plan.jobs if not store.has(job.key)]
        assert [job.stage for job in open_jobs] == ["classifier", "predictions"]
        assert {job.repeat for job in open_jobs} == {failed.repeat}
        run_jobs(plan.jobs, executor, store)
        assert {child.pid for child in active_children()} > before
    assert {child.pid for child in active_children()} == before  # an engine that is left has no worker
    assert store.failure(failed.key) is None
    assert results(store.root) == expected


def test_workers_are_gone_at_once_when_a_run_is_interrupted() -> None:
    started, before = time.monotonic(), set(active_children())

    def interrupted() -> None:
        with engine("local", 1) as executor:
            executor.submit(os.getpid).result()
            executor.submit(time.sleep, 60)
            time.sleep(0.2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    deadline = time.monotonic() + 10
    while set(active_children()) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not set(active_children()) - before
    assert time.monotonic() - started < 30


def test_an_unknown_engine_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"unknown engine 'lokal'; did you mean 'local'\? \(allowed: serial, local\)"):
        engine("lokal", 1).__enter__()


def test_an_error_that_is_no_job_s_stops_the_run(tmp_path: Path) -> None:
    plan, store = planned(tiny("baseline"), tmp_path / "store")
    (store.root / "store.json").write_text("{")
    with pytest.raises(HandfulError, match=r"store\.json: damaged"), engine("serial", 1) as executor:
        run_jobs(plan.jobs, executor, store)
