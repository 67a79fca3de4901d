"""A file or folder is there whole or not at all, and never takes another's place."""

import pytest

from service.kit.files import folder_written_whole, written_whole


def test_a_file_gets_its_name_when_it_is_whole(tmp_path):
    place = tmp_path / "f"
    with written_whole(place) as file:
        file.write(b"content")
        assert not place.exists()
    assert place.read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def _half_a_file(place):
    with written_whole(place) as file:
        file.write(b"half")
        raise ValueError("no")


def _half_a_folder(place):
    with folder_written_whole(place) as folder:
        (folder / "f").write_bytes(b"half")
        raise ValueError("no")


@pytest.mark.parametrize("write", [_half_a_file, _half_a_folder])
def test_after_an_error_nothing_is_left(tmp_path, write):
    with pytest.raises(ValueError, match="no"):
        write(tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(tmp_path):
    (tmp_path / "f").write_bytes(b"before")
    with pytest.raises(FileExistsError), written_whole(tmp_path / "f") as file:
        file.write(b"after")
    with pytest.raises(FileExistsError), folder_written_whole(tmp_path):
        pass
    assert (tmp_path / "f").read_bytes() == b"before"


def _overtaken(place):
    with written_whole(place) as file:
        file.write(b"after")
        place.write_bytes(b"before")


def test_another_comes_first_while_it_is_written(tmp_path):
    with pytest.raises(FileExistsError):
        _overtaken(tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_folder_takes_the_place_of_an_empty_one(tmp_path):
    (tmp_path / "all").mkdir()
    with folder_written_whole(tmp_path / "all") as folder, written_whole(folder / "f") as file:
        file.write(b"content")
    assert (tmp_path / "all" / "f").read_bytes() == b"content"
