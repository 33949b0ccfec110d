"""Seeds by name, and the global stream put back."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from handful.rng import MAX_SEED, derive, forked, numpy_rng, torch_rng

NAMES = st.lists(st.one_of(st.integers(-5, 5), st.sampled_from(["a", "b", "1", ""])), max_size=3).map(tuple)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((0,), "0"),
        ((7, "split"), "7\x1fstr:split"),
        ((7, "step", 3), "7\x1fstr:step\x1fint:3"),
    ],
)
def test_a_seed_is_the_head_of_a_sha256_over_root_and_names(args, text):
    assert derive(*args) == int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) % 2**63


def test_seeds_never_change_between_versions():
    assert derive(0) == 6912158355717386040
    assert derive(0, "split", 1) == 1273110114239336431
    assert derive(2**62, "initialisation") == 7508039518933524788


@given(NAMES, NAMES)
def test_other_names_are_other_seeds(one, other):
    typed = [[(type(name), name) for name in names] for names in (one, other)]
    assert (derive(0, *one) == derive(0, *other)) == (typed[0] == typed[1])


def test_a_number_and_its_text_are_two_names_and_order_counts():
    assert len({derive(0, 1), derive(0, "1"), derive(1), derive(0, 1, 1), derive(0, 11)}) == 5
    assert derive(0, "a", "b") != derive(0, "b", "a")
    assert derive(0, "ab") != derive(0, "a", "b")


@given(st.integers())
def test_a_seed_fits_where_seeds_are_taken(root):
    assert 0 <= derive(root, "x") <= MAX_SEED < 2**63


def test_streams_of_one_name_are_equal_and_of_others_are_not():
    for make, draw in (
        (numpy_rng, lambda s: s.random(5).tolist()),
        (torch_rng, lambda s: torch.rand(5, generator=s).tolist()),
    ):
        assert draw(make(0, "a", 1)) == draw(make(0, "a", 1))
        assert len({str(draw(stream)) for stream in (make(0, "a", 1), make(0, "a", 2), make(1, "a", 1), make(0))}) == 4


def test_no_global_stream_is_read_or_moved():
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    first = numpy_rng(0, "a").random(), torch.rand(1, generator=torch_rng(0, "a")).item()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(77)
        assert (numpy_rng(0, "a").random(), torch.rand(1, generator=torch_rng(0, "a")).item()) == first
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert (np.random.get_state()[1] == before[2]).all()


@pytest.mark.parametrize("seed", [None, 5])
def test_a_forked_block_may_draw_and_the_stream_is_put_back(seed):
    before = torch.get_rng_state()
    with forked(seed):
        inside = torch.rand(3)
        torch.nn.Linear(3, 3)
    assert torch.equal(torch.get_rng_state(), before)

    def raising():
        with forked(seed):
            torch.rand(1)
            raise KeyError

    with pytest.raises(KeyError):
        raising()
    assert torch.equal(torch.get_rng_state(), before)
    expected = torch.rand(3, generator=torch.Generator().manual_seed(5)) if seed else None
    if seed:
        assert torch.equal(inside, expected)
    else:  # without a seed it goes on where the stream stood
        stream = torch.Generator()
        stream.set_state(before)
        assert torch.equal(inside, torch.rand(3, generator=stream))


def test_blocks_can_be_nested():
    with forked(1):
        outer = torch.rand(1)
        with forked(2):
            torch.rand(9)
        rest = torch.rand(1)
    with forked(1):
        assert torch.equal(torch.cat([outer, rest]), torch.rand(2))
