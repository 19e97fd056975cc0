import doctest
import importlib
import pkgutil

import pytest

import recollect.memory

MODULES = [f"recollect.memory.{module.name}" for module in pkgutil.iter_modules(recollect.memory.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0
