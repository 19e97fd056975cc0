import importlib
import sys

import pytest

from recollect.core import ConfigError, load_object, source_hash


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "mixers_of_a_user"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "first.py").write_text("class MyMixer:\n    pass\n")
    (folder / "broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield folder
    for name in [name for name in sys.modules if name.startswith("mixers_of_a_user")]:
        del sys.modules[name]


def test_an_object_is_found_by_its_path(package):
    assert load_object("mixers_of_a_user.first:MyMixer").__name__ == "MyMixer"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("mixers_of_a_user.first", "expected an import path"),
        ("mixers_of_a_user.second:MyMixer", "cannot import"),
        ("mixers_of_a_user.first:MyMixr", "did you mean 'MyMixer'"),
        ("mixers_of_a_user.broken:MyMixer", "ZeroDivisionError"),
    ],
)
def test_a_wrong_path_says_which_part_is_wrong(package, path, message):
    with pytest.raises(ConfigError, match=message):
        load_object(path)


def test_the_hash_follows_every_file_of_the_package(package):
    path = "mixers_of_a_user.first:MyMixer"
    before = source_hash(path)
    assert source_hash(path) == before
    (package / "helper.py").write_text("x = 1\n")
    assert source_hash(path) != before
