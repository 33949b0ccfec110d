"""Running jobs: one after another here, or on processes; any executor of the standard library's kind will do."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for
from typing import Any, TypeVar

from handful.errors import ConfigError, unknown
from handful.study.stages import Job, run_job
from handful.study.store import Store

T = TypeVar("T")
Event = Callable[[Job, str], None]


def run_jobs(
    jobs: Sequence[Job],
    executor: Executor,
    store: Store,
    *,
    device: str = "cpu",
    at_once: int = 1,
    event: Event | None = None,
) -> None:
    """Run jobs whose inputs are there, in order, until none is left that can run.

    A job that fails is a record in the store; what needs its result stays open, and the rest goes on.

    Args:
        jobs: each key once or more; a job comes after those whose results it reads.
        executor: where `run_job` is called; with processes they are its workers.
        at_once: jobs handed out at a time.
        event: called with a job and `started`, `finished`, `failed` or `skipped`.
    """
    tell = event if event is not None else (lambda job, what: None)
    waiting = list({job.key: job for job in jobs if not store.has(job.key)}.values())
    made_here, lost = {job.key for job in waiting}, set[str]()
    running: dict[Future[str | None], Job] = {}
    while waiting or running:
        for job in list(waiting):
            unmet = [key for key in job.inputs.values() if key in made_here and not store.has(key)]
            if any(key in lost for key in unmet):
                waiting.remove(job)
                lost.add(job.key)
                tell(job, "skipped")
            elif not unmet and len(running) < at_once:
                waiting.remove(job)
                tell(job, "started")
                running[_submitted(executor, store, job, device)] = job
        if not running:
            continue
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            job = running.pop(future)
            if _result(future, job, store) is None:
                lost.add(job.key)
                tell(job, "failed")
            else:
                tell(job, "finished")


def _submitted(executor: Executor, store: Store, job: Job, device: str) -> Future[str | None]:
    try:
        return executor.submit(run_job, str(store.root), job.to_json(), device)
    except BrokenExecutor as error:  # a pool that is not ours and does not mend itself
        broken: Future[str | None] = Future()
        broken.set_exception(error)
        return broken


def _result(future: Future[str | None], job: Job, store: Store) -> str | None:
    try:
        return future.result()
    except BrokenExecutor:
        why = "its worker process died (out of memory, or killed); run again to retry it"
        store.fail(job.key, {**job.to_json(), "error": why, "traceback": ""})
        return None


class SerialExecutor(Executor):
    """Runs each call at once, in this process."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class LocalExecutor(Executor):
    """Processes on this machine that die with this one; a broken pool is replaced.

    Workers are spawned and never import the caller's `__main__`, so that a script needs no guard.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        with _without_main(), _one_thread():
            if self._pool is not None:
                try:
                    return self._pool.submit(fn, *args, **kwargs)
                except BrokenProcessPool:
                    self._pool.shutdown()
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_die_with_parent)
            return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)


def _die_with_parent() -> None:
    """End this worker as soon as the process that started it is gone, even by `kill -9`."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="handful-parent-watch").start()


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the caller's script while workers start: jobs are functions of handful and need nothing of it."""
    main = sys.modules["__main__"]
    spec, path = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    main.__spec__ = None
    if path is not None:
        del main.__file__
    try:
        yield
    finally:
        main.__spec__ = spec
        if path is not None:
            main.__file__ = path


@contextmanager
def _one_thread() -> Iterator[None]:
    """Workers start with one thread per process: their libraries read these when they are loaded."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


ENGINES: dict[str, Callable[[int], Executor]] = {"serial": lambda workers: SerialExecutor(), "local": LocalExecutor}


def check_engine(name: str) -> None:
    """Raise ConfigError where there is no such engine."""
    if name not in ENGINES:
        raise ConfigError(unknown("engine", name, ENGINES))


@contextmanager
def engine(name: str, workers: int) -> Iterator[Executor]:
    """Yield the executor of an engine; on the way out its processes are gone, at once where the run was interrupted."""
    check_engine(name)
    before = set(multiprocessing.active_children())
    executor = ENGINES[name](workers)
    try:
        yield executor
    except BaseException:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()


def default_workers(device: str) -> int:
    """Return how many processes suit this machine: one per core on a CPU, at most 8; one on a GPU."""
    return (
        1
        if device != "cpu"
        else max(1, min(8, len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1))
    )


def pick_device(name: str) -> str:
    """Return the torch device for `auto`, `cpu`, `cuda` or `cuda:1`.

    Raises:
        ConfigError: no such device here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu" or (name.startswith("cuda") and torch.cuda.is_available()):
        return name
    here = ["auto", "cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    raise ConfigError(f"device {name!r} is not on this machine (here: {', '.join(here)})")
