"""The two experiments as pages: what is written by hand, the scripts of their widgets, and what these need."""

import shutil
from pathlib import Path

from ..widgets.kit import script
from . import HERE
from .network import export_network
from .plane import write_plane
from .player import write_player

RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def write(site: Path, node_modules: Path) -> None:
    """Write the pages into the folder of a site, and their files into its folder "app"."""
    app = site / "app"
    app.mkdir()
    for path in sorted((HERE / "app").iterdir()):
        shutil.copy(path, site if path.suffix == ".html" else app)
    for name in ("player", "plane_canvas"):
        (app / f"{name}.js").write_text(script(name), encoding="utf-8")
    write_plane(app)
    (app / "runtime").mkdir()
    for name in RUNTIME:
        shutil.copy(node_modules / "onnxruntime-web" / "dist" / name, app / "runtime")
    export_network(app / "network.onnx")
    write_player(app)
