"""Table I: the models of the evaluation, the paper's beside those built here (section IV.A).

    python experiments/table1_models.py
    python experiments/table1_models.py --json

Each model is built in PyTorch and its layers are captured. The paper counts layers as Caffe does,
with an input layer and a copy of each tensor that several layers read, and takes MB for MiB.
"""

import _venv  # noqa: F401  continues under the project's interpreter; must come first

from testbed.dnn.graph_capture import capture
from testbed.dnn.models.factory import build_model
from testbed.dnn.models.published import caffe_copies, caffe_layer_count
from testbed.studies import paper
from testbed.studies.calculation import Calculation, main
from testbed.studies.findings import Column, Findings, Row, Table, plain

NOTE = """
MobileNet: Table I says 110 layers. Its Caffe definition (shicai/MobileNet-Caffe) had 110 until 5
February 2018, when commit 728e690 added the softmax `prob`; since then it has 111. Caffe adds an
input layer, so the paper's author published times of 112 (IONN-client, commit fe55f01e).
1 MB is 10^6 bytes. Multiply-adds are those of convolutions and inner products."""


def calculate(calculation: Calculation) -> Findings:
    """Build each model and count."""
    rows = [row(model) for model in paper.MODELS]
    columns = (
        *(plain("", "model"), plain("layers"), plain("paper", "paper_layers")),
        *(plain("executed", "executed_layers"), plain("copies")),
        Column("MB", lambda row: round(row["weight_bytes"] / 1e6, 2)),
        Column("MiB", lambda row: round(row["weight_bytes"] / 2**20, 1)),
        plain("paper", "paper_mib"),
        Column("10^6 mult.-adds", lambda row: round(row["multiply_adds"] / 1e6)),
    )
    title = "Table I: layers = executed + copies + input"
    return Findings(rows, [Table(columns, rows, title), NOTE])


def row(model: str) -> Row:
    """Return the figures of one model, ready for JSON."""
    module, examples = build_model(model, seed=None)
    graph = capture(module, examples, model).graph
    products = [each for each in graph.layers if each.kind in ("Convolution", "InnerProduct")]
    return {
        "model": model,
        "layers": caffe_layer_count(graph),
        "paper_layers": paper.TABLE_1[model].layers,
        "executed_layers": len(graph),
        "copies": caffe_copies(graph),
        "weight_bytes": int(graph.weight_bytes.sum()),
        "paper_mib": paper.TABLE_1[model].size_mib,
        "multiply_adds": sum(layer.multiply_adds for layer in products),
    }


if __name__ == "__main__":
    main("table1_models", calculate)
