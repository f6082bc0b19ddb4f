"""Table I: the models of the evaluation, the paper's beside those built here (section IV.A).

    python experiments/table1_models.py
    python experiments/table1_models.py --json

Each model is built in PyTorch and its layers are captured. The paper counts layers as Caffe does,
with an input layer and a copy of each tensor that several layers read, and takes MB for MiB.
"""

import argparse
from typing import Any

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import paper

from testbed.commands.output import add_json, print_json, print_table
from testbed.dnn.capture import capture
from testbed.dnn.models import build_model
from testbed.dnn.published import caffe_copies, caffe_layer_count
from testbed.errors import EXIT_COMPLETE
from testbed.exits import exit_with

NOTE = """
MobileNet: Table I says 110 layers. Its Caffe definition (shicai/MobileNet-Caffe) had 110 until 5
February 2018, when commit 728e690 added the softmax `prob`; since then it has 111. Caffe adds an
input layer, so the paper's author published times of 112 (IONN-client, commit fe55f01e).
1 MB is 10^6 bytes. Multiply-adds are those of convolutions and inner products."""


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_json(parser)
    given = parser.parse_args()
    rows = [row(model) for model in paper.MODELS]
    if given.json:
        print_json({"rows": rows})
        return EXIT_COMPLETE
    print_table(
        ("", "layers", "paper", "executed", "copies", "MB", "MiB", "paper", "10^6 mult.-adds"),
        [
            (
                each["model"],
                each["layers"],
                each["paper_layers"],
                each["executed_layers"],
                each["copies"],
                round(each["weight_bytes"] / 1e6, 2),
                round(each["weight_bytes"] / 2**20, 1),
                each["paper_mib"],
                round(each["multiply_adds"] / 1e6),
            )
            for each in rows
        ],
        title="Table I: layers = executed + copies + input",
    )
    print(NOTE)
    return EXIT_COMPLETE


def row(model: str) -> dict[str, Any]:
    """Return the figures of one model, ready for JSON."""
    module, examples = build_model(model, seed=None)
    graph = capture(module, examples, model).graph
    products = ("Convolution", "InnerProduct")
    return {
        "model": model,
        "layers": caffe_layer_count(graph),
        "paper_layers": paper.TABLE_1[model].layers,
        "executed_layers": len(graph),
        "copies": caffe_copies(graph),
        "weight_bytes": int(graph.weight_bytes.sum()),
        "paper_mib": paper.TABLE_1[model].size_mib,
        "multiply_adds": sum(
            layer.multiply_adds for layer in graph.layers if layer.kind in products
        ),
    }


if __name__ == "__main__":
    exit_with(main)
