"""Small studies planned and run as their tests want it, the keys of an arm, and the faults of what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import handful
from handful import Result, Study
from handful.errors import ConfigError
from handful.study.plan import Plan, make_plan
from handful.study.store import Store


def plan_of(study: Study, store: Path = Path("/nonexistent/store"), **given: Any) -> Plan:
    options = {"budget": None, "workers": 1, "device": "cpu", "timed": False, "say": lambda line: None, **given}
    return make_plan(study, Store(store), **options)


def ran(study: Study, store: Path, **given: Any) -> Result:
    result = handful.run(study, store, engine="serial", device="cpu", **given)
    assert result.failed == []
    return result


def keys_of(plan: Plan, arm: str, repeat: int = 0) -> dict[str, str]:
    return {job.stage: job.key for job in plan.jobs_by_arm()[arm, repeat]}


def faults_of(make: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as error:
        make()
    return error.value.faults
