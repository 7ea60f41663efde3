"""Checks of lesson 0: legal pixels, and the untargeted objective."""

import torch

from .core import (
    Answer,
    Wrong,
    compare,
    is_close,
    legal,
    lets_gradients_through,
    normal,
    one_by_one,
    random,
    tensor,
)


def to_legal(answer: Answer, seed: int, device: torch.device) -> None:
    inside = random((2, 3, 8, 8), seed, device)
    image = 0.5 + normal((3, 3, 8, 8), seed, device)
    if not is_close(legal(tensor(answer(inside), inside.shape)), inside, 1e-6):
        raise Wrong("it changes an image whose values are all in [0, 1]: such an image should stay as it is")
    result = legal(tensor(answer(image), image.shape))
    in_range = (image >= 0) & (image <= 1)
    if not is_close(result[in_range], image[in_range], 1e-6):
        raise Wrong("the result is legal, but values that were already in [0, 1] moved: they should stay as they are")
    compare(result, torch.clip(image, 0, 1), message="a value outside [0, 1] should go to the *nearest* legal value")


def away_from_class(answer: Answer, seed: int, device: torch.device) -> None:
    logits = 3 * normal((6, 5), seed, device)
    classes = torch.tensor([3, 0, 4, 1, 2, 1], device=device)
    rows = torch.arange(6, device=device)
    log_p = logits.log_softmax(1)
    result = tensor(answer(logits, classes), (6,))
    mistakes = {
        "the sign is reversed: climbing your score makes the class *more* probable": log_p[rows, classes],
        "these are logits: take the logarithm of the *probability*": -logits[rows, classes],
        "this is the probability: take its logarithm": -log_p[rows, classes].exp(),
        "your probabilities add up to 1 over the images (dimension 0): they should do so over the classes": (
            -logits.log_softmax(0)[rows, classes]
        ),
        "every image got the score of the same class: each image has its own class": -log_p[:, classes[0]],
        "this is the mean over the batch, divided among the images: return one score per image": -log_p[rows, classes]
        / len(logits),
    }
    mistakes |= {"every image has the same score": torch.full_like(result, result[0].item())}
    compare(result, -log_p[rows, classes], mistakes)
    large = tensor(answer(40 * logits, classes), (6,), "for large logits your result")
    if not is_close(large, -(40 * logits).log_softmax(1)[rows, classes]):
        raise Wrong(
            "right for small logits, but wrong for large ones: there a probability is rounded to 0 or 1 before its "
            "logarithm is taken"
        )
    one_by_one(answer, result, (logits, classes))
    expected = logits.softmax(1) - torch.nn.functional.one_hot(classes, 5)
    compare(
        lets_gradients_through(answer, logits, classes),
        expected,
        message="the values are right, but the gradient with respect to the logits is not: is a part detached?",
    )
