"""A network of one's own: a function of one's own code, named so that every process finds it again."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, JsonValue
from torch import nn

from handful.errors import ConfigError, StoreError
from handful.nn.network import Network, NetworkRecipe, Start, with_dropout

FACTORY = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"
_ASKED: set[str] = set()  # factories that this process was asked for, and may therefore run again


class Custom(NetworkRecipe):
    """What a function of one's own returns for `function(channels=, size=, num_classes=, **options)`: a torch module.

    It takes float32 [B, channels, size, size], normalised, and gives logits [B, num_classes]. Where it has modules
    `body` and `head`, and is `head(body(x))`, these are the parts that are frozen, looked into and measured by. Else
    the whole of it is the body: its features are its logits, `Tuning(frozen=True)` leaves nothing to train, and there
    are no maps to explain a decision with.

    The recipe names the function and not its text: after changing the text give another name or another option, or
    results of the old text are taken for those of the new one. Planning and fitting import the module and run the
    function; loading a saved classifier does not, unless this process has done so before or `trust_code` allows it.

    Args:
        factory: `package.module:function`, found by import.
        options: given to the function by name; numbers, strings, lists and tables.
    """

    kind: Literal["custom"] = "custom"
    factory: Annotated[str, Field(pattern=FACTORY)]
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def code(self) -> tuple[str, ...]:
        return (self.factory,)

    def resolved(self, size: int) -> Self:
        _found(self.factory)
        _ASKED.add(self.factory)  # the jobs of a study may run in other processes than the one that planned it
        return self

    def build(self, channels: int, size: int, num_classes: int, dropout: float | None) -> Network:
        """Return the network; its weights are those the function gave it.

        Raises:
            ConfigError: the function is not found, does not take what it is given, raises an error, or returns
                something else than a module with these logits.
        """
        _ASKED.add(self.factory)
        made = _called(self.factory, {"channels": channels, "size": size, "num_classes": num_classes, **self.options})
        if not isinstance(made, nn.Module):
            raise ConfigError(f"network {self.factory}: returned {type(made).__name__}, not a torch.nn.Module")
        if dropout is not None and not any(isinstance(one, nn.Dropout | nn.Dropout2d) for one in made.modules()):
            raise ConfigError(f"network {self.factory}: has no dropout layer to set to {dropout}; leave dropout out")
        with_dropout(made, dropout)
        parts = [getattr(made, name, None) for name in ("body", "head")]
        body, head = parts if all(isinstance(part, nn.Module) for part in parts) else (made, nn.Identity())
        assert isinstance(body, nn.Module)
        assert isinstance(head, nn.Module)
        loose = any(True for _ in body.parameters(recurse=False))  # these are in no child, so the body is one stage
        network = Network(body, head, [body] if loose else None)
        _tried(self.factory, made, network, (2, channels, size, size), num_classes)
        return network

    def start(self, network: Network) -> Start:
        return Start(f"function {self.factory}")


def named_factory(function: Callable[..., Any]) -> str:
    """Return `module:name` of a function, by which another process finds it.

    Raises:
        ConfigError: it has no such name: a lambda, a function inside of another or of the script that was started.
    """
    if isinstance(function, nn.Module):
        raise ConfigError(f"network: {type(function).__name__} is a module; give the function that makes it")
    if isinstance(function, type) and issubclass(function, NetworkRecipe):
        raise ConfigError(
            f"network: {function.__name__} is a class of recipes; give one of them, {function.__name__}()"
        )
    if isinstance(function, functools.partial):
        raise ConfigError(
            "network: a functools.partial has no name by which another process finds it; name its function, and give "
            "its arguments as options: {kind = 'custom', factory = 'package.module:function', options = {...}}"
        )
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    found: Any = sys.modules.get(module or "")
    for part in (name or "").split("."):
        found = getattr(found, part, None)
    if found is not function or module == "__main__":
        raise ConfigError(
            f"network: {module}:{name} cannot be found again by name, and each job of a study must; define it at the "
            "top of a module that can be imported, and not in the script itself"
        )
    _ASKED.add(f"{module}:{name}")
    return f"{module}:{name}"


def not_yet_run(recipe: NetworkRecipe) -> list[str]:
    """Return the functions of one's own code behind a recipe that this process has not been asked to run."""
    return [name for name in recipe.code if name not in _ASKED]


def require_trust(recipe: NetworkRecipe, where: Path) -> None:
    """Raise StoreError where a recipe read from a folder would run code that this process has not been asked to run."""
    if code := not_yet_run(recipe):
        raise StoreError(
            f"{where}: its network is made by {' and '.join(code)}, code that is not handful's; where you trust it, "
            "say so with --trust-code (from Python: trust_code=True)"
        )


def _found(factory: str) -> Callable[..., Any]:
    module, _, name = factory.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # what is missing is something that it imports itself
        raise ConfigError(
            f"network {factory}: there is no module {module!r}; install it or put its folder on PYTHONPATH"
        ) from None
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, nn.Module):
        raise ConfigError(f"network {factory}: is a module; name the function that makes it")
    if not callable(found):
        raise ConfigError(f"network {factory}: {module} has no function {name!r}")
    function: Callable[..., Any] = found
    return function


def _called(factory: str, given: dict[str, Any]) -> Any:
    """What a function of one's own returns; what it raises is told with its name."""
    function = _found(factory)
    try:
        inspect.signature(function).bind(**given)
    except TypeError as error:
        raise ConfigError(
            f"network {factory}: {error}; it is called with {', '.join(f'{name}=' for name in given)} by name"
        ) from None
    except ValueError:  # a callable without a signature
        pass
    try:
        return function(**given)
    except Exception as error:
        raise ConfigError(f"network {factory}: raised {type(error).__name__}: {error}") from error


def _tried(factory: str, whole: nn.Module, network: Network, shape: tuple[int, ...], num_classes: int) -> None:
    """Raise where a module does not give logits, or its `body` and `head` are not the whole of it."""
    images, modes = torch.linspace(-1, 1, shape[0] * shape[1] * shape[2] * shape[3]).reshape(shape), whole.training
    whole.eval()
    with torch.no_grad():
        logits, again = whole(images), network(images)
    whole.train(modes)
    if not isinstance(logits, torch.Tensor) or logits.shape != (shape[0], num_classes):
        got = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ConfigError(f"network {factory}: gives {got} for {list(shape)}, not logits {[shape[0], num_classes]}")
    if not torch.allclose(logits, again, rtol=1e-4, atol=1e-5):
        raise ConfigError(f"network {factory}: is not head(body(x)); give these two attributes other names")
