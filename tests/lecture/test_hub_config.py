"""JupyterHub for a class: nobody gets in by accident, no student's work is overwritten, both configurations agree."""

import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
from nbformat.v4 import new_code_cell, new_notebook
from traitlets.config.loader import PyFileConfigLoader

ROOT = Path(__file__).resolve().parent.parent.parent
LESSONS = ROOT / "notebooks"
HUB = LESSONS / "lecture/hub"
PASSWORD = "a shared password"
DEMO = {"DEMO": "1", "PASSWORD": PASSWORD}
CLASS = {"STUDENTS": "ada,grace"}
PROXY = shutil.which(os.environ.get("FOOLING_CLASSROOM_PROXY", "configurable-http-proxy"))

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="JupyterHub does not run on Windows")
no_hub = importlib.util.find_spec("jupyterhub") is None
needs_hub = pytest.mark.skipif(no_hub, reason='jupyterhub is not installed: pip install "jupyterhub>=5.3"')
needs_proxy = pytest.mark.skipif(
    PROXY is None,
    reason="no configurable-http-proxy on the PATH or in FOOLING_CLASSROOM_PROXY: npm install configurable-http-proxy",
)


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = loaded  # a dataclass looks for its module there
    spec.loader.exec_module(loaded)
    return loaded


start_student = module(HUB / "start_student.py")
classroom = module(ROOT / "tests/benchmarks/classroom.py")
values = yaml.safe_load((HUB / "values.yaml").read_text(encoding="utf-8"))
student = values["singleuser"]


@pytest.fixture
def configure(monkeypatch):
    """Load the configuration with nothing but these settings in the environment."""

    def load(**settings):
        for name in [name for name in os.environ if name.startswith("FOOLING_CLASSROOM_")]:
            monkeypatch.delenv(name)
        for name, value in settings.items():
            monkeypatch.setenv(f"FOOLING_CLASSROOM_{name}", value)
        return PyFileConfigLoader("jupyterhub_config.py", path=str(HUB)).load_config()

    return load


# ------------------------------------------------------------------------------------------------- who may come in

REFUSED = [
    ({}, "FOOLING_CLASSROOM_STUDENTS is empty"),
    ({"STUDENTS": " , "}, "FOOLING_CLASSROOM_STUDENTS is empty"),
    ({"DEMO": "0", "PASSWORD": PASSWORD}, "FOOLING_CLASSROOM_STUDENTS is empty"),
    ({"DEMO": "yes", "PASSWORD": PASSWORD}, "FOOLING_CLASSROOM_STUDENTS is empty"),
    ({"DEMO": "1"}, "FOOLING_CLASSROOM_PASSWORD must have"),
    ({"DEMO": "1", "PASSWORD": "       "}, "FOOLING_CLASSROOM_PASSWORD must have"),
    ({"DEMO": "1", "PASSWORD": "1234567"}, "FOOLING_CLASSROOM_PASSWORD must have"),
    ({**DEMO, "CERT": "cert.pem", "KEY": "key.pem"}, "this machine only"),
    ({**CLASS, "AUTHENTICATOR": "dummy"}, "as anybody"),
    ({**CLASS, "AUTHENTICATOR": "jupyterhub.auth.DummyAuthenticator"}, "as anybody"),
    ({**CLASS, "AUTHENTICATOR": "shared-password"}, "as anybody"),
    ({**CLASS, "AUTHENTICATOR": "jupyterhub.authenticators.shared.SharedPasswordAuthenticator"}, "as anybody"),
    ({**CLASS, "CERT": "cert.pem"}, "belong together"),
    ({**CLASS, "KEY": "key.pem"}, "belong together"),
    ({**CLASS, "SPAWNER": "simple"}, "FOOLING_CLASSROOM_SPAWNER=simple"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED)
def test_it_does_not_start_with(configure, settings, message):
    with pytest.raises(SystemExit, match=message):
        configure(**settings)


def test_the_demonstration_is_for_this_machine_only(configure):
    config = configure(**DEMO, AUTHENTICATOR="pam", STUDENTS="ada")
    assert config.JupyterHub.bind_url == "http://127.0.0.1:8000"
    assert config.JupyterHub.authenticator_class == "shared-password"
    assert config.SharedPasswordAuthenticator.user_password == PASSWORD


@pytest.mark.parametrize("spawner", ["local", "systemd"])
def test_a_class_has_a_list_of_students_and_processes_of_their_own(configure, spawner):
    config = configure(STUDENTS="ada, grace", TEACHERS="alan", SPAWNER=spawner)
    assert config.JupyterHub.authenticator_class == "pam"
    assert config.Authenticator.allowed_users == {"ada", "grace", "alan"}
    assert config.Authenticator.admin_users == {"alan"}
    assert "allow_all" not in config.Authenticator
    assert config.JupyterHub.spawner_class in {
        "jupyterhub.spawner.LocalProcessSpawner",
        "systemdspawner.SystemdSpawner",
    }
    assert "--allow-root" not in config.Spawner.args


def test_students_can_come_from_a_file(configure, tmp_path):
    (tmp_path / "students").write_text("ada\ngrace\n\n")
    assert configure(STUDENTS=str(tmp_path / "students")).Authenticator.allowed_users == {"ada", "grace"}


def test_other_machines_reach_it_only_with_a_certificate(configure):
    assert configure(**CLASS).JupyterHub.bind_url == "http://127.0.0.1:8000"
    config = configure(**CLASS, CERT="cert.pem", KEY="key.pem")
    assert config.JupyterHub.bind_url == "https://:8000"
    assert (config.JupyterHub.ssl_cert, config.JupyterHub.ssl_key) == ("cert.pem", "key.pem")


@needs_hub
@pytest.mark.parametrize("settings", [DEMO, {**CLASS, "TEACHERS": "alan", "CERT": "a", "KEY": "b"}])
def test_every_setting_is_one_that_jupyterhub_knows(configure, settings):
    from jupyterhub.app import JupyterHub
    from jupyterhub.auth import Authenticator
    from jupyterhub.authenticators.shared import SharedPasswordAuthenticator
    from jupyterhub.proxy import ConfigurableHTTPProxy
    from jupyterhub.spawner import SimpleLocalProcessSpawner, Spawner

    classes = [JupyterHub, Authenticator, SharedPasswordAuthenticator, ConfigurableHTTPProxy]
    classes = {known.__name__: known for known in [*classes, SimpleLocalProcessSpawner, Spawner]}
    for section, content in configure(**settings).items():
        assert set(content) <= set(classes[section].class_traits(config=True))


def test_every_option_is_one_that_the_students_server_knows(configure):
    classes = {known.__name__: known for known in (MappingKernelManager, ServerApp)}
    for option in configure(**CLASS).Spawner.args:
        section, name = option.removeprefix("--").partition("=")[0].split(".")
        assert name in classes[section].class_traits(config=True)


# ----------------------------------------------------------------------------------------- the values of the chart


def test_the_chart_lets_nobody_in_until_somebody_chooses():
    assert values["hub"]["config"]["JupyterHub"]["authenticator_class"] == "jupyterhub.auth.NullAuthenticator"
    assert values["hub"]["config"]["Authenticator"]["allowed_users"] == []
    assert values["proxy"]["service"]["type"] == "ClusterIP"


@needs_hub
def test_its_authenticator_exists():
    from jupyterhub.auth import NullAuthenticator

    assert NullAuthenticator.__name__ == "NullAuthenticator"


def test_both_give_a_student_the_same(configure):
    spawner = configure(**CLASS).Spawner
    assert student["memory"] == {"guarantee": spawner.mem_guarantee, "limit": spawner.mem_limit}
    assert student["cpu"] == {"guarantee": spawner.cpu_guarantee, "limit": spawner.cpu_limit}
    assert student["extraEnv"] == spawner.environment
    assert student["defaultUrl"] == spawner.default_url
    assert student["startTimeout"] == spawner.start_timeout
    assert student["cmd"][2:] == spawner.args
    assert Path(student["cmd"][1]).name == Path(spawner.cmd[1]).name == "start_student.py"
    assert Path(spawner.cmd[1]).is_file()


def test_a_limit_is_above_its_guarantee(configure):
    spawner = configure(**CLASS).Spawner
    guarantee, limit = (
        float(re.fullmatch(r"([\d.]+)G", text)[1]) for text in (spawner.mem_guarantee, spawner.mem_limit)
    )
    assert guarantee < limit
    assert spawner.cpu_guarantee < spawner.cpu_limit


def test_the_hub_stops_a_server_no_earlier_than_the_server_stops_itself():
    seconds = [int(option.partition("=")[2]) for option in student["cmd"] if option.endswith("00")]
    assert len(seconds) == 2
    assert values["cull"]["enabled"]
    assert values["cull"]["timeout"] >= sum(seconds)


def test_the_first_page_is_a_lesson_of_the_copy(configure):
    page = configure(**CLASS).Spawner.default_url.removeprefix("/lab/tree/")
    folder, _, lesson = page.partition("/")
    assert folder == start_student.COPY
    assert lesson == "00_start_here.ipynb"
    assert (LESSONS / lesson).is_file()


# ------------------------------------------------------------------------------------------------------ the image


def instructions():
    lines = (HUB / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line and not line.startswith("#")]


def arguments(name):
    return [text for instruction, text in instructions() if instruction == name]


def test_the_image_installs_what_everybody_installs():
    lines = [f"{name} {text}" for name, text in instructions()]
    copied = lines.index("COPY requirements.txt ./")
    (small_torch,) = (i for i, line in enumerate(lines) if "https://download.pytorch.org/whl/cpu" in line)
    (everything,) = (i for i, line in enumerate(lines) if "pip install" in line and " -r requirements.txt" in line)
    assert copied < small_torch < everything  # otherwise pip takes the large build


def test_the_image_copies_files_that_exist():
    names = [name for text in arguments("COPY") for name in text.split()[:-1]]
    assert {"requirements.txt", "pyproject.toml", "fooling_utils", "notebooks"} <= set(names)
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_image_agrees_with_the_values():
    assert yaml.safe_load(arguments("CMD")[-1]) == student["cmd"][:2]
    course, home = arguments("WORKDIR")
    assert student["cmd"][1] == f"{course}/{(HUB / 'start_student.py').relative_to(ROOT).as_posix()}"
    assert home == student["storage"]["homeMountPath"]
    assert f"HOME={home}" in arguments("ENV")
    assert arguments("USER") == ["1000"]


# ------------------------------------------------------------------------------------------------ a student's copy


@pytest.fixture
def lessons(tmp_path):
    folder = tmp_path / "notebooks"
    names = ["00_start_here.ipynb", "images/bus.png", "lecture/hub/secret.py", ".ipynb_checkpoints/00_start_here.ipynb"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("ours")
    return folder


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_first_start_copies_the_lessons(lessons, tmp_path):
    (lessons / "00_start_here.ipynb").chmod(0o444)
    start_student.copy_course(lessons, tmp_path / "home/fooling")
    assert files(tmp_path / "home/fooling") == {"00_start_here.ipynb", "images/bus.png"}
    assert (tmp_path / "home/fooling/00_start_here.ipynb").stat().st_mode & 0o200  # the student's to write


def test_a_later_start_keeps_what_the_student_changed(lessons, tmp_path):
    home = tmp_path / "home"
    start_student.copy_course(lessons, home)
    (home / "00_start_here.ipynb").write_text("mine")
    (home / "mine.ipynb").write_text("mine")
    (home / "images/bus.png").unlink()
    (lessons / "01_new.ipynb").write_text("new")
    (lessons / "00_start_here.ipynb").write_text("a newer edition")
    assert [path.as_posix() for path in start_student.copy_course(lessons, home)] == ["01_new.ipynb", "images/bus.png"]
    assert (home / "00_start_here.ipynb").read_text() == "mine"
    assert (home / "mine.ipynb").read_text() == "mine"


def test_a_link_that_leads_nowhere_is_kept(lessons, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "00_start_here.ipynb").symlink_to(tmp_path / "elsewhere")
    start_student.copy_course(lessons, home)
    assert (home / "00_start_here.ipynb").is_symlink()
    assert not (tmp_path / "elsewhere").exists()


def test_half_a_copy_is_not_taken_for_a_lesson(lessons, tmp_path, monkeypatch):
    def full_disk(source, target):
        target.write_text("ou")
        raise OSError("no space left")

    whole = shutil.copyfile
    monkeypatch.setattr(shutil, "copyfile", full_disk)
    with pytest.raises(OSError, match="no space"):
        start_student.copy_course(lessons, tmp_path / "home")
    monkeypatch.setattr(shutil, "copyfile", whole)
    start_student.copy_course(lessons, tmp_path / "home")
    assert (tmp_path / "home/00_start_here.ipynb").read_text() == "ours"
    assert files(tmp_path / "home") == {"00_start_here.ipynb", "images/bus.png"}


def test_the_server_starts_even_where_nothing_can_be_copied(tmp_path, monkeypatch, capsys):
    (tmp_path / start_student.COPY).write_text("a file where the folder should be")
    started = []
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(os, "execv", lambda path, command: started.append(command))
    monkeypatch.setattr(sys, "argv", ["start_student.py", "--some=option"])
    start_student.main()
    assert started == [[sys.executable, "-m", "jupyterhub.singleuser", "--some=option"]]
    assert "could not be copied" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------ a real hub


def test_the_simulation_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="JupyterHub is not installed"):
        classroom.find_proxy("configurable-http-proxy")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(SystemExit, match="npm install configurable-http-proxy"):
        classroom.find_proxy("no-such-proxy")


@needs_hub
@needs_proxy
def test_a_student_gets_in_with_the_password_and_keeps_a_changed_lesson(tmp_path):
    import requests

    with classroom.running_hub(tmp_path, PROXY, 1, PASSWORD) as (address, watcher):
        with pytest.raises(requests.HTTPError, match="403"):
            classroom.Student(address, "mallory").log_in("a wrong password")
        ada = classroom.Student(address, "ada")
        ada.log_in(PASSWORD)
        changed = tmp_path / "homes/ada/fooling/01_class_visualization.ipynb"
        changed.parent.mkdir(parents=True)
        changed.write_text("mine")
        assert ada.start_server() == f"{address}/user/ada/lab/tree/fooling/00_start_here.ipynb"
        assert ada.sources(LESSONS / "00_start_here.ipynb")[1]
        assert changed.read_text() == "mine"
        watcher.look()
        processes = watcher.seen.values()
    assert len(processes) >= 3  # hub, proxy, server
    assert not any(process.is_running() for process in processes)


@needs_hub
@needs_proxy
def test_two_students_run_a_notebook(tmp_path):
    cells = ["import os\nassert os.environ['OMP_NUM_THREADS'] == '3'", "numbers = bytearray(300 * 2**20)", "1 / 0"]
    notebook = new_notebook(cells=[new_code_cell(source) for source in [*cells, "import time\ntime.sleep(2.5)"]])
    nbformat.write(notebook, tmp_path / "short.ipynb")
    runs, watcher = classroom.simulate(2, tmp_path / "short.ipynb", 3, PROXY)
    assert [run.errors for run in runs] == [["code cell 3: ZeroDivisionError: division by zero"]] * 2
    assert all(len(run.cells) == 4 and run.cells[3] > 2.5 for run in runs)
    for run in runs:
        assert watcher.peaks[run.name, "kernel"] > 300 > watcher.peaks[run.name, "server"] > 20
        assert watcher.cpu(run.name) > 0.5
    text = classroom.report(runs, watcher, minutes=60)
    assert "students per GiB" in text
    assert "students per core" in text
