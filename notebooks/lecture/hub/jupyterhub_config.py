"""JupyterHub for a class on one machine: each student gets a JupyterLab and a copy of the lessons to write in.

On Linux, in a folder that every account can read (not in somebody's home):

    python3 -m venv .venv && source .venv/bin/activate
    python -m pip install -r requirements.txt -e . "jupyterhub>=5.3"
    npm install -g configurable-http-proxy

Try it on your own machine, without accounts; only this machine can reach it, and everybody shares one password:

    FOOLING_CLASSROOM_DEMO=1 FOOLING_CLASSROOM_PASSWORD=... jupyterhub -f notebooks/lecture/hub/jupyterhub_config.py

For a class: as root, in a folder that only root can read (the hub keeps its database and its secrets there), for
students who have an account on the machine:

    FOOLING_CLASSROOM_STUDENTS=ada,grace FOOLING_CLASSROOM_CERT=... FOOLING_CLASSROOM_KEY=... jupyterhub -f ...

    FOOLING_CLASSROOM_STUDENTS       who may log in: names with commas, or a file with one name in each line
    FOOLING_CLASSROOM_TEACHERS       the same, for those who may also see and stop the servers of others
    FOOLING_CLASSROOM_AUTHENTICATOR  who checks passwords: pam (the accounts of this machine) unless you name another
    FOOLING_CLASSROOM_SPAWNER        local, or systemd (see below)
    FOOLING_CLASSROOM_CERT, _KEY     files of a TLS certificate; without them only this machine can reach the hub
    FOOLING_CLASSROOM_THREADS        threads for each student's computations
    FOOLING_CLASSROOM_PROXY          the command of configurable-http-proxy, if it is not on the PATH

The spawner `local` starts plain processes: nothing holds a student to the limits of memory and processor below, and one
who asks for all the memory of the machine gets it. The spawner `systemd` enforces them, on a machine that runs systemd
(`python -m pip install jupyterhub-systemdspawner`). DockerSpawner does as well, with the Dockerfile beside this file;
its networking is yours to configure.
"""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821  JupyterHub provides it

HERE = Path(__file__).resolve().parent
OPEN = ("dummy", "shared")  # authenticators that let everybody be anybody
SPAWNERS = {"local": "jupyterhub.spawner.LocalProcessSpawner", "systemd": "systemdspawner.SystemdSpawner"}
HOURS = 3600


def setting(name, default=""):
    return os.environ.get(f"FOOLING_CLASSROOM_{name}", default).strip()


def names(name):
    """The names in a setting: a list with commas, or a file with one name in each line."""
    text = setting(name)
    if "/" in text:
        text = Path(text).expanduser().read_text(encoding="utf-8")
    return {word for word in text.replace(",", " ").split() if word}


# ------------------------------------------------------------------------------------------------- who may come in

demo = setting("DEMO") == "1"
authenticator = setting("AUTHENTICATOR", "pam")
certificate, key = setting("CERT"), setting("KEY")

if demo:
    if len(setting("PASSWORD")) < 8:
        raise SystemExit("FOOLING_CLASSROOM_PASSWORD must have at least 8 characters: everybody logs in with it.")
    if certificate or key:
        raise SystemExit("The demonstration is for this machine only: unset FOOLING_CLASSROOM_DEMO to serve a class.")
    c.JupyterHub.authenticator_class = "shared-password"  # came with JupyterHub 5.3
    c.SharedPasswordAuthenticator.user_password = setting("PASSWORD")
    c.Authenticator.allow_all = True
else:
    if any(word in authenticator.lower() for word in OPEN):
        raise SystemExit(
            f"FOOLING_CLASSROOM_AUTHENTICATOR={authenticator} lets everybody log in as anybody. Take another, such as "
            "pam; to try the hub on your own machine, set FOOLING_CLASSROOM_DEMO=1 and FOOLING_CLASSROOM_PASSWORD."
        )
    if not names("STUDENTS"):
        raise SystemExit(
            "FOOLING_CLASSROOM_STUDENTS is empty, so nobody could log in: give names with commas (ada,grace), or the "
            "path of a file with one name in each line. To try the hub without accounts: FOOLING_CLASSROOM_DEMO=1."
        )
    if bool(certificate) != bool(key):
        raise SystemExit("FOOLING_CLASSROOM_CERT and FOOLING_CLASSROOM_KEY belong together: set both, or none.")
    c.JupyterHub.authenticator_class = authenticator
    c.Authenticator.allowed_users = names("STUDENTS") | names("TEACHERS")
    c.Authenticator.admin_users = names("TEACHERS")

# Passwords in clear text stay on this machine; a proxy of your own with TLS can stand in front of it.
if certificate:
    c.JupyterHub.ssl_cert, c.JupyterHub.ssl_key = certificate, key
    c.JupyterHub.bind_url = "https://:8000"
else:
    c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.ConfigurableHTTPProxy.command = [setting("PROXY", "configurable-http-proxy")]

# ------------------------------------------------------------------------------------------- what each student gets

# Two hours after the last cell the kernel goes, even if a browser still shows it: the kernel holds the memory. A server
# without kernels goes another hour later. The files stay, and so do the outputs that were saved.
c.Spawner.cmd = [sys.executable, str(HERE / "start_student.py")]
c.Spawner.args = [
    f"--MappingKernelManager.cull_idle_timeout={2 * HOURS}",
    "--MappingKernelManager.cull_connected=True",
    f"--ServerApp.shutdown_no_activity_timeout={1 * HOURS}",
]
c.Spawner.default_url = "/lab/tree/fooling/00_start_here.ipynb"

# One thread: when a class runs a cell at the same moment, more threads than cores only wait for each other.
c.Spawner.environment = {"OMP_NUM_THREADS": setting("THREADS", "1")}

# Lesson 2 grows to 2 GiB and keeps them (tests/benchmarks/classroom.py). Only some spawners enforce the limits.
c.Spawner.mem_guarantee = "2G"
c.Spawner.mem_limit = "3G"
c.Spawner.cpu_guarantee = 0.1
c.Spawner.cpu_limit = 1.0

# A whole class logs in within a minute, and the servers start more slowly than one alone does.
c.Spawner.start_timeout = 300
c.Spawner.http_timeout = 300

if demo:
    # No accounts, so no isolation: every student's processes belong to whoever started the hub.
    c.JupyterHub.spawner_class = "simple"
    c.SimpleLocalProcessSpawner.home_dir_template = str(Path.cwd() / "homes" / "{username}")
    if os.geteuid() == 0:
        c.Spawner.args = [*c.Spawner.args, "--allow-root"]
elif setting("SPAWNER", "local") in SPAWNERS:
    c.JupyterHub.spawner_class = SPAWNERS[setting("SPAWNER", "local")]
else:
    raise SystemExit(f"FOOLING_CLASSROOM_SPAWNER={setting('SPAWNER')} is not one of {', '.join(SPAWNERS)}.")
