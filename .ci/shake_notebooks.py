"""Find the claims of the lessons that hang on the last digits of their numbers.

python .ci/shake_notebooks.py                  every lesson, three times: half an hour
python .ci/shake_notebooks.py 01 --runs 10     the lessons whose path contains one of these names

Another processor or number of threads adds up in another order, so last digits differ, and a hundred steps can make
much of that. Here each run changes the last digits of every network's logits and gradients, and of weights after each
step of a training, and prints the claims that no longer hold. Nothing is written.
"""

import argparse
import ast
import sys
import textwrap
from functools import partial

from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell

from refresh_notebooks import NOTEBOOKS, execute, find_notebooks

SHAKING = """
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from fooling_utils import Classifier

def shaken(values, random=torch.Generator().manual_seed({seed})):
    return values * (1 + 2e-7 * torch.randn(values.shape, generator=random).to(values))

def shake_weights(optimizer, *_):
    with torch.no_grad():
        for weights in (one for group in optimizer.param_groups for one in group["params"]):
            weights.copy_(shaken(weights))

def shaken_answer(self, images, forward=Classifier.forward):
    if torch.is_tensor(images) and images.requires_grad:
        images = images.view_as(images)
        images.register_hook(shaken)
    return shaken(forward(self, images))

Classifier.forward = shaken_answer
register_optimizer_step_post_hook(shake_weights)
"""


def one_by_one(claims):
    """Return the code of a cell of claims that prints those that fail, and goes on."""
    code = []
    for statement in ast.parse(claims).body:
        text = ast.unparse(statement)
        if any(isinstance(part, ast.Assert) for part in ast.walk(statement)):
            text = f"try:\n{textwrap.indent(text, '    ')}\nexcept AssertionError:\n    print({text!r})"
        code.append(text)
    return "\n".join(code)


def _is_claims(cell):
    return "claims" in cell.metadata.get("tags", [])


def _shake(notebook, seed):
    for cell in filter(_is_claims, notebook.cells):
        cell.source = one_by_one(cell.source)
    notebook.cells.insert(0, new_code_cell(SHAKING.format(seed=seed)))


def failing_claims(path, seed, timeout=900):
    """Run the notebook at `path` with last digits that depend on `seed`, and return what fails: claims, or a cell."""
    try:
        notebook, _ = execute(path, timeout, change=partial(_shake, seed=seed))
    except CellExecutionError as error:
        return [f"a cell failed: {error.ename}: {error.evalue}"]
    outputs = (output for cell in filter(_is_claims, notebook.cells) for output in cell.outputs)
    return [line for output in outputs if output.get("name") == "stdout" for line in output.text.splitlines()]


def main(arguments=None):
    """Run the command line, and return the number of claims that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of the lessons' paths (default: all lessons)")
    parser.add_argument("--runs", type=int, default=3, help="how often each is run (default: 3)")
    options = parser.parse_args(arguments)
    try:
        # not lecture pages and solutions, which have no claims
        paths = [path for path in find_notebooks(options.names) if path.parent == NOTEBOOKS]
    except ValueError as error:
        parser.error(str(error))

    failed = 0
    for seed in range(options.runs):
        for path in paths:
            claims = failing_claims(path, seed)
            failed += len(claims)
            print(f"{path.name}, run {seed}:", *(claims or ["all claims hold"]), sep="\n    ", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
