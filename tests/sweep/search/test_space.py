"""The space of a search: Optuna's distributions from Hydra's overrides."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from vaelab.errors import UserError
from vaelab.sweep.search.space import parse


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("a=x,y", CategoricalDistribution(["x", "y"])),
        ("a=choice(1,'b c',[1,2])", CategoricalDistribution(["1", "b\\ c", "[1,2]"])),
        ("a=range(2,20)", IntDistribution(2, 19)),
        ("a=range(2,20,4)", IntDistribution(2, 18, step=4)),
        ("a=range(0,1,0.25)", FloatDistribution(0, 0.75, step=0.25)),
        ("a=tag(log,range(1,65))", IntDistribution(1, 64, log=True)),
        ("a=interval(1,16)", FloatDistribution(1, 16)),
        ("a=tag(log, interval(1e-4,1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("a=tag(int, interval(1,16))", IntDistribution(1, 16)),
        ("a=tag(int, log, interval(1,16))", IntDistribution(1, 16, log=True)),
    ],
)
def test_spaces(override, expected):
    space = parse(["b=1", "c=2,3", "c=4", override])
    assert space.distributions == {"a": expected}
    assert space.fixed == ("b=1", "c=4")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("a=1", "expects settings to choose from, got none"),
        ("seed=0,1", r"set hydra.sweeper.seeds=\[0,1,2\]"),
        ("labels.seed=0,1", "labels.seed expects one value in a search"),
        ("a=interval(2,1)", r"got a=interval\(2,1\): .*low=2.0, high=1.0"),
        ("a=tag(log,interval(0,1))", "`low > 0` must hold .*low=0.0"),
        ("a=tag(int,interval(0.5,1))", "ends must be integers, not 0.5"),
        ("a=tag(log,range(1,9,2))", r"step is 1 when `log`.*; use beta=tag\(log, interval"),
        ("a=tag(loh,interval(1,2))", "got loh in a=tag"),
        ("a=tag(log,choice(1,2))", "expects no tags, got log"),
        ("a=range(5,2)", "the range is empty; swap its ends"),
        ("a=glob(*)", "list them as a=a,b"),
    ],
)
def test_bad_space_is_a_sentence(override, sentence):
    with pytest.raises(UserError, match=sentence):
        parse([override])
