"""python -m fooling_utils.web: a folder that is complete, or an error that loses nothing."""

import pytest

from fooling_utils.web import MARK, Missing, build, libraries, main


@pytest.mark.parametrize("path", ["app/player.js", "app/plane_canvas.js", "app/runtime/ort.wasm.min.mjs", MARK])
def test_the_folder_has_what_the_pages_load(site, path):
    assert (site / path).stat().st_size


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("two years of work")
    with pytest.raises(ValueError, match="other files, which would be lost: name a new folder"):
        build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file: name a folder"):
        build(tmp_path / "file")


def test_without_npm_the_error_says_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("fooling_utils.web.HERE", tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(Missing, match=r"needs npm, which comes with Node\.js: https://nodejs\.org"):
        libraries()


def test_the_command_ends_with_a_sentence(tmp_path):
    (tmp_path / "thesis.txt").write_text("two years of work")
    with pytest.raises(SystemExit, match="name a new folder"):
        main([str(tmp_path)])
