"""Voila, with everything closed off that viewers of the lecture pages do not need."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado import web
from traitlets import Float
from traitlets.config import Config
from voila.app import Voila

from . import HERE, Page, contents, phones

CULL_EVERY = 60  # seconds
QUIET = 10  # seconds without a question, after which a kernel for the next visitor is warmed
GLANCE = 0.02  # seconds between two looks at whether a viewer's kernel is busy, while another one is warmed
PATIENCE = 20  # seconds that it stands still at most: Voila gives up on a kernel that does not answer for a minute
LONGEST = 100  # characters of a setting
# what a page fetches: Voila's script, and the widget manager, which is a JupyterLab extension
OPEN = (
    r"/voila/static/",
    r"/voila/templates/",
    r"/voila/labextensions/",
    r"/voila/api/themes/",
    r"/voila/api/shutdown/",
    r"/voila/query/",
)
KERNELS, RENDER, LOGIN = r"/api/kernels/", r"/voila/render/(.*)", (r"/login", r"/logout")


def _is_warm(starting: asyncio.Task) -> bool:
    """Whether the notebook of a kernel in the pool has run."""
    return starting.done() and (starting.cancelled() or bool(starting.exception()) or starting.result()["task"].done())


class Kernels(AsyncMappingKernelManager):
    """Stops kernels that are idle or whose page is gone, but never one that is waiting for its first viewer."""

    grace = Float(30, config=True, help="seconds after which a kernel without a page is stopped")

    def __init__(self, **settings):
        super().__init__(**settings)
        self._viewed: set[str] = set()
        self._ways: set[asyncio.Task] = set()

    async def start_kernel(self, **choices) -> str:
        while self._is_spare(asyncio.current_task()) and self._is_asked():
            await asyncio.sleep(0.5)
        # a kernel's warnings are for its developers, and a lecturer waits for one line
        kernel_id = await super().start_kernel(**{"extra_arguments": ["--log-level=ERROR"]} | choices)
        way = asyncio.create_task(self._give_way(kernel_id, asyncio.current_task()))
        self._ways.add(way)  # or it would be collected as garbage
        way.add_done_callback(self._ways.discard)
        return kernel_id

    def _is_spare(self, starting: asyncio.Task) -> bool:
        """Whether the kernel that is being started is for the pool, and no visitor waits for it."""
        return any(starting in pool for pool in getattr(self, "_pools", {}).values())

    def _open_pages(self) -> list:
        return [self.get_kernel(one) for one in self._viewed if one in self and self._kernel_connections.get(one)]

    def _is_asked(self) -> bool:
        """Whether somebody looks at a page and uses it: what a new kernel loads would slow its answers down."""
        since = datetime.now(timezone.utc) - timedelta(seconds=QUIET)
        return any(one.execution_state == "busy" or one.last_activity > since for one in self._open_pages())

    async def _give_way(self, kernel_id: str, starting: asyncio.Task) -> None:
        """Let a kernel that is being warmed for the pool stand still while a viewer's kernel answers."""
        stands, stood = False, 0.0
        while kernel_id in self and hasattr(signal, "SIGSTOP"):  # Windows has none
            warming = self._is_spare(starting) and not _is_warm(starting)
            waits = warming and stood < PATIENCE and any(one.execution_state == "busy" for one in self._open_pages())
            if waits != stands:
                stands = waits
                await self.get_kernel(kernel_id).signal_kernel(signal.SIGSTOP if stands else signal.SIGCONT)
            if not warming:
                return
            stood += GLANCE if stands else 0
            await asyncio.sleep(GLANCE)

    def notify_connect(self, kernel_id: str) -> None:
        self._viewed.add(kernel_id)
        super().notify_connect(kernel_id)

    def notify_disconnect(self, kernel_id: str) -> None:
        super().notify_disconnect(kernel_id)
        asyncio.get_event_loop().create_task(self._end_if_left(kernel_id))

    async def _end_if_left(self, kernel_id: str) -> None:
        await asyncio.sleep(self.grace)  # a page that only lost its connection comes back
        if kernel_id in self and not self._kernel_connections.get(kernel_id):
            await self.shutdown_kernel(kernel_id)

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        if kernel_id in self._viewed:
            await super().cull_kernel_if_idle(kernel_id)


class Contents(JupyterHandler):
    """The page at the root."""

    def initialize(self, pages: Sequence[Page], phones: str) -> None:
        self.pages, self.phones = pages, phones

    @web.authenticated
    def get(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.finish(contents(self.pages, self.base_url, self.phones))


class Code(JupyterHandler):
    """The QR code of a page for phones, as the scene that asks for it is now."""

    def initialize(self, phones: str) -> None:
        self.phones = phones

    @web.authenticated
    def get(self) -> None:
        asked = {name: self.get_query_argument(name, "") for name in ("page", "picture", "target", "method", "size")}
        if max(map(len, asked.values())) > LONGEST or asked["page"] not in phones.PAGES:
            raise web.HTTPError(404)
        self.set_header("Content-Type", "image/svg+xml")
        self.finish(phones.code(phones.link(self.phones, **asked)))


class Lecture(Voila):
    """Voila with our contents page instead of a list of files, and only the given pages."""

    name = "voila"
    pages: Sequence[Page] = ()
    phones: str = ""
    when_ready: Callable[[], None] = staticmethod(lambda: None)
    config_file_paths: Sequence[str] = ()  # somebody's own voila.json must not open what is closed here

    def init_handlers(self) -> list:
        asyncio.get_event_loop().create_task(self._tell_when_ready())
        root = self.server_url.rstrip("/")
        kept = [(f"{root}/", Contents, {"pages": self.pages, "phones": self.phones})]
        if self.phones:
            kept.append((f"{root}/phones/code.svg", Code, {"phones": self.phones}))
        names = "|".join(page.file.replace(".", r"\.") for page in self.pages)
        for pattern, *rest in super().init_handlers():
            if any(part in pattern for part in (KERNELS, *OPEN)) or pattern.endswith(LOGIN):
                kept.append((pattern, *rest))
            elif pattern.endswith(RENDER):
                kept.append((pattern.replace("(.*)", f"({names})"), *rest))
        return kept

    async def _tell_when_ready(self) -> None:
        for pool in list(self.kernel_manager._pools.values()):
            for starting in list(pool):
                await (await starting)["task"]  # until the whole notebook has run
        self.when_ready()


def settings(
    folder: Path, *, ip: str, port: int, token: str, viewers: int, idle_minutes: float, grace: float
) -> Config:
    """The settings for Voila."""
    return Config(
        {
            "Voila": {
                "root_dir": str(folder), "ip": ip, "port": port, "port_retries": 0, "open_browser": False,
                "token": token,
            },
            "VoilaConfiguration": {
                "template": "lecture", "theme": "light", "allow_template_override": "NO",
                "allow_theme_override": "NO", "strip_sources": True, "show_tracebacks": False, "file_allowlist": [],
                "preheat_kernel": True, "default_pool_size": viewers, "multi_kernel_manager_class": Kernels,
            },
            "Kernels": {"grace": grace},
            "MappingKernelManager": {
                "cull_idle_timeout": round(60 * idle_minutes), "cull_interval": CULL_EVERY,
                "cull_connected": True,  # a page that is left open all night stays connected
            },
        }
    )  # fmt: skip


def serve(folder: Path, pages: Sequence[Page], *, ready: Callable[[], None], phones: str = "", **choices) -> None:
    """Serve the pages in a folder until Ctrl-C. phones: the address that their QR codes lead to, if any."""
    # Voila looks for templates on Jupyter's path; kernels inherit these settings.
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("JUPYTER_PATH")]))
    os.environ["FOOLING_NO_TWINS"] = "1"  # nobody sees the widgets' static pictures in a lecture
    config = settings(folder, **choices)
    if phones:
        config.VoilaConfiguration.page_config_hook = lambda current, **_: {**current, "phones": phones}
    app = Lecture(config=config, log_level="ERROR")
    app.pages, app.when_ready, app.phones = pages, ready, phones
    app.initialize([])
    app.start()
