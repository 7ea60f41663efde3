"""What is served with the lecture pages, and above all what is not."""

import asyncio
import json
import os
import re
import signal
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

from fooling_utils import lecture

pytest.importorskip("voila", reason="Voila is not installed: pip install -r requirements.txt")

from browsing import write_notebooks
from lecturing import lecture_of, websocket

PAGES = {
    "01_first.ipynb": ["# First *page*\n\nA sentence.", "secret_source = 6 * 7\nprint('answer', secret_source)"],
    "02_broken.ipynb": ["# Second page", "secret_list = [1]\nsecret_list[7]", "print('after')"],
    "notes.ipynb": ["# Not a page", "print('private notes')"],
    "deeper/03_third.ipynb": ["# In a folder below", "print('deeper')"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_notebooks(tmp_path_factory.mktemp("lecture"), PAGES)
    (folder / "secret.txt").write_text("private text")
    (folder / "secret.png").write_text("private picture")
    (folder / "secret.py").write_text("private_code = 1")
    return folder


@pytest.fixture(scope="module")
def served(folder):
    with lecture_of(folder, "--port", "8870") as served:
        yield served


# ---------------------------------------------------------------------------------------------------- what is served


def test_the_contents_page_lists_the_pages_in_order(served):
    status, text = served.ask("")
    assert status == 200
    assert re.findall(r"<b>(.*?)</b>", text) == ["First", "Broken"]  # as the instructor's table calls them
    assert re.findall(r"<span>(.*?)</span>", text) == ["First page", "Second page"]
    assert "notes" not in text


def test_a_page_shows_what_its_code_gives_and_not_its_code(served):
    text = served.page()
    assert "answer 42" in text
    assert "secret_source" not in text


def test_an_error_is_shown_without_the_code_around_it(served):
    text = served.page("02_broken.ipynb")
    assert "secret_list" not in text
    assert "rror" in text


def test_nothing_comes_from_another_host(served):
    for text in (served.ask("")[1], served.page()):
        assert re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=.(?:https?:)?//[^\"']*", text) == []
        assert re.findall(r"(?:@import|from)\s*[\"'(]+https?://[^\"']*", text) == []


def test_every_viewer_has_a_kernel_of_their_own(served):
    assert served.kernel() != served.kernel()


def test_a_kernel_ends_with_its_page(served):
    kernel = served.kernel()
    assert served.ask(f"api/kernels/{kernel}")[0] == 200
    assert served.ask(f"voila/api/shutdown/{kernel}", method="POST", data=b"")[0] in (200, 204)
    assert served.ask(f"api/kernels/{kernel}")[0] == 404


# ------------------------------------------------------------------------------------------------ what is not served

CLOSED = [
    "notes.ipynb", "secret.txt", "secret.png", "secret.py", "01_first.ipynb",
    "voila/render/notes.ipynb", "voila/render/deeper/03_third.ipynb", "voila/render/secret.txt",
    "voila/render/../notes.ipynb", "voila/render/%2e%2e/notes.ipynb", "voila/render/..%2fnotes.ipynb",
    "voila/render/01_first.ipynb/../notes.ipynb", "voila/render//etc/hostname", "voila/render/",
    "voila/tree", "voila/tree/", "voila/tree/deeper", "voila/tree/..",
    "voila/files/secret.txt", "voila/files/secret.png", "voila/files/01_first.ipynb", "voila/files/secret.py",
    "voila/api/contents", "voila/api/contents/secret.txt", "api/contents", "api/contents/secret.txt",
    "api/kernels", "api/kernelspecs", "api/sessions", "api/terminals", "api/config/x", "terminals/1", "lab", "tree",
    "files/secret.txt", "edit/secret.py", "nbconvert/html/01_first.ipynb", "metrics",
    "voila/static/../../../../etc/hostname", "voila/static/%2e%2e/%2e%2e/%2e%2e/etc/hostname",
    "voila/templates/lab/static/%2e%2e/index.html.j2", "voila/templates/../../secret.txt",
    "voila/labextensions/%2e%2e/%2e%2e/secret.txt",
]  # fmt: skip


@pytest.mark.parametrize("path", CLOSED)
def test_nothing_else_is_served(served, path):
    status, text = served.ask(path)
    assert status in (400, 403, 404, 405, 500) or (status in (301, 302) and "/login" not in text)
    assert "private" not in text
    assert "secret_" not in text


def test_no_kernel_is_started_by_a_viewer(served):
    assert served.ask("api/kernels", method="POST", data=b'{"name": "python3"}')[0] in (403, 404, 405)


def message(kind, content, channel="shell"):
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": kind,
        "username": "",
        "session": "x",
        "version": "5.3",
        "date": "",
    }
    return json.dumps(
        {"channel": channel, "header": header, "parent_header": {}, "metadata": {}, "content": content, "buffers": []}
    )


def wait_for(connection, kind):
    while True:
        answer = json.loads(connection.recv())
        if answer["header"]["msg_type"] == kind:
            return answer


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_code_of_a_viewer_is_not_executed(served, folder, channel):
    connection = served.socket(served.kernel())
    trace = folder / f"trace {channel}"
    code = {"code": f"open({str(trace)!r}, 'w')", "silent": False, "store_history": False, "allow_stdin": False}
    connection.send(message("execute_request", code, channel))
    connection.send(message("kernel_info_request", {}))
    wait_for(connection, "kernel_info_reply")  # what was sent before has been dealt with
    connection.send(message("comm_info_request", {}))
    wait_for(connection, "comm_info_reply")
    connection.close()
    assert not trace.exists()


# ------------------------------------------------------------------------------------------------------------ tokens


@pytest.mark.parametrize("token", [None, "wrong"])
@pytest.mark.parametrize("path", ["", "voila/render/01_first.ipynb", "api/kernels/{kernel}"])
def test_without_the_token_nothing_is_shown(served, path, token):
    status, text = served.ask(path.format(kernel=served.kernel() if "kernel" in path else ""), token)
    assert status in (302, 401, 403)
    assert "answer 42" not in text
    assert "First" not in text


@pytest.mark.parametrize("token", [None, "wrong"])
def test_without_the_token_no_kernel_answers(served, token):
    kernel = served.kernel()
    with pytest.raises(websocket.WebSocketBadStatusException):
        served.socket(kernel, token)
    assert served.ask(f"voila/api/shutdown/{kernel}", token, method="POST", data=b"")[0] in (302, 401, 403)
    assert served.ask(f"api/kernels/{kernel}")[0] == 200


def test_a_token_is_made_unless_it_is_given():
    first, second = (lecture.token_for(None, no_token=False) for _ in range(2))
    assert first != second
    assert len(first) > 20
    assert lecture.token_for("mine", no_token=False) == "mine"


@pytest.mark.parametrize("token", ["", " "])
def test_an_empty_token_is_refused(token):
    with pytest.raises(ValueError, match="--no-token for none"):
        lecture.token_for(token, no_token=False)


def test_no_token_says_so_aloud(folder):
    with lecture_of(folder, "--no-token", "--port", "8880") as served:
        assert "WARNING: --no-token: the pages are open to everybody on this machine." in served.lines
        assert served.ask("", token=None)[0] == 200


@pytest.mark.parametrize(("ip", "own"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)])
def test_is_loopback(ip, own):
    assert lecture.is_loopback(ip) == own


def test_the_warning_names_who_is_let_in(monkeypatch, capsys, folder):
    monkeypatch.setattr("fooling_utils.lecture.server.serve", lambda *_, **__: None)
    lecture.main(["--folder", str(folder), "--ip", "0.0.0.0", "--no-token", "--no-browser", "--port", "8890"])
    assert "who can reach 0.0.0.0, and that may be many" in capsys.readouterr().out
    assert "FOOLING_NO_TWINS" not in os.environ  # the settings of its kernels begin with the server


# -------------------------------------------------------------------------------------------- kernels, folders, ports


def test_idle_kernels_are_ended_but_not_the_ones_that_wait_for_a_viewer(monkeypatch):
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

    from fooling_utils.lecture.server import Kernels

    asked = []

    async def cull(_self, kernel_id):
        asked.append(kernel_id)

    monkeypatch.setattr(AsyncMappingKernelManager, "cull_kernel_if_idle", cull)
    kernels = Kernels()
    kernels.notify_connect("viewed")
    for kernel_id in ("viewed", "waiting"):
        asyncio.run(kernels.cull_kernel_if_idle(kernel_id))
    assert asked == ["viewed"]


def test_a_kernel_without_a_page_is_ended_after_a_moment(monkeypatch):
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

    from fooling_utils.lecture.server import Kernels

    ended = []

    async def shut_down(_self, kernel_id):
        ended.append(kernel_id)

    monkeypatch.setattr(AsyncMappingKernelManager, "shutdown_kernel", shut_down)
    monkeypatch.setattr(AsyncMappingKernelManager, "__contains__", lambda *_: True)

    async def watch():
        kernels = Kernels(grace=0.05)
        kernels._kernel_connections.update(left=0, back=0)
        for kernel_id in ("left", "back"):
            kernels.notify_connect(kernel_id)
            kernels.notify_disconnect(kernel_id)
        kernels.notify_connect("back")
        assert ended == []
        await asyncio.sleep(0.2)

    asyncio.run(watch())
    assert ended == ["left"]


def test_the_settings_end_idle_kernels_and_keep_the_sources():
    from fooling_utils.lecture.server import settings

    config = settings(Path("x"), ip="127.0.0.1", port=1, token="t", viewers=3, idle_minutes=2, grace=30)
    assert config.MappingKernelManager.cull_idle_timeout == 120
    assert config.MappingKernelManager.cull_connected
    assert config.VoilaConfiguration.strip_sources
    assert not config.VoilaConfiguration.show_tracebacks
    assert config.VoilaConfiguration.default_pool_size == 3
    assert config.Voila.token == "t"


def test_a_folder_without_pages_is_explained(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="run this in the folder of the repository"):
        lecture.find_pages(tmp_path)
    with pytest.raises(SystemExit, match="no lecture pages"):
        lecture.main(["--folder", str(tmp_path), "--no-browser"])


def test_the_repository_has_a_page_for_every_lesson():
    lessons = [path.name for path in sorted(lecture.PAGES.parent.glob("[0-9][0-9]_*.ipynb"))]
    assert [page.file for page in lecture.find_pages(lecture.PAGES)] == lessons[:-1]  # lesson 6 only goes further


def test_a_taken_port_is_passed_over(served):
    assert lecture.free_port("127.0.0.1", 8870) > 8870
    with pytest.raises(OSError, match="choose another with --port"):
        lecture.free_port("127.0.0.1", 8870, tries=1)


def test_a_kernel_for_the_next_visitor_waits_until_nobody_asks(monkeypatch):
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

    from fooling_utils.lecture import server

    started = []

    async def start_kernel(self, **choices):
        started.append(asyncio.current_task().get_name())
        return "new"

    monkeypatch.setattr(AsyncMappingKernelManager, "start_kernel", start_kernel)

    async def rehearse():
        now = datetime.now(timezone.utc)
        kernels = server.Kernels()
        viewed = SimpleNamespace(execution_state="idle", last_activity=now + timedelta(hours=1))
        kernels._kernels, kernels._viewed, kernels._kernel_connections = {"viewed": viewed}, {"viewed"}, {"viewed": 1}
        spare = asyncio.create_task(kernels.start_kernel(), name="spare")
        wanted = asyncio.create_task(kernels.start_kernel(), name="wanted")
        kernels._pools = {"a page": [spare]}  # a visitor waits for the other one, which is out of the pool
        await wanted
        await asyncio.sleep(1.5)
        assert started == ["wanted"]
        viewed.execution_state, viewed.last_activity = "busy", now - timedelta(hours=1)
        await asyncio.sleep(1)
        assert started == ["wanted"]
        viewed.execution_state = "idle"
        await spare
        assert started == ["wanted", "spare"]

        viewed.last_activity, kernels._kernel_connections = (
            now + timedelta(hours=1),
            {"viewed": 0},
        )  # its page is closed
        again = asyncio.create_task(kernels.start_kernel(), name="again")
        kernels._pools = {"a page": [again]}
        await again

    asyncio.run(rehearse())
    assert started[-1] == "again"


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows has no signal to stand still")
def test_a_kernel_that_is_being_warmed_stands_still_while_a_key_is_answered(monkeypatch):
    from fooling_utils.lecture import server

    heard, viewed = [], SimpleNamespace(execution_state="idle")

    async def hear(number):
        heard.append((signal.Signals(number).name, viewed.execution_state))

    async def rehearse(pool_of):
        """Two keys while a kernel is warmed; whether it is still for the pool when the second one is pressed."""
        kernels = server.Kernels()
        warmed = asyncio.get_running_loop().create_future()  # its notebook has run
        starting = asyncio.create_task(asyncio.sleep(0, {"task": warmed}))
        kernels._kernels = {"viewed": viewed, "spare": SimpleNamespace(signal_kernel=hear)}
        kernels._viewed, kernels._kernel_connections, kernels._pools = {"viewed"}, {"viewed": 1}, {"a page": [starting]}
        gives_way = asyncio.create_task(kernels._give_way("spare", starting))
        for kernels._pools["a page"] in ([starting], pool_of(starting)):
            for viewed.execution_state in ("busy", "idle"):
                await asyncio.sleep(3 * server.GLANCE)
        warmed.set_result(None)
        await gives_way

    asyncio.run(rehearse(lambda starting: [starting]))
    assert heard == 2 * [("SIGSTOP", "busy"), ("SIGCONT", "idle")]
    heard.clear()
    asyncio.run(rehearse(lambda starting: []))  # a visitor waits for it
    assert heard == [("SIGSTOP", "busy"), ("SIGCONT", "idle")]
    heard.clear()
    monkeypatch.setattr(server, "PATIENCE", server.GLANCE)
    asyncio.run(rehearse(lambda starting: [starting]))
    assert heard == [("SIGSTOP", "busy"), ("SIGCONT", "busy")]
