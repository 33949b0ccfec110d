"""What a network is made of: each layer's output, parameters, multiply-adds and memory, and the same by stage."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from handful.nn.network import Network

BYTES = 4  # of a float32


@dataclass(frozen=True)
class Layer:
    """One call of one layer.

    Args:
        name: its path in the network, such as `body.0.1`.
        kind: its class.
        output: shape without the batch; empty where it returns no single tensor.
        parameters: its own, counted where it is called first.
        trained: of these.
        multiply_adds: of one picture; convolutions, linear layers and other products of matrices.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    trained: int
    multiply_adds: int


class Stage(Layer):
    """The same of a part as one would draw it: a block of the body, or the head."""


@dataclass(frozen=True)
class Summary:
    """A network seen with one picture.

    Args:
        picture: C, H, W.
        layers: every layer without parts, and every module with parameters of its own, in the order of their calls.
        stages: blocks of the body from the pictures on, then the head; empty for networks that generate.
        parameters, trained: of the whole network.
        buffers: numbers that are kept and not trained, such as the means of a batch norm.
        multiply_adds: of one picture, all operations included.
        activations: numbers that the layers put out for one picture.
    """

    picture: tuple[int, int, int]
    layers: tuple[Layer, ...]
    stages: tuple[Stage, ...]
    parameters: int
    trained: int
    buffers: int
    multiply_adds: int
    activations: int

    @property
    def weight_bytes(self) -> int:
        """Bytes of the parameters and buffers as float32."""
        return BYTES * (self.parameters + self.buffers)

    def training_bytes(self, batch_size: int) -> int:
        """Return about how many bytes one step of Adam holds: weights, gradients, two moments, and activations."""
        return BYTES * (self.parameters + self.buffers + 3 * self.trained + batch_size * self.activations)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def summarize(network: Network, channels: int, size: int, frozen: Collection[nn.Module] = ()) -> Summary:
    """Return what a network is made of, from one forward pass of a grey picture in evaluation mode.

    Multiply-adds are half of what `torch.utils.flop_counter` counts, and what it counts inside a layer is that layer's.

    Args:
        network: left as it was found.
        channels, size: of the pictures, [1, channels, size, size].
        frozen: modules whose parameters are never trained, beside those that need no gradient.
    """
    images = torch.full((1, channels, size, size), 0.5, device=next(iter(network.parameters())).device)
    stages = [*_blocks(network), network.head]
    return _summary(network, lambda: network(images), (channels, size, size), frozen, stages)


def summarize_together(
    networks: Mapping[str, nn.Module], picture: tuple[int, int, int], run: Callable[[], object]
) -> Summary:
    """Return what networks that are trained together are made of, from one pass in evaluation mode; no stages.

    Args:
        networks: by the name that their layers' names start with; left as they were found.
        picture: C, H, W.
        run: takes one picture, or what one is made from, through all of them.
    """
    return _summary(nn.ModuleDict(dict(networks)), run, picture)


def _summary(
    whole: nn.Module,
    run: Callable[[], object],
    picture: tuple[int, int, int],
    frozen: Collection[nn.Module] = (),
    stages: Sequence[nn.Module] = (),
) -> Summary:
    still = {id(one) for module in frozen for one in module.parameters()}
    trained = {id(one) for one in whole.parameters() if one.requires_grad} - still
    seen = _Seen(whole, {id(stage) for stage in stages})
    modes = [(module, module.training) for module in whole.modules()]
    whole.eval()
    try:
        with seen.watching(), torch.no_grad(), seen.counter:
            run()
    finally:
        for module, mode in modes:
            module.training = mode
    return Summary(
        picture=picture,
        layers=tuple(_layers(seen.calls, trained)),
        stages=tuple(_stages(stages, seen, trained)),
        parameters=sum(one.numel() for one in whole.parameters()),
        trained=sum(one.numel() for one in whole.parameters() if id(one) in trained),
        buffers=sum(one.numel() for one in whole.buffers()),
        multiply_adds=seen.counter.get_total_flops() // 2,
        activations=sum(_numel(call.output) for call in seen.calls),
    )


@dataclass
class _Call:
    name: str
    module: nn.Module
    output: tuple[int, ...] = ()
    flops: int = 0  # without those of the layers called inside


class _Seen:
    """Notes every call of a layer during one forward pass, and every call of a stage."""

    def __init__(self, network: nn.Module, stages: Collection[int]) -> None:
        self.counter = FlopCounterMode(display=False)
        self.calls: list[_Call] = []
        self.whole: dict[int, _Call] = {}
        self._open: list[tuple[_Call, int, int]] = []  # call, flops before it, flops of the layers inside so far
        self._parts = {
            name: module
            for name, module in network.named_modules()
            if not any(True for _ in module.children()) or any(True for _ in module.parameters(recurse=False))
        }
        self._named = {id(module): name for name, module in network.named_modules()}
        self._staged = [module for module in network.modules() if id(module) in stages]

    @contextmanager
    def watching(self) -> Iterator[None]:
        handles = []
        for name, module in self._parts.items():
            handles.append(module.register_forward_pre_hook(lambda one, given, name=name: self._enter(name, one)))
            handles.append(module.register_forward_hook(lambda one, given, made: self._leave(made)))
        before: list[int] = []
        for module in self._staged:
            handles.append(module.register_forward_pre_hook(lambda one, given: before.append(self._total)))
            handles.append(module.register_forward_hook(lambda one, given, made: self._end(one, made, before.pop())))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def inside(self, module: nn.Module) -> _Call:
        """What a module that is only called part by part did, from the calls of its layers."""
        parts = {id(one) for one in module.modules()}
        calls = [call for call in self.calls if id(call.module) in parts]
        output = calls[-1].output if calls else ()
        return _Call(self._name(module), module, output, sum(call.flops for call in calls))

    def _name(self, module: nn.Module) -> str:
        """The name in the network; of stages that are only listed together, as those of a fusion, the names of each."""
        found = self._named.get(id(module))
        return found if found is not None else " + ".join(self._name(one) for one in module.children())

    @property
    def _total(self) -> int:
        return self.counter.get_total_flops()

    def _enter(self, name: str, module: nn.Module) -> None:
        call = _Call(name, module)
        self.calls.append(call)
        self._open.append((call, self._total, 0))

    def _leave(self, made: Any) -> None:
        call, before, inside = self._open.pop()
        passed = self._total - before
        call.output, call.flops = _shape(made), passed - inside
        if self._open:
            outer, start, sofar = self._open[-1]
            self._open[-1] = (outer, start, sofar + passed)

    def _end(self, module: nn.Module, made: Any, before: int) -> None:
        call = self.whole.setdefault(id(module), _Call(self._name(module), module))
        call.output, call.flops = _shape(made), call.flops + self._total - before


def _blocks(network: Network) -> list[nn.Module]:
    """The blocks of a body; its stages where it has no more than two."""
    found = _below(network.body)
    return found if len(found) > 2 else list(network.stages)


def _below(module: nn.Module) -> list[nn.Module]:
    """Children with parameters; a list of blocks gives its blocks, a block of layers is one."""
    found = []
    for child in module.children():
        listed = isinstance(child, nn.Sequential | nn.ModuleList)
        if listed and any(True for one in child.children() for _ in one.children()):
            found += _below(child)
        elif any(True for _ in child.parameters()):
            found.append(child)
    return found


def _layers(calls: Sequence[_Call], trained: Collection[int]) -> Iterator[Layer]:
    known: set[int] = set()
    for call in calls:
        own = [one for one in call.module.parameters(recurse=False) if id(one) not in known]
        known |= {id(one) for one in own}
        num, learnt = _counted(own, trained)
        yield Layer(call.name, type(call.module).__name__, call.output, num, learnt, call.flops // 2)


def _stages(stages: Sequence[nn.Module], seen: _Seen, trained: Collection[int]) -> Iterator[Stage]:
    for place, module in enumerate(stages):
        call = seen.whole.get(id(module)) or seen.inside(module)
        name = "head" if place == len(stages) - 1 else call.name
        num, learnt = _counted(list(module.parameters()), trained)
        yield Stage(name, _kind(module), call.output, num, learnt, call.flops // 2)


def _kind(module: nn.Module) -> str:
    """The class of a module; of a plain sequence or list, the classes of what computes in it."""
    if not isinstance(module, nn.Sequential | nn.ModuleList):
        return type(module).__name__
    kinds = [type(one).__name__ for one in module if any(True for _ in one.parameters())]
    return " + ".join(dict.fromkeys(kinds)) or "Sequential"


def _counted(parameters: Sequence[nn.Parameter], trained: Collection[int]) -> tuple[int, int]:
    return sum(one.numel() for one in parameters), sum(one.numel() for one in parameters if id(one) in trained)


def _shape(made: Any) -> tuple[int, ...]:
    return tuple(made.shape[1:]) if isinstance(made, torch.Tensor) else ()


def _numel(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel()) if shape else 0
