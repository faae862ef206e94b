"""zuko, the library of normalizing flows, at first need."""

from types import ModuleType

from torch.distributions import Distribution


def import_zuko() -> ModuleType:
    """The module `zuko`.

    Importing it switches the validation of all of torch's distributions off; here that stays as it
    was, so that a flow does not change what other code refuses.
    """
    before = {name: Distribution.__dict__[name] for name in ("_validate_args", "arg_constraints")}
    import zuko

    for name, value in before.items():
        setattr(Distribution, name, value)
    return zuko
