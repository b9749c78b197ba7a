"""Importing what users name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentllm.catalog.loading import import_file, import_object
from agentllm.errors import ConfigurationError
from tests.catalog.made import write


class TestReferences:
    @pytest.mark.parametrize("reference", ["os.path:join", "os.path.join", "posixpath:join"])
    def test_a_colon_and_a_dot_say_the_same(self, reference: str) -> None:
        from os.path import join

        assert import_object(reference) is join

    @pytest.mark.parametrize("reference", ["", ":", ".", "join", "os:", ":join", ".join", "os."])
    def test_another_form_is_refused(self, reference: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            import_object(reference)
        assert repr(reference) in caught.value.message

    def test_a_missing_attribute_is_named_with_its_module(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            import_object("os.path:jion")
        assert "'jion'" in caught.value.message
        assert "'os.path'" in caught.value.message

    def test_a_missing_module_is_pythons_error(self) -> None:
        with pytest.raises(ModuleNotFoundError):
            import_object("nonexistent_module:x")

    def test_a_value_that_is_false_is_found(self, folder: Path) -> None:
        write(folder / "values.py", "NOTHING = None")
        assert import_object("values:NOTHING", beside=folder) is None


class TestBeside:
    def test_a_file_in_the_folder_comes_first(self, folder: Path) -> None:
        write(folder / "string.py", "x = 'mine'")
        assert import_object("string:x", beside=folder) == "mine"

    def test_a_file_in_a_folder_of_the_folder(self, folder: Path) -> None:
        write(folder / "tools" / "deep" / "rain.py", "x = 'mine'")
        assert import_object("tools.deep.rain:x", beside=folder) == "mine"

    def test_a_package_in_the_folder(self, folder: Path) -> None:
        write(folder / "tools" / "__init__.py", "from .rain import x")
        write(folder / "tools" / "rain.py", "x = 'mine'")
        assert import_object("tools.x", beside=folder) == "mine"

    def test_what_is_not_there_is_looked_for_where_python_looks(self, folder: Path) -> None:
        from string import digits

        assert import_object("string:digits", beside=folder) is digits

    def test_without_a_folder_none_is_looked_in(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(folder / "string.py", "x = 'mine'")
        monkeypatch.chdir(folder)
        with pytest.raises(ConfigurationError):
            import_object("string:x")


class TestFiles:
    def test_a_file_is_imported_once_for_each_path(self, folder: Path) -> None:
        path = write(folder / "weather.py", "x = object()")
        assert import_file(path) is import_file(path)

    def test_a_folder_that_python_looks_in_already_is_not_added_again(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(folder)
        import_file(write(folder / "weather.py", "x = 1"))
        assert sys.path.count(str(folder)) == 1

    def test_what_it_raises_is_raised_each_time(self, folder: Path) -> None:
        path = write(folder / "weather.py", "1 / 0")
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                import_file(path)

    def test_a_file_that_was_mended_can_be_imported(self, folder: Path) -> None:
        path = write(folder / "weather.py", "1 / 0")
        with pytest.raises(ZeroDivisionError):
            import_file(path)
        path.write_text("x = 'a longer file than before'")
        assert import_file(path).x == "a longer file than before"

    @pytest.mark.parametrize("name", ["my-agent", "agent 2", "json"])
    def test_the_name_of_the_file_need_not_be_a_python_name(self, name: str, folder: Path) -> None:
        assert import_file(write(folder / f"{name}.py", "x = 'mine'")).x == "mine"
