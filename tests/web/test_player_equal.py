"""The player's worker in Chromium beside the player in Python: the same answers to the same questions."""

import base64
import io
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from browsing import SECONDS
from fooling_utils import load_image, load_model, optimize_pixels, run_until, toward, unit_step
from fooling_utils.images import from_uint8, to_uint8
from fooling_utils.widgets.kit import words
from fooling_utils.widgets.player import FoolingPlayer
from serving import server_of

# what fool.html does, without its front end
DRIVER = """async () => {
  const { answered } = await import("./asking.js");
  const worker = new Worker("player_worker.js", { type: "module" });
  window.progress = [];
  const model = answered(worker, {}, { progress: (one) => window.progress.push(one) });
  const text = (buffer) => new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1]);
    reader.readAsDataURL(new Blob([buffer]));
  });
  let count = 0;
  window.ask = async (ask, values = {}, content = null) => {
    const id = ++count;
    const [facts, buffers] = await new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(`no answer to ${ask}`)), 60000);
      const act = (...answer) => {
        if (answer[0].id !== id) return;
        model.off("msg:custom", act);
        resolve(answer);
      };
      model.on("msg:custom", act);
      model.send({ id, ask, with: values }, undefined, content ? [content.buffer] : []);
    });
    return { ...facts, buffers: await Promise.all(buffers.map(text)) };
  };
  window.play = async () => {
    const shares = [];
    for (;;) {
      const { frames, buffers } = await window.ask("frames", { count: 4, wait: true });
      shares.push(...frames.map((one) => one.probability));
      if (shares.length > 200 || shares[shares.length - 1] > 0.99) return { shares, buffers };
    }
  };
}"""


@pytest.fixture(scope="module")
def model():
    """The network of the course, on the CPU."""
    return load_model(device="cpu")


def opened(browser, address):
    """A blank page of the site, with the worker and `ask`."""
    context = browser.new_context(base_url=address)
    page, context_faults = context.new_page(), []
    page.set_default_timeout(100 * SECONDS)
    page.on("pageerror", lambda error: context_faults.append(str(error)))
    page.faults = context_faults
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    page.goto("app/asking.js")
    page.evaluate(DRIVER)
    return page


@pytest.fixture(scope="module")
def page(browser, address):
    page = opened(browser, address)
    yield page
    assert page.faults == []
    page.context.close()


@pytest.fixture
def fresh(browser, address):
    page = opened(browser, address)
    yield page
    page.context.close()


def ask(page, question, content=None, **values):
    """The facts of an answer; its buffers as images (1, 3, 224, 224) of bytes."""
    text = None if content is None else base64.b64encode(content).decode()
    answer = page.evaluate(
        "([name, values, text]) => ask(name, values, text === null ? null : "
        "Uint8Array.from(atob(text), (one) => one.charCodeAt(0)))",
        [question, values, text],
    )
    return {**answer, "buffers": [levels(one) for one in answer["buffers"]]}


def levels(text):
    pixels = np.frombuffer(base64.b64decode(text), np.uint8).reshape(224, 224, 3)
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]


def file_of(picture, kind="PNG", **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def logs(top):
    return [math.log(one["probability"]) for one in top]


def alike(answer, right):
    """Whether facts of the page are those of Python; logarithms of probabilities are logits, but for one constant."""
    assert [one["label"] for one in answer["top"]] == [one["label"] for one in right["top"]]
    assert logs(answer["top"]) == pytest.approx(logs(right["top"]), abs=2e-4)
    assert math.log(answer["probability"]) == pytest.approx(math.log(right["probability"]), abs=2e-4)


# ------------------------------------------------------------------------------------------------ the same as in Python


@pytest.mark.parametrize("picture", ["noise", "grey", "school_bus", "coffee"])
def test_a_start_is_answered_as_in_python(page, model, picture):
    player = FoolingPlayer(model, picture, "goldfish")
    answer = ask(page, "start", picture=picture, target="goldfish", method="unit step")
    right, (shown, original) = player.answer_begin()
    assert {key: answer[key] for key in ("settings", "own", "index", "l2", "rms", "largest")} == {
        key: right[key] for key in ("settings", "own", "index", "l2", "rms", "largest")
    }
    assert answer.keys() - {"id", "ask", "buffers"} == right.keys()
    assert [name for name in answer["pictures"] if "." not in name] == right["pictures"]
    alike(answer, right)
    assert [one.permute(0, 2, 3, 1).numpy().tobytes() for one in answer["buffers"]] == [shown, original]
    again = ask(page, "begin")
    assert again["settings"] == answer["settings"]
    assert torch.equal(again["buffers"][1], answer["buffers"][1])


@pytest.mark.parametrize(
    ("picture", "target"),
    [("school_bus", target) for target in ("ostrich", "goldfish", "pizza")]
    + [("robin", target) for target in ("ostrich", "school bus", "teapot")]
    + [("noise", target) for target in ("robin", "goldfish", "ostrich")],
)
def test_as_many_frames_as_in_python_and_a_saved_picture_that_fools(page, model, picture, target):
    index = model.index(target)
    start = from_uint8(ask(page, "start", picture=picture, target=target, method="unit step")["buffers"][1])
    played = page.evaluate("play()")

    # rounding at the kinks of ReLU6 makes paths part: those of torch, too, from starts that differ in the last bit
    moved = start + 1e-7 * torch.randn(3, *start.shape[1:], generator=torch.Generator().manual_seed(0))
    starts = torch.cat([start, moved]).clamp(0, 1)
    frames = optimize_pixels(model, starts, toward(index), step=unit_step(0.3), steps=200)
    found = run_until(frames, index, 0.99).frames
    assert min(found) - 1 <= len(played["shares"]) <= max(found) + 1, found
    saved = ask(page, "saved")["saved"]
    (result,) = ask(page, "frames", count=1, wait=True)["buffers"]  # past the target it is the same frame again
    (top,) = model.top(from_uint8(result), 1)
    assert (saved["label"], saved["survives"], saved["index"]) == (top.label, top.index == index, len(played["shares"]))
    assert saved["probability"] == pytest.approx(top.probability, rel=1e-3)
    assert torch.equal(result, levels(played["buffers"][-1]))


@pytest.mark.parametrize(
    ("method", "size"), [("unit step", 3.0), ("sign step", 1.0), ("PGD within 8 grey levels", 4.0), ("Adam", 1.0)]
)
def test_each_method_moves_as_in_python(page, model, method, size):
    player = FoolingPlayer(model, "coffee", "goldfish", method=method, size=size)
    ask(page, "start", picture="coffee", target="goldfish", method=method, size=size)
    for index in (1, 2, 3):
        player.step()
        answer = ask(page, "frame")
        right, _ = player._shown()
        assert answer.keys() - {"id", "ask", "buffers"} == right.keys()
        assert answer["index"] == index
        for name in ("l2", "rms", "largest"):
            assert answer[name] == pytest.approx(right[name], rel=0.01)
        assert math.log(answer["probability"]) == pytest.approx(math.log(right["probability"]), abs=0.1)
        off = (answer["buffers"][0].int() - to_uint8(player.frame.image).int()).abs()
        assert (off > 1).float().mean() < 0.02  # where a gradient is almost zero, rounding decides its sign
    if method.startswith("PGD"):
        assert answer["largest"] == pytest.approx(8, abs=1e-4)
        assert (answer["buffers"][0].int() - to_uint8(player.original).int()).abs().max() == 8


def test_a_method_brings_its_own_step_size_and_what_is_not_given_stays(page, model):
    ask(page, "start", picture="grey", target="teapot", method="unit step", size=1.0)
    assert ask(page, "start", size=None, picture=None)["settings"]["size"] == 1.0
    answer = ask(page, "start", method="Adam")
    assert answer["settings"] == {"picture": "grey", "target": "teapot", "method": "Adam", "size": 0.25}


def test_several_frames_in_one_answer_stop_at_the_target(page):
    ask(page, "start", picture="school_bus", target="school bus", method="unit step", size=1.0)
    answer = ask(page, "frames", count=4)
    assert [one["index"] for one in answer["frames"]] == [1, 2, 3, 4]
    assert len(answer["buffers"]) == 4
    assert answer["frames"][3]["probability"] > 0.99
    again = ask(page, "frames", count=4, wait=True)
    assert [one["index"] for one in again["frames"]] == [4]
    assert torch.equal(again["buffers"][0], answer["buffers"][3])


def test_noise_of_the_same_size_changes_nothing(page):
    ask(page, "start", picture="school_bus", target="ostrich", method="unit step", size=0.3)
    assert ask(page, "random")["error"].startswith("Nothing has changed yet: play first")
    frame = [ask(page, "frame") for _ in range(5)][-1]
    control = ask(page, "random")
    assert control.keys() == frame.keys()
    assert control["index"] == frame["index"] == 5
    assert frame["l2"] * 0.97 < control["l2"] <= frame["l2"] * 1.0001  # less where it would leave the legal range
    assert control["top"][0]["label"] == "school bus"
    assert not torch.equal(control["buffers"][0], frame["buffers"][0])
    assert ask(page, "frame")["index"] == 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"picture": "school"},
        {"picture": "constructor"},
        {"method": "two steps"},
        {"size": -1},
        {"size": 0},
        {"target": "zebra crossing"},
        {"target": "ostritch"},
    ],
)
def test_what_there_is_none_of_gets_pythons_sentence(page, model, wrong):
    right = {"picture": "school_bus", "target": "ostrich", "method": "unit step", "size": 0.3}
    before = ask(page, "start", **right)
    with pytest.raises(ValueError) as error:
        FoolingPlayer(model).answer_start(**right | wrong)
    said, expected = ask(page, "start", **right | wrong)["error"], words(error.value)
    assert said.partition(":")[0] == expected.partition(":")[0]
    if "target" not in wrong and "picture" not in wrong:
        assert said == expected
    assert ask(page, "begin")["settings"] == before["settings"]


def test_questions_that_have_no_answer_say_so(page):
    assert "from 1 to 4, got 9" in ask(page, "frames", count=9)["error"]
    assert "save the picture, and open the file here" in ask(page, "address", address="https://example.org")["error"]
    assert ask(page, "toString")["error"] == "The page asked toString, which has no answer."


# ------------------------------------------------------------------------------------------------------ own pictures


def test_a_saved_picture_comes_back_bit_for_bit(page):
    pixels = torch.randint(0, 256, (224, 224, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    answer = ask(page, "upload", file_of(Image.fromarray(pixels.numpy())), name="fooled.png")
    assert torch.equal(answer["buffers"][1][0].permute(1, 2, 0), pixels)
    assert answer["settings"]["picture"] == "fooled.png"
    assert answer["pictures"][0] == "fooled.png"
    assert (
        ask(page, "upload", file_of(Image.fromarray(pixels.numpy())), name="robin")["settings"]["picture"] == "my robin"
    )
    name = "<b>" + 60 * "é"
    picture = ask(page, "upload", file_of(Image.fromarray(pixels.numpy())), name=name)["settings"]["picture"]
    assert picture == name[:40]
    assert ask(page, "start", picture="robin")["settings"]["picture"] == "robin"


def photograph(width, height):
    """A picture with broad and fine structure, whose corners differ."""
    y, x = np.mgrid[0:height, 0:width]
    parts = [128 + 100 * np.sin(x / 37 + y / 90), 255 * x / width, 128 + 90 * np.cos(y / 3) * (x > width / 3)]
    return Image.fromarray(np.stack(parts, 2).clip(0, 255).astype(np.uint8))


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return {"exif": exif}


def clear(picture):
    alpha = np.tile(np.linspace(0, 255, picture.width).astype(np.uint8), (picture.height, 1))
    picture = picture.copy()
    picture.putalpha(Image.fromarray(alpha))
    return picture


@pytest.mark.parametrize(
    ("content", "mean", "most"),
    [
        (lambda: file_of(photograph(640, 480)), 0.01, 1),
        (lambda: file_of(photograph(1500, 2100)), 0.01, 1),
        (lambda: file_of(photograph(100, 90)), 0.01, 1),
        (lambda: file_of(photograph(231, 224)), 0, 0),
        (lambda: file_of(photograph(300, 224).convert("L")), 0, 0),
        (lambda: file_of(photograph(224, 224).quantize(50), "GIF"), 0, 0),
        (lambda: file_of(photograph(640, 480), "JPEG", quality=92), 1, 12),
        (lambda: file_of(photograph(640, 480), "JPEG", quality=92, **turned()), 1, 12),
        (lambda: file_of(photograph(640, 480), "WEBP", quality=92), 1, 12),
        (lambda: file_of(clear(photograph(640, 480))), 0.6, 3),
    ],
    ids=["png", "large", "small", "cut", "grey", "gif", "jpeg", "turned", "webp", "transparent"],
)
def test_a_picture_is_read_as_in_python(page, content, mean, most):
    content = content()
    (_, found) = ask(page, "upload", content, name="photo")["buffers"]
    off = (found.int() - to_uint8(load_image(content, device="cpu")).int()).abs()
    assert off.float().mean() <= mean
    assert off.max() <= most


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "x.png is empty: choose another file"),
        (b"two years of work", "x.png is not a picture that this browser can read: save it as JPEG or PNG first"),
        (b" <!DOCTYPE html><p>", "x.png is a web page, not a picture: save the picture itself"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "x.png is a drawing (SVG), not pixels: save it as PNG first"),
        (
            b"\0\0\0\x18ftypheic" + bytes(99),
            "x.png is a HEIC photograph or a film, which this browser cannot read: save",
        ),
        (file_of(photograph(50, 50))[:200], "x.png cannot be opened: it is damaged, or too large for this browser."),
        (file_of(photograph(20, 3)), "x.png has only 20 x 3 pixels: choose one with at least 16 x 16"),
    ],
    ids=["empty", "text", "page", "svg", "heic", "cut", "tiny"],
)
def test_what_is_no_picture_gets_a_sentence_and_loses_nothing(page, content, sentence):
    before = ask(page, "start", picture="grey")
    answer = ask(page, "upload", content, name="x.png")
    assert answer["error"].startswith(sentence)
    assert ask(page, "begin")["pictures"] == before["pictures"]
    assert ask(page, "frame")["index"] == 1


def test_fifty_megabytes_get_a_sentence(page):
    answer = page.evaluate("ask('upload', { name: 'huge.png' }, new Uint8Array(50_000_000))")
    assert answer["error"] == "huge.png has 50.0 MB, but the limit is 40 MB: save a smaller copy"


# ----------------------------------------------------------------------------------------- loading, and what can fail


def test_loading_tells_how_far_it_is(page, site):
    ask(page, "begin")
    told = page.evaluate("progress")
    for part, name in {"network": "network.onnx", "runtime": "runtime/ort-wasm-simd-threaded.wasm"}.items():
        size = (site / "app" / name).stat().st_size
        loaded = [one["loaded"] for one in told if one["part"] == part]
        assert loaded == sorted(loaded)
        assert loaded[-1] == size
        assert {one["total"] for one in told if one["part"] == part} == {size}


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("player.json", "player.json did not arrive: are you offline? Connect, and try again"),
        ("network.onnx", "network.onnx did not arrive: are you offline? Connect, and try again"),
        ("ort.wasm.min.mjs", "runtime/ort.wasm.min.mjs did not arrive: are you offline? Connect, and try again"),
        ("ort-wasm-simd-threaded.mjs", "The runtime did not arrive"),
        ("school_bus.png", "pictures/school_bus.png did not arrive: are you offline? Connect, and try again"),
    ],
)
def test_offline_while_loading_asks_to_try_again_and_then_works(fresh, file, sentence):
    fresh.context.route(f"**/{file}*", lambda route: route.abort())
    assert ask(fresh, "begin")["error"].startswith(sentence)
    fresh.context.unroute(f"**/{file}*")
    assert ask(fresh, "begin")["own"] == "school bus"


def edited(change):
    """A handler that changes the text of a file on its way."""
    return lambda route: route.fulfill(response=(answer := route.fetch()), body=change(answer.text()))


def miscounted(text):
    content = json.loads(text)
    content["check"]["logits"][0] += 1
    return json.dumps(content)


@pytest.mark.parametrize(
    ("file", "change", "sentence"),
    [
        (
            "network.js",
            lambda text: text.replace("WebAssembly.validate(", "!("),
            "This browser is too old for the network (it lacks WebAssembly SIMD): update it, or use another",
        ),
        (
            "network.js",
            lambda text: text.replace("await ort.InferenceSession.create(", "(() => { throw new RangeError(); })("),
            "There is no memory left for the network, which needs about 400 MB: close other tabs, and try again",
        ),
        ("player.json", miscounted, "This browser computes the network wrongly: update it, or use another one"),
        (
            "player.json",
            lambda text: text.replace('"sum": ', '"sum": 1'),
            "This browser alters what a page reads of a picture, as some do against tracking",
        ),
        (
            "player.json",
            lambda text: text.replace('"network.onnx": ', '"network.onnx": 9'),
            "network.onnx is not complete (",
        ),
    ],
    ids=["no SIMD", "no memory", "wrong numbers", "altered pictures", "cut short"],
)
def test_what_a_browser_cannot_do_gets_a_sentence(fresh, file, change, sentence):
    fresh.context.route(f"**/app/{file}", edited(change))
    fresh.reload()
    fresh.evaluate(DRIVER)
    assert ask(fresh, "begin")["error"].startswith(sentence)


def test_with_threads_it_answers_the_same(browser, page, site):
    settings = {"picture": "robin", "target": "ostrich", "method": "unit step", "size": 0.3}
    with server_of(site) as server:  # which isolates pages on this machine, so that they may have threads
        isolated = opened(browser, f"http://127.0.0.1:{server.port}/")
        assert isolated.evaluate("crossOriginIsolated")
        alike(ask(isolated, "start", **settings), ask(page, "start", **settings))
        assert ask(isolated, "frames", count=2)["frames"][1]["index"] == 2
        isolated.context.close()
