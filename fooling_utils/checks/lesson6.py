"""Checks of lesson 6: shrinking a change, the nearest point across a straight boundary, and the same between walls."""

import torch
from torch import Tensor, nn

from ..images import per_image
from ..models import Classifier
from .core import (
    Answer,
    Wrong,
    compare,
    is_close,
    legal,
    normal,
    one_by_one,
    random,
    tensor,
    watched,
)


class _AlongALine(nn.Module):
    # Logits that are straight along one change: class 0 at its start, perhaps class 2, class 1 from `border` on.
    def __init__(self, image: Tensor, change: Tensor, border: float, classes: int = 6):
        super().__init__()
        self.linear = nn.Linear(image.numel(), classes)
        along = change.flatten() / change.square().sum()
        slopes = torch.tensor([0.0, 12.0, 3.0, 0.2, 0.1, -0.3], device=image.device)
        with torch.no_grad():
            self.linear.weight.copy_(slopes[:, None] * along)
            self.linear.bias.copy_(-slopes * along.dot(image.flatten()))
            self.linear.bias[2] -= 0.8
            self.linear.bias[1] += max(0.0, 3 * border - 0.8) - 12 * border  # where it meets the highest other class

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.flatten(1))


def shrink_change(answer: Answer, seed: int, device: torch.device) -> None:
    image = random((1, 3, 6, 6), seed, device, 0.3, 0.7)
    change = random((1, 3, 6, 6), seed + 1, device, -0.3, 0.3)
    for border, rounds in ((0.4137, 6), (0.8313, 9), (0.0411, 4)):
        net = _AlongALine(image, change, border).eval()
        model = Classifier(net.to(device), input_shape=(3, 6, 6), prepare=False)
        low, high = 0.0, 1.0
        for _ in range(rounds):
            middle = (low + high) / 2
            low, high = (low, middle) if middle > border else (middle, high)
        shown = watched(model)
        result = tensor(answer(model, image, change, 1, rounds), image.shape)
        looks = sum(len(batch) for batch in shown)
        if is_close(result, change * high):
            raise Wrong("this is only the change: add it to the image")
        scale = ((result - image) * change).sum().item() / change.square().sum().item()
        if not is_close(result, image + scale * change, 1e-3):
            raise Wrong("the result is not on the straight line from the image to `image + change`")
        if is_close(scale, low, 1e-3) and low > 0:
            raise Wrong(
                f"at {scale:.4f} of the change the network does not see the target yet: return the other end of the "
                "interval"
            )
        if abs(scale - 1) < 1e-4:
            raise Wrong("the change was not shrunk")
        classes = model(image + scale * change).argmax(1).item()
        if classes != 1:
            other = "the image's own class" if classes == 0 else "a third class, which is not the target"
            raise Wrong(f"at {scale:.4f} of the change, where your search ends, the network sees {other}")
        if abs(scale - high) > 1e-4:
            raise Wrong(
                f"after {rounds} rounds the interval ends at {high:.4f} of the change, but your result is at "
                f"{scale:.4f}: every round halves the interval, and keeps the half in which the target begins"
            )
        if looks > 2 * rounds + 2:
            raise Wrong(f"{rounds} rounds need {rounds} looks at the network, but it was shown {looks} images")


def nearest_across(answer: Answer, seed: int, device: torch.device) -> None:
    image = random((3, 3, 5, 5), seed, device)
    weight = normal((3, 5, 5), seed + 1, device) + 0.2
    sums = (image * weight).flatten(1).sum(1)
    bias = -sums.sort().values[:2].mean().item()  # one image behind the boundary, two in front of it
    lead = sums + bias
    norm = weight.norm()
    right = image - per_image(lead, image) * weight / norm.square()
    mistakes = {
        "the image did not move": image,
        "the sign is reversed: it walks away from the boundary, to twice the lead": image
        + per_image(lead, image) * weight / norm.square(),
        "it goes too far by the length of the weight: the lead falls by ‖w‖² when you walk along w once": image
        - per_image(lead, image) * weight / norm,
        "it walks along the weight as often as the lead is large: how much does the lead change on the way?": image
        - per_image(lead, image) * weight,
        "the lead is not only the sum of the products: add the bias": image
        - per_image(lead - bias, image) * weight / norm.square(),
        "the bias counts once, with a plus": image - per_image(lead - 2 * bias, image) * weight / norm.square(),
        "the same amount in every value reaches the boundary, but not on the shortest way: values with a larger weight "
        "should change more": image - per_image(lead, image) * weight.sign() / weight.abs().sum(),
        "the lead has a sign: images on one side of the boundary walk away from it": image
        - per_image(lead.abs(), image) * weight / norm.square(),
        "the lead has a sign: those on the other side of the boundary walk away from it": image
        + per_image(lead.abs(), image) * weight / norm.square(),
        "images whose lead is above 0 should come to the boundary as well": image
        - per_image(lead.clamp(max=0), image) * weight / norm.square(),
        "the batch shares one lead: each image has its own": image - lead.mean() * weight / norm.square(),
        "here pixels may leave [0, 1]: nothing is cut off": right.clamp(0, 1),
        "this is only the change: add it to the image": right - image,
        "this is the foot of the perpendicular from black: begin at the image": (
            -bias * weight / norm.square()
        ).expand_as(image),
        "this is the other side, as far behind the boundary as the image is in front: stop on the boundary": 2 * right
        - image,
    }
    result = tensor(answer(image, weight, bias), image.shape)
    now = (result * weight).flatten(1).sum(1) + bias
    compare(
        result,
        right,
        mistakes,
        f"for the first image the lead is {lead[0]:.2f} before and {now[0]:.2f} after, where it should be 0, and the "
        f"walk has a length of {(result - image)[0].norm():.3f}, where {(right - image)[0].norm():.3f} is enough",
    )
    one_by_one(lambda *one: answer(*one, weight, bias), result, (image,))


def _between_walls(image: Tensor, weight: Tensor, bias: float) -> Tensor:
    # The scale by bisection, in double precision.
    image, weight = image.double(), weight.double()
    low, high = 0.0, 1e3
    for _ in range(80):
        middle = (low + high) / 2
        lead = ((image + middle * weight).clamp(0, 1) * weight).sum() + bias
        low, high = (low, middle) if lead > 0 else (middle, high)
    return (image + high * weight).clamp(0, 1).float()


def nearest_between_walls(answer: Answer, seed: int, device: torch.device) -> None:
    for share in (0.5, 0.9, 0.05):
        image = random((1, 3, 5, 5), seed, device)
        image[:, :, :2] = image[:, :, :2].round()  # black and white, with one way only
        weight = normal((3, 5, 5), seed + 1, device)
        start = (image * weight).sum().item()
        most = weight.clamp(min=0).sum().item()  # of the lead, when every value is at a wall
        bias = -(start + share * (most - start))
        right = _between_walls(image, weight, bias)
        result = legal(tensor(answer(image, weight, bias), image.shape))
        lead = (result * weight).sum().item() + bias
        length, shortest = (result - image).norm().item(), (right - image).norm().item()
        before = start + bias
        if is_close(result, image):
            raise Wrong("the image did not move")
        if lead < -2e-3 * abs(before):
            plain = image - before * weight / weight.square().sum()
            if is_close(result, plain.clamp(0, 1), 1e-3):
                raise Wrong(
                    f"the nearest point without walls, cut off at the walls, does not arrive: its lead is {lead:.3f}, "
                    "and should be 0"
                )
            raise Wrong(f"the target is not reached: the lead of your result is {lead:.3f}, and should be 0")
        if lead > 2e-3 * abs(before):
            raise Wrong(f"it goes too far: the lead of your result is {lead:.3f}, and should be 0")
        if length > shortest * 1.002:
            raise Wrong(
                f"it arrives, but by a detour: your change has a length of {length:.4f}, and {shortest:.4f} is enough. "
                "Values that are not at a wall should change in proportion to their weight"
            )
    inside = (image * weight).sum().item()
    if not is_close(tensor(answer(image, weight, 0.5 - inside), image.shape), image):
        raise Wrong("an image whose lead is above 0 already should stay as it is")
