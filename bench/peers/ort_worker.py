#!/usr/bin/env python3
"""R1 in ONNX Runtime, exported from PyTorch; started by peers.py with the data folder.

Request-level and split form (r1_model.py), rows looked up by a Gather of the graph or by NumPy; fp32,
and ONNX Runtime's own int8: dynamic, and static with activations calibrated on requests that are not
scored afterwards. Needs the environment of bench/peers/setup.
"""
import logging
import os
import pathlib
import sys
import warnings

import numpy as np
import onnxruntime as ort
import torch
from onnxruntime.quantization import (CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic,
                                      quantize_static)
from onnxruntime.quantization.shape_inference import quant_pre_process

from r1_model import CANDIDATES, FAMILIES, HISTORY, REQUESTS, WIDTH, Folder, R1, R1Split
from worker import serve

CALIBRATION = range(REQUESTS - 16, REQUESTS)
QUANTISED = ["MatMul", "Gemm"]


class OfRows(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, rows, viewer, context):
        return self.model(rows[:HISTORY], rows[HISTORY:], viewer, context)


class OfTable(OfRows):
    def forward(self, table, ids, viewer, context):  # pylint: disable=arguments-differ
        return super().forward(torch.index_select(table, 0, ids).view(-1, 3 * WIDTH), viewer, context)


def export(module, inputs, names, path):
    torch.onnx.export(module.eval(), inputs, str(path), input_names=names, output_names=["logits"],
                      opset_version=17, dynamo=False)
    return path


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # float32 that is smaller than the smallest normal would cost a hundred times as much to add.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Requests:
    """Inputs of request `index`, ids beforehand as int64 into the tables laid end to end."""

    def __init__(self, folder):
        tables = [folder.tensor(f"table{i}") for i in range(3)]
        self.table = np.concatenate(tables)
        starts = np.cumsum([0] + [len(table) for table in tables[:2]])
        self.ids = (folder.tensor("ids").astype("int64") + starts).reshape(REQUESTS, -1)
        self.viewers, self.contexts = (np.array(folder.tensor(name)) for name in ("viewers", "contexts"))
        self.buffer = np.empty((len(self.ids[0]), WIDTH), np.float32)
        self.bound = ort.OrtValue.ortvalue_from_numpy(self.table)

    def sides(self, index):
        return {"viewer": self.viewers[index:index + 1], "context": self.contexts[index:index + 1]}

    def rows(self, index):
        # mode="clip" lets NumPy write straight into `out`.
        np.take(self.table, self.ids[index], axis=0, out=self.buffer, mode="clip")
        return {"rows": self.buffer.reshape(-1, 3 * WIDTH), **self.sides(index)}

    def with_take(self, path):
        run = session(path).run
        return lambda index: run(None, self.rows(index))[0]

    def with_gather(self, path):
        running = session(path)
        binding = running.io_binding()
        binding.bind_ortvalue_input("table", self.bound)
        binding.bind_output("logits")

        def score(index):
            binding.bind_cpu_input("ids", self.ids[index])
            for name, values in self.sides(index).items():
                binding.bind_cpu_input(name, values)
            running.run_with_iobinding(binding)
            return binding.copy_outputs_to_cpu()[0]
        return score


class Calibration(CalibrationDataReader):
    def __init__(self, requests):
        super().__init__()
        # A copy: the rows of every request are written into one buffer.
        self.inputs = ({name: values.copy() for name, values in requests.rows(index).items()}
                       for index in CALIBRATION)

    def get_next(self):
        return next(self.inputs, None)


class Lazily:
    """Exports and quantises at the first request, outside every timed round."""

    def __init__(self, make):
        self.make, self.made = make, None

    def __call__(self, index):
        if self.made is None:
            self.made = self.make()
        return self.made(index)


def variants_of(family, model, form, folder, requests):
    rows, sides = torch.zeros(HISTORY + CANDIDATES, 3 * WIDTH), (torch.zeros(1, WIDTH), torch.zeros(1, WIDTH))
    base = folder / f"{family}_{form}"

    def of_rows():
        return export(OfRows(model), (rows, *sides), ["rows", "viewer", "context"], f"{base}.onnx")

    def of_table():
        ids = torch.zeros((HISTORY + CANDIDATES) * 3, dtype=torch.int64)
        example = (torch.zeros(10, WIDTH), ids, *sides)
        torch.onnx.export(OfTable(model).eval(), example, f"{base}_table.onnx", opset_version=17, dynamo=False,
                          input_names=["table", "ids", "viewer", "context"], output_names=["logits"],
                          dynamic_axes={"table": {0: "rows"}})
        return requests.with_gather(f"{base}_table.onnx")

    def prepared():
        quant_pre_process(of_rows(), f"{base}_prepared.onnx", skip_symbolic_shape=True)
        return f"{base}_prepared.onnx"

    def dynamic():
        quantize_dynamic(prepared(), f"{base}_dynamic.onnx", op_types_to_quantize=QUANTISED,
                         weight_type=QuantType.QInt8, per_channel=True)
        return requests.with_take(f"{base}_dynamic.onnx")

    def static():
        quantize_static(prepared(), f"{base}_static.onnx", Calibration(requests), QuantFormat.QDQ,
                        op_types_to_quantize=QUANTISED, per_channel=True,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
        return requests.with_take(f"{base}_static.onnx")

    return {f"{family}_fp32_{form}_take": (family, Lazily(lambda: requests.with_take(of_rows()))),
            f"{family}_fp32_{form}_gather": (family, Lazily(of_table)),
            f"{family}_int8_{form}_dynamic": (family, Lazily(dynamic)),
            f"{family}_int8_{form}_static": (family, Lazily(static))}


def main():
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    ort.set_default_logger_severity(3)
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    folder = Folder(sys.argv[1])
    requests = Requests(folder)
    scratch = pathlib.Path(sys.argv[1]) / "onnx"
    os.makedirs(scratch, exist_ok=True)
    variants = {}
    for family in FAMILIES:
        weights = folder.weights(family)
        forms = {"request": R1(family, weights), "split": R1Split(family, weights)}
        if family == "din":
            forms["split_25"] = R1Split(family, weights, 25)
        for form, model in forms.items():
            variants.update(variants_of(family, model, form, scratch, requests))
    serve(folder, ort.__version__, variants)


if __name__ == "__main__":
    main()
