"""What the player needs in a tab, taken from its widget: traits and settings as JSON, and its pictures."""

import json
import os
from pathlib import Path

import anywidget
import torch

from ..arguments import file_path
from ..images import save_png, to_uint8
from ..models import load_model
from ..widgets.player import FoolingPlayer

LARGEST_UPLOAD = 40_000_000  # bytes: nothing is sent anywhere, but a phone must have room for the pixels, too

LARGE = ("*.onnx", "*.wasm")  # what a page waits for, and shows how it goes


def write_player(app: str | os.PathLike) -> None:
    """Write player.json and pictures/NAME.png into the folder `app`: the pictures with which a FoolingPlayer starts.

    player.json has the traits that the widget's page knows, the first settings, the address of each picture, the sizes
    of the large files in `app`, and for a check of the browser the sum of the first picture's grey levels, its logits,
    and the L2 norm of the gradient of the target's log-probability.
    """
    file_path(app=app)
    app = Path(app)
    pictures = app / "pictures"
    pictures.mkdir(exist_ok=True)
    model = load_model(device="cpu")
    player = FoolingPlayer(model)
    settings = player.answer_begin()[0]["settings"]
    image = player.original.clone().requires_grad_()
    logits = model(image)
    (gradient,) = torch.autograd.grad(logits.log_softmax(1)[0, player.names.index(settings["target"])], image)
    names = player.picture_names
    for name in names:
        player.start(name, settings["target"])
        save_png(player.original, pictures / f"{name}.png")
    ours = set(FoolingPlayer.class_trait_names(sync=True)) - set(anywidget.AnyWidget.class_trait_names(sync=True))
    content = {
        "traits": {name: getattr(player, name) for name in sorted(ours)} | {"largest_upload": LARGEST_UPLOAD},
        "settings": settings,
        "pictures": {name: f"pictures/{name}.png" for name in names},
        "sizes": {path.relative_to(app).as_posix(): path.stat().st_size for one in LARGE for path in app.rglob(one)},
        "check": {
            "sum": to_uint8(image.detach()).sum().item(),
            "logits": [round(logit, 5) for logit in logits[0].tolist()],
            "gradient": gradient.norm().item(),
        },
    }
    (app / "player.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
