"""Draws the course's two pictures, a school bus and an American robin, with code alone instead of photographs."""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

SHEET = 448  # every flat coordinate below is given on a 448 x 448 sheet
SCALE = 3  # drawn three times larger and shrunk at the end, which smooths all edges
SIDE = SHEET * SCALE

# The bus is a small model in metres: x runs from its nose to its tail, y up, z towards the viewer.
EYE, TARGET, ZOOM = np.array([-8.0, 2.0, 6.8]), np.array([2.65, 1.54, -0.9]), 860.0
YELLOW, BLACK, WHITE = np.array([248, 176, 18.0]), np.array([24, 24, 26.0]), np.array([222, 222, 216.0])
NOSE, COWL, TAIL, WIDTH, SKIRT = 0.1, 1.5, 8.6, 2.4, 0.52
SUN = np.array([-0.36, 0.78, 0.5])  # the direction towards it
# fmt: off
TREETOPS = [(-6, 40), (22, 22), (60, 30), (10, 84), (48, 72), (84, 66), (34, 112), (76, 104), (330, 96), (350, 44),
            (390, 24), (430, 14), (372, 78), (412, 60), (448, 52), (304, 118), (352, 112), (396, 102), (440, 96)]

# The robin is drawn from smooth closed curves on the sheet.
BODY = [(160, 94), (167, 80), (182, 68), (202, 64), (223, 71), (239, 88), (252, 108), (271, 138), (286, 178),
        (294, 230), (295, 278), (283, 312), (258, 331), (225, 336), (189, 328), (158, 311), (131, 281), (116, 244),
        (112, 208), (117, 180), (129, 157), (145, 138), (157, 125), (161, 114)]
RUMP = [(266, 279), (295, 303), (299, 352), (302, 388), (301, 408), (290, 410), (280, 402), (266, 374), (238, 342)]
VENT = [(181, 305), (221, 303), (256, 313), (277, 342), (280, 384), (259, 381), (232, 351), (178, 335)]
BREAST = [(121, 131), (158, 136), (189, 142), (217, 143), (232, 152), (221, 186), (211, 219), (214, 257), (223, 290),
        (218, 306), (193, 311), (149, 321), (106, 291), (75, 225), (94, 162)]
HOOD = [(150, 100), (160, 78), (180, 62), (202, 58), (228, 68), (244, 86), (254, 108), (252, 132), (231, 148),
        (209, 148), (185, 141), (170, 135), (152, 126)]
THROAT = [(158, 113), (168, 115), (179, 124), (183, 135), (174, 138), (160, 136), (159, 128)]
WING = [(229, 164), (255, 149), (279, 162), (286, 208), (293, 251), (294, 292), (294, 337), (295, 369), (284, 362),
        (260, 326), (237, 292), (219, 255), (211, 216), (212, 186)]
# Where the feathers point: x, y, and the direction as an angle in degrees (0 = right, 90 = down).
FLOW = np.array([(155, 94, 15), (190, 62, 8), (230, 72, 45), (200, 106, 30), (166, 133, 73), (141, 153, 123),
                 (120, 190, 109), (116, 244, 80), (146, 304, 47), (194, 334, 25), (247, 341, 37), (178, 181, 109),
                 (167, 248, 87), (270, 170, 83), (288, 232, 80), (289, 294, 91), (242, 241, 77),
                 (279, 382, 87)], float)
# fmt: on


def _curve(points, closed: bool = True) -> np.ndarray:
    """Returns a smooth Catmull-Rom curve through the points."""
    p = np.array(points, float)
    p = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, 12, endpoint=False)[:, None]
    parts = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    return np.concatenate(parts)


def _image(canvas: np.ndarray) -> Image.Image:
    """Returns the canvas as an 8-bit picture."""
    return Image.fromarray(np.uint8(np.clip(canvas, 0, 255)))


def _canvas(image: Image.Image) -> np.ndarray:
    """Returns the picture as a canvas of numbers that can be painted on."""
    return np.array(image, np.float32)


def _mask(shapes, soft: float = 0.0, corner=(0, 0), shape=(SIDE, SIDE)) -> np.ndarray:
    """Returns the filled shapes as an array from 0 to 1 whose edges are `soft` units wide."""
    image = Image.new("L", (shape[1], shape[0]))
    draw = ImageDraw.Draw(image)
    for points in shapes:
        draw.polygon([(x * SCALE - corner[1], y * SCALE - corner[0]) for x, y in points], fill=255)
    if soft:
        image = image.filter(ImageFilter.GaussianBlur(soft * SCALE))
    return np.asarray(image, np.float32) / 255


def _paint(canvas: np.ndarray, mask: np.ndarray, colour, strength: float = 1.0) -> None:
    """Lays a colour, or a whole picture, over the canvas where the mask is set."""
    canvas += strength * mask[..., None] * (np.asarray(colour, np.float32) - canvas)


def _fill(canvas: np.ndarray, shapes, soft: float, colour, strength: float = 1.0) -> None:
    """Paints shapes in a colour, or with a part of a picture; works only on their surroundings, which is faster."""
    points = np.concatenate([np.asarray(shape, float) for shape in shapes])[:, ::-1]
    low = np.clip((points.min(0) - 3 * soft - 1) * SCALE, 0, SIDE).astype(int)
    high = np.clip((points.max(0) + 3 * soft + 2) * SCALE, 0, SIDE).astype(int)
    if (high > low).all():
        here = slice(low[0], high[0]), slice(low[1], high[1])
        colour = colour[here] if np.ndim(colour) == 3 else colour
        _paint(canvas[here], _mask(shapes, soft, low, high - low), colour, strength)


def _noise(rng: np.random.Generator, sigma: float) -> np.ndarray:
    """Returns smooth random hills of about `sigma` units, with mean 0 and spread 1."""
    size = int(np.clip(SHEET * 3 / sigma, 16, SIDE))
    hills = ndimage.gaussian_filter(rng.standard_normal((size, size)), sigma * size / SHEET)
    hills = (hills - hills.mean()) / hills.std()
    return np.asarray(Image.fromarray(hills.astype(np.float32)).resize((SIDE, SIDE), Image.BICUBIC))


def _blur(canvas: np.ndarray, sigma: float) -> np.ndarray:
    """Returns the picture out of focus."""
    return _canvas(_image(canvas).filter(ImageFilter.GaussianBlur(sigma * SCALE)))


def _foliage(canvas: np.ndarray, rng: np.random.Generator, centres, spread, dabs: int, dark, bright) -> np.ndarray:
    """Returns the picture with clumps of leaves: dabs of colour, darker low in each clump and brighter on top."""
    image = _image(canvas)
    draw = ImageDraw.Draw(image)
    dark, bright = np.array(dark, float), np.array(bright, float)
    for part in np.linspace(0, 1, 6):
        for x, y in centres:
            dx, dy = rng.normal(0, 1, (2, dabs // 6))
            light = np.clip(0.45 * part + 0.28 - 0.2 * dy - 0.1 * dx + rng.normal(0, 0.14, len(dx)), 0, 1)
            r = rng.uniform(1.2, 3.6, len(dx)) * (1.3 - 0.5 * part)
            for a, b, s, v in zip(x + spread[0] * dx, y + spread[1] * (dy - 0.3 * part), r, light, strict=True):
                box = [(a - s) * SCALE, (b - 0.7 * s) * SCALE, (a + s) * SCALE, (b + 0.7 * s) * SCALE]
                draw.ellipse(box, fill=tuple((dark + v * (bright - dark)).astype(int)))
    return _canvas(image)


def _finish(canvas: np.ndarray, rng: np.random.Generator, size: int, box=(0, 0, SHEET)) -> Image.Image:
    """Returns the picture at its final size, with a darker rim and a little camera noise."""
    left, top, width = (SCALE * b for b in box)
    image = _image(canvas).resize((SHEET, SHEET), Image.LANCZOS, box=(left, top, left + width, top + width))
    y, x = np.mgrid[-1 : 1 : SHEET * 1j, -1 : 1 : SHEET * 1j]
    rim = 1 - 0.10 * np.clip(np.hypot(x, y) - 0.6, 0, 1)[..., None]
    grain = ndimage.gaussian_filter(rng.normal(0, 3.2, (SHEET, SHEET, 3)), (0.5, 0.5, 0))
    image = _image(np.asarray(image) * rim + grain)
    return image if size == SHEET else image.resize((size, size), Image.LANCZOS)


def _axes() -> np.ndarray:
    """Returns the camera's three directions as rows: right, down and forward."""
    forward = (TARGET - EYE) / np.linalg.norm(TARGET - EYE)
    right = np.cross(forward, [0, 1, 0])
    right /= np.linalg.norm(right)
    return np.array([right, np.cross(forward, right), forward])


def _project(points) -> np.ndarray:
    """Returns where points (x, y, z) in metres appear on the sheet, as a pinhole camera sees them."""
    seen = (np.array(points, float) - EYE) @ _axes().T
    return SHEET / 2 + ZOOM * seen[:, :2] / seen[:, 2:]


def _on_plane(axis: int, value: float) -> np.ndarray:
    """Returns, for every pixel, the point in metres where its ray of sight meets a plane such as y = 0."""
    v, u = (np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SCALE - SHEET / 2) / ZOOM
    rays = np.stack([u, v, np.ones_like(u)], -1) @ _axes().astype(np.float32)
    slope = rays[..., axis : axis + 1]
    steps = (value - EYE[axis]) / np.where(np.abs(slope) < 1e-6, 1e-6, slope)  # a level ray never meets the ground
    return np.where(steps > 0, EYE.astype(np.float32) + steps * rays, 1e3)


def _flat(axis: int, value: float, corners) -> np.ndarray:
    """Returns the sheet outline of a shape on the plane axis = value; its corners give the other two coordinates."""
    return _project(np.insert(np.array(corners, float), axis, value, axis=1))


def _box(a0: float, a1: float, b0: float, b1: float) -> list:
    """Returns the corners of a rectangle."""
    return [(a0, b0), (a1, b0), (a1, b1), (a0, b1)]


def _round_box(a0: float, a1: float, b0: float, b1: float, r: float) -> list:
    """Returns the outline of a rectangle with rounded corners."""
    angles = np.linspace(0, np.pi / 2, 6)
    corners = ((a1 - r, b1 - r, 0), (a0 + r, b1 - r, 1), (a0 + r, b0 + r, 2), (a1 - r, b0 + r, 3))
    return [
        (a + r * np.cos(t + k * np.pi / 2), b + r * np.sin(t + k * np.pi / 2)) for a, b, k in corners for t in angles
    ]


def _ring(a: float, b: float, r: float, corners: int = 48, turn: float = 0.0) -> list:
    """Returns a circle, or with few corners a regular polygon."""
    t = np.arange(corners) * 2 * np.pi / corners + turn
    return list(zip(a + r * np.cos(t), b + r * np.sin(t), strict=True))


def _write(canvas: np.ndarray, text: str, quad: np.ndarray, colour) -> None:
    """Writes text into a four-cornered outline: upper left, upper right, lower right, lower left."""
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf")
    font = ImageFont.truetype(str(path), 120)
    x0, y0, x1, y1 = font.getbbox(text)
    image = Image.new("L", (x1 - x0, y1 - y0))
    ImageDraw.Draw(image).text((-x0, -y0), text, fill=255, font=font)
    rows, goal = [], []
    for (u, v), (x, y) in zip(_box(0, x1 - x0, 0, y1 - y0), quad * SCALE, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        goal += [u, v]
    warp = np.linalg.solve(rows, goal)
    mask = image.transform((SIDE, SIDE), Image.PERSPECTIVE, tuple(warp), Image.BICUBIC)
    _paint(canvas, np.asarray(mask, np.float32) / 255, colour)


def _street(rng: np.random.Generator) -> np.ndarray:
    """Returns the empty scene: sky, trees and lawn out of focus, then the kerb and the asphalt."""
    y = np.linspace(0, 1, SIDE, dtype=np.float32)[:, None, None]
    canvas = (1 - 2 * y) * np.array([112, 166, 222], np.float32) + 2 * y * np.array([226, 236, 242], np.float32)
    canvas = np.broadcast_to(canvas, (SIDE, SIDE, 3)).astype(np.float32)
    _paint(canvas, np.clip(0.5 * _noise(rng, 40) + 0.3 * _noise(rng, 12), 0, 1), [250, 250, 250], 0.8)
    far = [(x, 150 + rng.normal(0, 10)) for x in range(-10, 470, 16)]
    canvas = _foliage(canvas, rng, far, (20, 16), 300, [58, 86, 64], [140, 168, 108])
    _fill(canvas, [_box(-10, 460, 176, 300)], 3, [92, 122, 56])
    for x, w in ((36, 8), (404, 9), (318, 6)):
        _fill(canvas, [[(x - w / 2, 60), (x + w / 2, 60), (x + 0.9 * w, 205), (x - 0.9 * w, 205)]], 0.8, [70, 55, 44])
    near = [(x + rng.normal(0, 6), y + rng.normal(0, 6)) for x, y in TREETOPS]
    canvas = _foliage(canvas, rng, near, (20, 15), 900, [30, 58, 26], [170, 194, 84])
    canvas = _blur(canvas, 2.6)
    ground = _on_plane(1, 0.0)
    gx, gz = ground[..., 0], ground[..., 2]
    lawn = np.array([104, 138, 58]) + 9 * _noise(rng, 1.2)[..., None] + 8 * _noise(rng, 9)[..., None]
    _paint(canvas, np.clip((60 - np.hypot(gx, gz)) / 20, 0, 1) * (gz < -3.4), lawn)
    _paint(canvas, ((gz > -4.6) & (gz < -3.2)).astype(np.float32) * (gx < 60), [186, 180, 168])
    _paint(canvas, ((gz > -3.2) & (gz < -3.0)).astype(np.float32) * (gx < 60), [150, 146, 138])
    tracks = 7 * np.cos(gz * 2.6) + 6 * _noise(rng, 30)
    tracks -= 16 * np.clip(_noise(rng, 16) + 0.4 * _noise(rng, 5) - 0.6, 0, 1)  # the shade of trees outside the picture
    asphalt = np.array([118, 117, 118]) + (tracks + 7 * _noise(rng, 0.5) + 4 * _noise(rng, 2.0))[..., None]
    _paint(canvas, (gz > -3.0).astype(np.float32) * (gz < 900), asphalt)
    shadow = _flat(1, 0, _box(-0.2, TAIL + 0.4, 0.15, -WIDTH - 0.6))
    _fill(canvas, [shadow], 3, [30, 31, 36], 0.88)
    return canvas


def _strips(canvas: np.ndarray, front, back, colour) -> None:
    """Paints a bent sheet between two outlines as strips, brighter the more they face the sun."""
    for a, b, c, d in zip(front, front[1:], back[1:], back, strict=False):
        normal = np.cross(np.subtract(d, a), np.subtract(b, a))
        if normal @ (EYE - a) < 0:
            continue  # this strip faces away from us
        facing = max(0.0, float(normal @ SUN / np.linalg.norm(normal)))
        _fill(canvas, [_project([a, b, c, d])], 0.25, np.minimum(colour * (0.72 + 0.42 * facing) + 60 * facing**8, 255))


def _body_side(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """Paints the long side: sheet metal with soft reflections, rails, rivets, windows and the school's name."""
    where = _on_plane(2, 0.0)
    x, y = where[..., 0], where[..., 1]
    light = 0.86 + 0.13 * np.clip((y - SKIRT) / 2, 0, 1) + 0.05 * np.cos(6 * y) + 0.02 * _noise(rng, 18)
    light -= 0.10 * np.exp(-20 * (y - 0.5) ** 2) + 0.012 * (np.abs((x / 0.72) % 1 - 0.5) > 0.485)
    metal = np.clip(YELLOW.astype(np.float32) * light[..., None], 0, 255)
    _fill(canvas, [_flat(2, 0, _box(COWL, TAIL, SKIRT, 2.62))], 0.25, metal)
    for low, high in ((0.74, 0.82), (1.13, 1.23), (1.56, 1.66)):
        _fill(canvas, [_flat(2, 0.02, _box(COWL, TAIL, low, high))], 0.2, BLACK)
        _fill(canvas, [_flat(2, 0.02, _box(COWL, TAIL, high - 0.02, high))], 0.2, [120, 116, 108], 0.7)
    starts = [1.62] + [2.62 + 0.72 * k for k in range(8)]
    frames = [_round_box(a, a + (0.86 if a < 2 else 0.66), 1.78, 2.52, 0.07) for a in starts]
    panes = [_round_box(a + 0.05, a + (0.81 if a < 2 else 0.61), 1.83, 2.47, 0.05) for a in starts]
    _fill(canvas, [_flat(2, 0, f) for f in frames], 0.2, BLACK)
    trees = 1.95 + 0.10 * np.sin(3.1 * x) + 0.06 * np.sin(7.7 * x + 1) + 0.05 * np.sin(15 * x)
    sky = np.clip((y - trees) / 0.12, 0, 1) * (0.5 + 0.5 * (y - 1.8))
    glass = np.array([38, 46, 46], np.float32) + sky[..., None] * np.array([62, 80, 92], np.float32)
    _fill(canvas, [_flat(2, 0, p) for p in panes], 0.2, glass)
    bars = [_flat(2, 0, _box(a, a + 0.66, 2.15, 2.19)) for a in starts[1:]]
    _fill(canvas, bars, 0.2, [60, 60, 62])
    seats = [_flat(2, -0.1, _round_box(a + 0.2, a + 0.55, 1.7, 2.02, 0.08)) for a in starts[1:]]
    _paint(canvas, _mask(seats, 0.5) * _mask([_flat(2, 0, p) for p in panes]), [36, 44, 60], 0.8)
    _write(canvas, "MAPLE HILL SCHOOLS", _flat(2, 0, [(3.9, 1.49), (6.5, 1.49), (6.5, 1.30), (3.9, 1.30)]), BLACK)
    _write(canvas, "42", _flat(2, 0, [(1.75, 1.49), (2.05, 1.49), (2.05, 1.29), (1.75, 1.29)]), BLACK)


def _wheel(canvas: np.ndarray, x: float, z: float) -> None:
    """Paints a wheel in its dark arch: tyre, steel rim, holes and hub."""
    _fill(canvas, [_flat(2, z, _ring(x, 0.56, 0.62))], 0.3, [16, 16, 18])
    for depth in np.linspace(-0.3, 0, 9):
        _fill(canvas, [_flat(2, z + depth, _ring(x, 0.5, 0.5))], 0.25, [34 + 40 * depth] * 3)
    discs = (0.47, [54, 53, 53]), (0.33, [24, 24, 25]), (0.31, [186, 184, 180]), (0.25, [128, 127, 126])
    for r, colour in (*discs, (0.14, [196, 194, 190]), (0.09, [110, 108, 106])):
        _fill(canvas, [_flat(2, z, _ring(x, 0.5, r))], 0.3, colour)
    centres = _ring(x, 0.5, 0.2, 8)
    _fill(canvas, [_flat(2, z, _ring(a, b, 0.032, 12)) for a, b in centres], 0.25, [40, 40, 42])
    shade = _mask([_flat(2, z, _ring(x, 0.72, 0.42))], 4) * _mask([_flat(2, z, _ring(x, 0.5, 0.5))])
    _paint(canvas, shade, BLACK, 0.45)


def _body_front(canvas: np.ndarray) -> None:
    """Paints the face above the hood: windscreen, lamps and the words SCHOOL BUS."""
    roof = [(y, z) for _, y, z in _roof_line(COWL)]
    face = [(0.55, 0), *roof, (0.55, -WIDTH)]
    where = _on_plane(0, COWL)
    light = 0.80 + 0.06 * (where[..., 1] - 1.5) + 0.06 * np.cos(where[..., 2] + 0.6)
    _fill(canvas, [_flat(0, COWL, face)], 0.25, YELLOW.astype(np.float32) * light[..., None])
    _fill(canvas, [_flat(0, COWL, _round_box(1.62, 2.56, -WIDTH + 0.1, -0.1, 0.1))], 0.25, BLACK)
    panes = [_flat(0, COWL, _round_box(1.66, 2.51, a, b, 0.08)) for a, b in ((-2.25, -1.23), (-1.17, -0.15))]
    y, z = where[..., 1], where[..., 2]
    shine = np.clip((y - 1.75) / 0.8 + 0.25 * np.sin(4 * z + 3 * y), 0, 1)
    _fill(canvas, panes, 0.25, np.array([44, 54, 58]) + shine[..., None] * np.array([98, 112, 118]))
    _write(canvas, "SCHOOL BUS", _flat(0, COWL, [(2.88, -1.88), (2.88, -0.52), (2.66, -0.52), (2.66, -1.88)]), BLACK)
    for z, colour in ((-0.16, [196, 34, 26]), (-0.38, [244, 150, 28]), (-2.02, [244, 150, 28]), (-2.24, [196, 34, 26])):
        _fill(canvas, [_flat(0, COWL, _ring(2.72, z, 0.105, 24))], 0.2, BLACK)
        _fill(canvas, [_flat(0, COWL, _ring(2.72, z, 0.08, 24))], 0.2, colour)
        _fill(canvas, [_flat(0, COWL, _ring(2.745, z + 0.02, 0.03, 12))], 0.5, [255, 236, 214], 0.8)


def _roof_line(x: float) -> list:
    """Returns the bent outline of the roof at one place along the bus, from the near side to the far side."""
    t = np.linspace(0, np.pi, 25)
    across = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** 0.6
    return [(x, 2.6 + 0.46 * up, -WIDTH / 2 * (1 - z)) for up, z in zip(np.sin(t) ** 0.75, across, strict=True)]


def _hood(canvas: np.ndarray) -> None:
    """Paints the engine hood, the fender with its wheel, the grille, the headlights and the bumper."""
    t = np.linspace(0, np.pi, 41)
    across = -WIDTH / 2 + 1.12 * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** 0.45
    lift = np.sin(t) ** 0.6
    front = [(NOSE, 1.12 + 0.36 * s, z) for z, s in zip(across, lift, strict=True)]
    back = [(COWL, 1.18 + 0.50 * s, z) for z, s in zip(across, lift, strict=True)]
    near = [(NOSE, 0.55, -0.08), front[0], back[0], (COWL, 0.55, -0.08)]
    _fill(canvas, [_project(near)], 0.25, YELLOW * 0.9)
    _strips(canvas, front, back, YELLOW)
    _fill(canvas, [_flat(0, NOSE, [(0.5, -0.08), *[p[1:] for p in front], (0.5, -2.32)])], 0.3, YELLOW * 0.84)
    for z in (-0.62, -WIDTH + 0.62):
        crease = _project([(NOSE, 1.485, z), (COWL, 1.69, z + 0.03), (COWL, 1.69, z - 0.03), (NOSE, 1.485, z - 0.02)])
        _fill(canvas, [crease], 0.3, YELLOW * 0.72, 0.7)
    _fill(canvas, [_flat(2, -0.06, _box(COWL - 0.03, COWL, 0.55, 1.3))], 0.3, YELLOW * 0.45, 0.8)
    _fill(canvas, [_flat(2, -0.07, _box(1.05, 1.38, y, y + 0.035)) for y in (1.16, 1.22)], 0.2, YELLOW * 0.3)
    _wheel(canvas, 0.86, 0.0)
    _fill(canvas, [_flat(0, NOSE, _round_box(0.78, 1.36, -1.78, -0.62, 0.08))], 0.3, BLACK)
    slats = [_flat(0, NOSE - 0.01, _box(y, y + 0.035, -1.72, -0.68)) for y in np.arange(0.83, 1.32, 0.085)]
    _fill(canvas, slats, 0.25, [150, 152, 154])
    for z in (-0.34, -2.06):
        _fill(canvas, [_flat(0, NOSE, _round_box(0.84, 1.2, z - 0.2, z + 0.2, 0.08))], 0.3, [52, 52, 54])
        _fill(canvas, [_flat(0, NOSE, _ring(1.03, z, 0.14))], 0.3, [206, 212, 216])
        _fill(canvas, [_flat(0, NOSE, _ring(1.06, z - 0.02, 0.07))], 1.2, [255, 255, 250])
        _fill(canvas, [_flat(0, NOSE, _round_box(0.75, 0.81, z - 0.15, z + 0.15, 0.03))], 0.3, [238, 132, 26])
    _fill(canvas, [_flat(1, 0.72, _box(-0.14, NOSE, -WIDTH, 0.0))], 0.3, [74, 74, 76])
    _fill(canvas, [_flat(0, -0.14, _box(0.42, 0.72, -WIDTH, 0.0))], 0.3, [30, 30, 32])
    _fill(canvas, [_flat(2, 0.0, _box(-0.14, 0.3, 0.42, 0.72))], 0.3, [44, 44, 46])


def _fittings(canvas: np.ndarray) -> None:
    """Paints what sticks out: the mirrors on their rods and the red stop arm."""
    for z in (0.1, -WIDTH - 0.1):
        foot, head = _project([(NOSE + 0.3, 1.3, np.clip(z, -2.25, -0.15)), (NOSE + 0.05, 1.72, z)])
        half = np.array([0.7, 0])
        _fill(canvas, [[foot - half, foot + half, head + half, head - half]], 0.2, BLACK)
        _fill(canvas, [_flat(0, NOSE, [(1.76 + 0.15 * a, z + 0.1 * b) for a, b in _ring(0, 0, 1, 32)])], 0.25, BLACK)
        _fill(canvas, [_flat(0, NOSE, _ring(1.81, z, 0.05, 32))], 1.2, [130, 146, 160], 0.7)
    _fill(canvas, [_flat(0, COWL, _round_box(1.95, 2.4, 0.08, 0.3, 0.05))], 0.25, BLACK)
    x, z, y = 2.45, 0.36, 1.36
    _fill(canvas, [_flat(0, x, _box(y - 0.12, y + 0.12, 0.0, 0.12))], 0.2, BLACK)
    for r, colour in ((0.29, [240, 240, 238]), (0.265, [196, 26, 30])):
        _fill(canvas, [_flat(0, x, _ring(y, z, r, 8, np.pi / 8))], 0.2, colour)
    quad = _flat(0, x, [(y + 0.09, z - 0.2), (y + 0.09, z + 0.2), (y - 0.09, z + 0.2), (y - 0.09, z - 0.2)])
    _write(canvas, "STOP", quad, [245, 245, 242])


def draw_school_bus(size: int = 448) -> Image.Image:
    """Draws a yellow American school bus on a street and returns it as a square RGB picture."""
    rng = np.random.default_rng(779)
    canvas = _street(rng)
    _fill(canvas, [_flat(2, 0.3 - WIDTH, _ring(x, 0.5, 0.5)) for x in (0.86, 6.5)], 0.3, [18, 18, 20])
    _strips(canvas, _roof_line(COWL), _roof_line(TAIL), YELLOW)
    _strips(canvas, _roof_line(COWL + 0.3)[5:], _roof_line(TAIL)[5:], WHITE)
    _body_side(canvas, rng)
    _wheel(canvas, 6.5, 0.0)
    _body_front(canvas)
    _hood(canvas)
    _fittings(canvas)
    return _finish(canvas, rng, size)


def _garden(rng: np.random.Generator) -> np.ndarray:
    """Returns a garden far out of focus: patches of green and round spots of light."""
    y = np.linspace(0, 1, SIDE, dtype=np.float32)[:, None, None]
    canvas = (1 - y) * np.array([150, 178, 116], np.float32) + y * np.array([82, 112, 58], np.float32)
    canvas = np.broadcast_to(canvas, (SIDE, SIDE, 3)).copy()
    for sigma, strength in ((60, 20), (26, 14)):
        canvas += strength * _noise(rng, sigma)[..., None] * np.array([1.0, 0.9, 0.6], np.float32)
    for _ in range(26):
        x, y, r = rng.uniform(0, SHEET), rng.uniform(0, 300), rng.uniform(9, 22)
        _fill(canvas, [_ring(x, y, r, 32)], 2.5, [214, 226, 158], rng.uniform(0.08, 0.26))
    return canvas


def _grass(canvas: np.ndarray, rng: np.random.Generator, top: float, low: float, count: int, blur: float) -> np.ndarray:
    """Returns the picture with a bed of grass blades between two heights, taller and darker nearer to us."""
    image = _image(canvas)
    draw = ImageDraw.Draw(image)
    for y in np.sort(rng.uniform(top, low, count)):
        near = (y - 250) / 200
        x, lean, tall = rng.uniform(-10, 458), rng.normal(0, 9) * near, rng.uniform(12, 30) * near
        w = (0.5 + 1.1 * near) * rng.uniform(0.7, 1.3)
        green = np.array([112, 146, 58]) + rng.normal(0, 1) * np.array([22, 18, 12]) - [14 * near, 10 * near, 6 * near]
        bend, half = x + 0.35 * lean, y - 0.55 * tall
        blade = [(x - w, y), (bend - 0.7 * w, half), (x + lean, y - tall), (bend + 0.7 * w, half), (x + w, y)]
        draw.polygon([(a * SCALE, b * SCALE) for a, b in blade], fill=tuple(int(c) for c in np.clip(green, 0, 255)))
    return _blur(_canvas(image), blur)


def _lawn(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the garden with a lawn that comes into focus at the bird's feet."""
    y = np.arange(SIDE, dtype=np.float32)[:, None] / SCALE
    _paint(canvas, np.clip((y - 285) / 40, 0, 1) * np.ones((1, SIDE), np.float32), [98, 126, 54])
    canvas = _grass(canvas, rng, 300, 350, 1500, 2.2)
    canvas = _grass(canvas, rng, 350, 384, 1500, 0.9)
    _fill(canvas, [[(150, 384), (230, 374), (340, 378), (420, 392), (330, 402), (200, 400)]], 8, [40, 58, 24], 0.7)
    return canvas


def _legs(canvas: np.ndarray) -> None:
    """Paints two thin legs that end in long toes, half hidden in the grass."""
    for x, y, shade in ((216, 322, 0.8), (184, 318, 1.0)):
        foot = np.array([x - 3, 376 + 4 * shade])
        toes = ([(-9, 0), (-19, 2)], [(-9, 0), (-19, 8)], [(-4, 6), (-10, 12)], [(8, 2), (14, 5)])
        lines = [[(x + 1, y - 6), (x + 2, y + 26), foot], *([foot, *(foot + np.array(toe))] for toe in toes)]
        mask = np.zeros((SIDE, SIDE), np.float32)
        for line, w in zip(lines, (2.7, 2.2, 2.2, 2.2, 2.0), strict=True):
            p, half = _curve(line, closed=False), np.array([w, 0.5 * w])
            mask = np.maximum(mask, _mask([np.concatenate([p - half, (p + half)[::-1]])], 0.3))
        _paint(canvas, mask, np.array([112, 84, 60]) * shade)
        _paint(canvas, mask * np.roll(1 - mask, 5, axis=1), [178, 146, 112], 0.6)
        _paint(canvas, mask * np.roll(1 - mask, -5, axis=1), [60, 44, 34], 0.5)


def _plumage() -> np.ndarray:
    """Returns the bird's plain colours, before light and feathers."""
    bird = np.empty((SIDE, SIDE, 3), np.float32)
    bird[:] = (90, 86, 82)
    _fill(bird, [_curve(RUMP)], 1, [66, 61, 58])
    _fill(bird, [_curve(VENT)], 5, [232, 228, 220])
    _fill(bird, [_curve(BREAST)], 4, [216, 122, 72])
    _fill(bird, [_curve(WING)], 1, [80, 76, 74])
    _fill(bird, [_curve(HOOD)], 3.5, [72, 69, 70])
    _fill(bird, [_curve(THROAT)], 1.5, [206, 202, 196])
    return bird


def _roundness(shape: np.ndarray) -> np.ndarray:
    """Returns how bright each place is, as if the outline were a round body lit from above left."""
    small = np.asarray(Image.fromarray(shape).resize((SHEET, SHEET), Image.BOX))
    height = sum(weight * ndimage.gaussian_filter(small, s) for s, weight in ((8, 14), (22, 40), (45, 50)))
    dy, dx = np.gradient(height)
    light = (0.75 + 0.60 * (0.45 * dx + 0.85 * dy + 0.25) / np.sqrt(1 + dx**2 + dy**2) ** 0.8).astype(np.float32)
    return np.asarray(Image.fromarray(light).resize((SIDE, SIDE), Image.BICUBIC))


def _down(image: Image.Image, bird: np.ndarray, where: np.ndarray, rng: np.random.Generator, count: int) -> None:
    """Covers the bird with short strokes that follow the plumage, vary a little, and soften the outline."""
    draw = ImageDraw.Draw(image)
    ys, xs = np.nonzero(where > 0.5)
    pick = rng.integers(0, len(xs), count)
    x, y = xs[pick], ys[pick]
    near = np.exp(-((x[:, None] / SCALE - FLOW[:, 0]) ** 2 + (y[:, None] / SCALE - FLOW[:, 1]) ** 2) / 1500) + 1e-9
    angle = np.deg2rad(near @ FLOW[:, 2] / near.sum(1)) + rng.normal(0, 0.28, count)
    length = SCALE * rng.uniform(3, 8, count) * np.where(y < 150 * SCALE, 0.6, 1)
    colours = np.clip(bird[y, x] * (1 + rng.normal(0, 0.18, (count, 1))) + rng.normal(0, 2, (count, 3)), 0, 255)
    ends = np.stack([x, y, x + length * np.cos(angle), y + length * np.sin(angle)], 1)
    for end, colour, width in zip(ends.tolist(), colours.astype(int).tolist(), rng.integers(2, 4, count), strict=True):
        draw.line(end, fill=tuple(colour), width=int(width))


def _feather(draw: ImageDraw.ImageDraw, base, tip, width: float, fill, edge) -> None:
    """Draws one wing feather: a long leaf with a pale rim and a dark shaft."""
    base, tip = np.array(base, float), np.array(tip, float)
    along = tip - base
    side = np.array([-along[1], along[0]]) / np.linalg.norm(along) * width
    for colour, w, reach in ((edge, 1.0, 1.0), (fill, 0.72, 0.97)):
        across = np.array([0, w, 0.8 * w, 0, -0.7 * w, -w])[:, None] * side
        shape = base + np.array([0, 0.4, 0.85 * reach, reach, 0.8 * reach, 0.4])[:, None] * along + across
        draw.polygon([tuple(p) for p in _curve(shape) * SCALE], fill=colour)
    shaft = [tuple(base * SCALE), tuple((base + 0.9 * along) * SCALE)]
    draw.line(shaft, fill=tuple(int(0.7 * c) for c in fill), width=2)


def _wing(image: Image.Image) -> None:
    """Draws the folded wing and the tail, feather over feather from the tip up to the shoulder."""
    draw = ImageDraw.Draw(image)
    for k in range(4):
        grey = 55 + 5 * k
        base, tip = (267 + 3 * k, 311 + 4.5 * k), (281 + 8.3 * k, 412 - 1.5 * k)
        _feather(draw, base, tip, 7, (grey + 5, grey + 1, grey - 1), (96, 90, 84))
    rows = (
        ((246, 252), (284, 244), (262, 336), (296, 384), 8, 5.5, 58),
        ((232, 224), (283, 212), (255, 315), (300, 307), 9, 7, 78),
        ((223, 198), (286, 175), (228, 267), (290, 247), 9, 6, 88),
        ((226, 182), (276, 159), (230, 227), (281, 209), 8, 5.5, 96),
    )
    for first, last, first_tip, last_tip, count, width, grey in rows:
        for f in np.linspace(0, 1, count):
            base = np.array(first) * (1 - f) + np.array(last) * f
            tip = np.array(first_tip) * (1 - f) + np.array(last_tip) * f
            _feather(draw, base, tip, width, (grey + 16, grey + 10, grey + 5), (grey + 52, grey + 46, grey + 38))


def _face(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """Adds the throat's dark streaks, the bill, and the eye with its broken white ring."""
    spots = zip(rng.uniform(158, 178, 34), rng.uniform(115, 142, 34), strict=True)
    streaks = [[(x, y), (x + 1.4, y), (x + 3.5, y + 5), (x + 2, y + 5)] for x, y in spots]
    _fill(canvas, streaks, 0.3, [58, 52, 50], 0.8)
    _fill(canvas, [_curve([(166, 106), (146, 107), (135, 109), (146, 113), (165, 115)])], 0.4, [196, 138, 40])
    _fill(canvas, [_curve([(168, 92), (154, 95), (138, 101), (128, 109), (140, 109), (166, 108)])], 0.4, [226, 168, 52])
    _fill(canvas, [_curve([(164, 95), (154, 97), (142, 102), (152, 101), (164, 99)])], 1.0, [250, 218, 132], 0.7)
    _fill(canvas, [_curve([(168, 106), (144, 108.4), (133, 109.5), (144, 109.8), (168, 108)])], 0.3, [86, 56, 24], 0.8)
    _fill(canvas, [_curve([(135, 103), (127, 109), (136, 110)])], 1.2, [70, 54, 36], 0.6)
    x, y = 190, 95
    t = np.linspace(0, 1, 12)[:, None]
    for start, end in ((200, 335), (25, 155)):
        a = np.deg2rad(start + (end - start) * t)
        width = 2.6 * np.sin(np.pi * t) + 0.4
        arc = [np.hstack([x + (r * width + 11.5) * np.cos(a), y + (r * width + 11) * np.sin(a)]) for r in (0.5, -0.5)]
        _fill(canvas, [np.concatenate([arc[0], arc[1][::-1]])], 0.3, [236, 234, 230])
    eye = (10, [18, 14, 13], 0, 0, 0.4), (7.5, [62, 38, 26], 0, 1.6, 1.5), (5.4, [6, 5, 5], 0, 0, 0.6)
    glints = (2.0, [250, 252, 255], -3, -4, 0.5), (1.6, [120, 130, 140], 4, 4, 1.0)
    for r, colour, dx, dy, soft in (*eye, *glints):
        _fill(canvas, [_ring(x + dx, y + dy, r, 32)], soft, colour)


def draw_robin(size: int = 448) -> Image.Image:
    """Draws an American robin on a lawn and returns it as a square RGB picture."""
    rng = np.random.default_rng(15)
    canvas = _lawn(_garden(rng), rng)
    _legs(canvas)
    shape = _mask([_curve(BODY), _curve(RUMP), _curve(WING)], 0.6)
    light = _roundness(shape)
    bird = _plumage() * (light * (1 + 0.10 * _noise(rng, 2)))[..., None]
    _paint(canvas, shape, bird)
    image = _image(canvas)
    _down(image, bird, shape, rng, 26000)
    _wing(image)
    canvas = _blur(_canvas(image), 0.85)
    _paint(canvas, 0.7 * _mask([_curve(WING)], 1.5), canvas * (1.4 * light - 0.25)[..., None])
    _face(canvas, rng)
    canvas = _grass(canvas, rng, 384, 470, 2000, 0.3)
    return _finish(canvas, rng, size, (0, 30, 400))
