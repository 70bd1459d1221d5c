"""Each class on Dask has the name, parameters and manners of the plain one."""

import inspect
import subprocess
import sys
import textwrap

import pytest
from discovery import new
from expected_failures import EXPECTED_FAILURES
from sklearn.utils.estimator_checks import parametrize_with_checks

import kernelkit
from kernelkit import distributed

CLASSES = [
    thing
    for name in distributed.__all__
    if isinstance(thing := getattr(distributed, name), type)
]
pytestmark = [
    pytest.mark.filterwarnings("ignore:The features have rank:UserWarning"),
    pytest.mark.filterwarnings(
        "ignore:The objective still fell:sklearn.exceptions.ConvergenceWarning"
    ),
]
each_class = pytest.mark.parametrize("Estimator", CLASSES)


@parametrize_with_checks(
    [new(Estimator) for Estimator in CLASSES],
    expected_failed_checks=lambda e: EXPECTED_FAILURES.get(type(e).__name__, {}),
)
def test_common_check(estimator, check):
    """Seen red with an attribute of another name set by `fit`."""
    check(estimator)


@each_class
def test_parameters_are_those_of_the_plain_class(Estimator):
    """Seen red with a default of its own."""
    plain = getattr(kernelkit, Estimator.__name__)

    assert issubclass(Estimator, plain)
    assert Estimator is not plain
    assert inspect.signature(Estimator) == inspect.signature(plain)
    ours, theirs = new(Estimator).get_params(), new(plain).get_params()
    assert ours == theirs


@each_class
def test_methods_take_what_those_of_the_plain_class_take(Estimator):
    """Seen red with an argument left out."""
    plain = getattr(kernelkit, Estimator.__name__)
    for name, method in public_methods(plain):
        ours = getattr(Estimator, name)
        got = [*inspect.signature(ours).parameters.values()]
        expected = inspect.signature(method).parameters.values()
        as_said = [(p.name, p.kind, p.default) for p in expected]
        assert [(p.name, p.kind, p.default) for p in got] == as_said, name


@each_class
def test_documentation(Estimator):
    """Seen red with a method that has none."""
    assert Estimator.__doc__ != getattr(kernelkit, Estimator.__name__).__doc__
    assert "See Also" in Estimator.__doc__
    for name, method in public_methods(Estimator):
        assert method.__doc__, name


def public_methods(Estimator):
    """Name the methods that users call."""
    return [
        (name, method)
        for name, method in inspect.getmembers(Estimator, callable)
        if not name.startswith("_")
    ]


def test_a_missing_dask_is_told():
    """Seen red with an import of Dask that nothing catches."""
    script = """
    import sys
    sys.modules["dask"] = None
    from kernelkit.exceptions import MissingDependencyError
    try:
        import kernelkit.distributed
    except MissingDependencyError as error:
        sys.exit("kernelkit[distributed]" not in str(error))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
