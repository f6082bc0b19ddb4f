"""Classes that users name as package.module:Class."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from testbed.errors import ConfigurationError
from testbed.plugins import load_class


class Animal(ABC):
    @abstractmethod
    def say(self) -> str:
        """Say something."""


class Dog(Animal):
    def say(self) -> str:
        return "wau"


class Stone:
    pass


def test_a_subclass_is_found_by_module_and_class() -> None:
    assert load_class("animal", f"{__name__}:Dog", Animal, ()) is Dog  # type: ignore[type-abstract]


def test_modules_are_also_found_where_the_command_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kennel_of_mine.py").write_text("class Hut(Exception): pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    found = load_class("hut", "kennel_of_mine:Hut", Exception, ())
    assert (found.__name__, issubclass(found, Exception)) == ("Hut", True)
    sys.modules.pop("kennel_of_mine")


def test_the_folder_of_the_command_hides_no_module_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "colorsys.py").write_text("class Hut(Exception): pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with pytest.raises(ConfigurationError, match="Hut"):
        load_class("hut", "colorsys:Hut", Exception, ())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dg", "did you mean 'dog'"),
        ("", "unknown animal"),
        (":Dog", "unknown animal ':Dog'"),
        (".relative:Dog", "unknown animal"),
        ("no.such.module:Dog", "'no.such.module:Dog': ModuleNotFoundError: No module named 'no'"),
        ("testbed.errors:Dog", "no attribute 'Dog'"),
        ("testbed.errors:", "animal 'testbed.errors:'"),
        (f"{__name__}:Stone", f"no subclass of {__name__}.Animal"),
        (f"{__name__}:load_class", "no subclass"),
        (f"{__name__}:Animal", "abstract"),
    ],
)
def test_unusable_names_are_refused_with_their_reason(name: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_class("animal", name, Animal, ["dog", "cat"])  # type: ignore[type-abstract]
    assert said in str(refused.value)


def test_a_module_that_fails_or_exits_when_loaded_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, body in (("divides", "1 / 0"), ("exits", "raise SystemExit(5)"), ("unparsed", "(")):
        (tmp_path / f"{name}.py").write_text(body)
        with pytest.raises(ConfigurationError, match=f"animal '{name}:Dog': "):
            load_class("animal", f"{name}:Dog", Animal, [])  # type: ignore[type-abstract]
