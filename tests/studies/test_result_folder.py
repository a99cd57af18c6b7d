"""Result folders appear complete, or not at all, and replace nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossohm.errors import DataError
from crossohm.studies import new_folder
from crossohm.studies.folder import unused


def test_appears_when_complete(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "result"
    with new_folder(target) as part:
        (part / "a.txt").write_text("a", encoding="utf-8")
        assert not target.exists()
        assert part.parent == target.parent  # one file system, so that the rename is atomic
    assert (target / "a.txt").read_text(encoding="utf-8") == "a"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_of_a_failure(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure), new_folder(tmp_path / "new" / "result") as part:
        (part / "a.txt").write_text("a", encoding="utf-8")
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_folders_of_others_survive_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_folder(tmp_path / "a" / "b" / "result"):
        (tmp_path / "a" / "other").touch()
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "other"]


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_nothing_is_overwritten(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "result"
    make = {"folder": target.mkdir, "file": target.touch, "dangling link": lambda: target.symlink_to(tmp_path / "no")}
    make[kind]()
    with pytest.raises(DataError, match="exists"), new_folder(target):
        pytest.fail("opened")
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "result"
    with pytest.raises(DataError, match="exists"), new_folder(target) as part:
        (part / "mine").touch()
        target.mkdir()
    assert list(target.iterdir()) == []
    assert list(tmp_path.iterdir()) == [target]


def test_impossible_place_is_reported_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/result: cannot be created"), new_folder(tmp_path / "file" / "result"):
        pytest.fail("opened")


def test_others_may_read_it_as_any_new_folder(tmp_path: Path) -> None:
    with new_folder(tmp_path / "result"):
        pass
    (tmp_path / "usual").mkdir()
    assert (tmp_path / "result").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_unused_name(tmp_path: Path) -> None:
    assert unused(tmp_path / "a") == tmp_path / "a"
    (tmp_path / "a").mkdir()
    assert unused(tmp_path / "a") == tmp_path / "a-2"
    (tmp_path / "a-2").touch()
    assert unused(tmp_path / "a") == tmp_path / "a-3"
