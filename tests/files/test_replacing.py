"""A file is complete or not there: two that write at once, a full disk, no permission."""

import os
import subprocess
import sys
import threading

import pytest
import torch

from fooling_utils import evolve, load_archive, load_image, save_png, uniform_noise
from fooling_utils.evolution.evolve import Encoding
from fooling_utils.files import replacing
from fooling_utils.networks.small import digit_net, load_weights, save_weights
from nets import linear

NOISE = Encoding(
    "noise", lambda count, generator: torch.rand(count, 3, 4, 4, generator=generator), lambda g, _: g, lambda g: g
)


def archive():
    return next(evolve(linear(torch.eye(48)[:3], shape=(3, 4, 4)), NOISE, generations=1))


WRITERS = {
    "archive": (lambda path: archive().save(path), load_archive),
    "picture": (lambda path: save_png(uniform_noise(size=64), path), lambda path: load_image(path, 64)),
    "weights": (lambda path: save_weights(digit_net(3).eval(), path), load_weights),
}
writers = pytest.mark.parametrize("kind", WRITERS)


@writers
def test_the_old_file_stays_until_the_new_one_is_complete(kind, tmp_path, monkeypatch):
    write, read = WRITERS[kind]
    path = tmp_path / "file"
    write(path)
    before = path.read_bytes()

    def full(*names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=r"No space left on device: nothing was written: '.*file'"):
        write(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["file"]
    read(path)


FULL = """
import resource, signal, sys
from test_replacing import WRITERS
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
for kind, (write, _) in WRITERS.items():
    try:
        write(sys.argv[1] + "/" + kind)
    except OSError as error:
        print(kind, error.errno, error.filename)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_disk_that_fills_up_leaves_the_old_files_and_no_rubbish(tmp_path):
    for kind in WRITERS:
        (tmp_path / kind).write_bytes(b"old")
    paths = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})
    assert run.stdout.splitlines() == [f"{kind} 27 {tmp_path / kind}" for kind in WRITERS], run.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(WRITERS, b"old")


def test_many_that_write_one_file_at_once_leave_one_of_theirs(tmp_path):
    together = threading.Barrier(8)

    def write(number):
        with replacing(tmp_path / "file") as file:
            for _ in range(20):
                together.wait(10)
                file.write(bytes([number]) * 100)
                file.flush()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    content = (tmp_path / "file").read_bytes()
    assert len(content) == 2000
    assert len(set(content)) == 1
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_pipe_stays_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with replacing(tmp_path / "pipe") as file:
        file.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_device_that_is_full_is_named():
    with pytest.raises(OSError, match="No space left on device: nothing was written: '/dev/full'"):
        save_png(uniform_noise(size=64), "/dev/full")


def test_a_text_file_is_no_place_for_a_picture(tmp_path):
    with open(tmp_path / "file", "w") as file, pytest.raises(TypeError, match=r"open binary file, got .*'wb'"):
        save_png(uniform_noise(size=4), file)


def test_what_fails_half_way_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "file") as file:
        file.write(b"half")
        1 / 0  # noqa: B018
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="links and modes are those of Unix")
def test_a_link_stays_a_link_and_the_mode_stays(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with replacing(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@writers
def test_where_nothing_can_be_written_the_message_names_the_file(kind, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing was written: '.*nowhere.file'"):
        WRITERS[kind][0](tmp_path / "nowhere" / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"nothing was written: '.*folder'"):
        WRITERS[kind][0](tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("read", [load_archive, load_weights, lambda path: load_image(path)])
def test_a_file_that_may_not_be_read_is_not_called_damaged(read, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"secret")

    def refused(*arguments, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refused)
    with pytest.raises(PermissionError, match="Permission denied"):
        read(path)
