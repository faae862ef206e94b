"""Types of settings, from the signatures of the classes that take them."""

import inspect
import math
import re
from collections.abc import Callable, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.utils import get_object
from omegaconf import DictConfig, Node

from vaelab.errors import UserError, require

KINDS: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("an integer", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    float: (
        "a finite number",
        lambda value: (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ),
    ),
    str: ("text", lambda value: isinstance(value, str)),
    NoneType: ("null", lambda value: value is None),
}


def check_types(node: Any) -> None:
    """Require values of the types that the constructors' signatures name, throughout a node.

    Raises:
        UserError: "objective.beta expects a finite number, got 'x'; see ..."
    """
    if not isinstance(node, DictConfig):
        return
    target = str(node.get("_target_") or "")
    hints = argument_types(target) if target else {}
    if target.startswith("vaelab."):
        _check_names(node, target)
    for name, value in node.items():
        check_types(value)
        if name in hints and not (isinstance(value, DictConfig) and "_target_" in value):
            _check_type(source_of(node, str(name)), value, hints[str(name)])


def import_target(target: str) -> Any:
    """The class or function of a `_target_`.

    Raises:
        UserError: it can't be imported.
    """
    try:
        return get_object(target)
    except ImportError as error:
        reason = str(error).splitlines()[-1].rstrip("?")
        raise UserError(
            f"_target_ expects a class that can be imported, got {target} ({reason}); check its "
            "spelling, and name the folder of your own packages in PYTHONPATH."
        ) from error


def _check_names(node: DictConfig, target: str) -> None:
    """Require that the constructor of a node has every argument that is given."""
    parameters = inspect.signature(import_target(target)).parameters
    takes_any = any(one.kind == one.VAR_KEYWORD for one in parameters.values())
    given = [str(name) for name in node if not str(name).startswith("_")]
    for name in [] if takes_any else given:
        others = ", ".join(other for other in given if other in parameters)
        require(
            name in parameters,
            f"{node._get_full_key(name)} is not a setting of {target.rpartition('.')[2]}, which "
            f"has {others or 'none'}; leave it out.",
        )


def source_of(node: DictConfig, name: str) -> str:
    """The full key of a setting: where it is set, if its value is that of another setting."""
    raw = node._get_node(name)
    reference = (
        re.fullmatch(r"\$\{([\w.]+)\}", str(raw._value())) if isinstance(raw, Node) else None
    )
    return reference[1] if reference else str(node._get_full_key(name))


def argument_types(target: str) -> dict[str, Any]:
    """{argument: annotation} of a class or function given by its dotted name."""
    function = import_target(target)
    function = function.__init__ if inspect.isclass(function) else function
    try:
        return get_type_hints(function)
    except (NameError, TypeError):  # annotations of other packages that can't be evaluated
        return {}


def _check_type(key: str, value: Any, annotation: Any) -> None:
    expected = _describe(annotation)
    require(
        expected is None or _matches(value, annotation),
        f"{key} expects {expected}, got {value!r}; `--help {key.partition('.')[0]}` describes it.",
    )


def _describe(annotation: Any) -> str | None:
    """A description of an annotation; None for those that are not checked."""
    if annotation in KINDS:
        return KINDS[annotation][0]
    if get_origin(annotation) in (Union, UnionType):
        parts = [_describe(part) for part in get_args(annotation)]
        return None if None in parts else " or ".join(map(str, parts))
    if get_origin(annotation) in (list, Sequence, tuple):
        part = _describe(get_args(annotation)[0])
        return None if part is None else f"a list, each {part}"
    return None


def _matches(value: Any, annotation: Any) -> bool:
    if annotation in KINDS:
        return KINDS[annotation][1](value)
    if get_origin(annotation) in (Union, UnionType):
        return any(_matches(value, part) for part in get_args(annotation))
    # A list, as ListConfig; strings are sequences too.
    items = get_args(annotation)[0]
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and all(_matches(item, items) for item in value)
