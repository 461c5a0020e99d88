"""Reads Heed's tensor files (docs/formats/model.md) and compares arrays; for the PyTorch judges."""
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy as np
import torch

TYPES = {1: "<f4", 2: "<u4", 3: "<u8", 4: "u1"}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def read(data):
    """name -> array (floats as float64, so that the judge is more exact than the judged)."""
    assert data[:8] == b"HEEDTNS1" and struct.unpack("<I", data[-4:])[0] == zlib.crc32(data[:-4])
    count, at = varint(data, 8)
    tensors = {}
    for _ in range(count):
        size, at = varint(data, at)
        name, at = data[at:at + size].decode(), at + size
        kind, at = data[at], at + 1
        rank, at = varint(data, at)
        dims = []
        for _ in range(rank):
            dim, at = varint(data, at)
            dims.append(dim)
        dtype = np.dtype(TYPES[kind])
        elements = int(np.prod(dims, dtype=np.int64))
        array = np.frombuffer(data, dtype, elements, at).reshape(dims)
        at += elements * dtype.itemsize
        tensors[name] = array.astype(np.float64) if kind == 1 else array.astype(array.dtype)
    assert at == len(data) - 4
    return tensors


def varint_of(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def encode(tensors):
    """name -> array of floats, as a tensor file; every array flat."""
    out = bytearray(b"HEEDTNS1" + varint_of(len(tensors)))
    for name in sorted(tensors, key=lambda n: n.encode()):
        array = np.asarray(tensors[name], "<f4").reshape(-1)
        encoded = name.encode()
        out += varint_of(len(encoded)) + encoded + bytes([1]) + varint_of(1)
        out += varint_of(array.size) + array.tobytes()
    return bytes(out) + struct.pack("<I", zlib.crc32(out))


def run(driver, *arguments):
    """The tensors that `driver FILE ARGUMENTS...` writes."""
    with tempfile.NamedTemporaryFile(suffix=".tensors") as file:
        subprocess.run([driver, file.name, *arguments], check=True)
        return read(file.read())


def t64(array):
    return torch.tensor(np.asarray(array), dtype=torch.float64)


def leaf(array):
    return t64(array).requires_grad_()


class Judge:
    """Counts comparisons; one that is off by more than `limit` of the largest number fails all."""

    def __init__(self, limit):
        self.limit, self.checked, self.failed, self.worst = limit, 0, 0, 0.0
        self.worst_name = "none"
        self.theirs = {}  # "case/name" -> PyTorch's numbers

    def case(self, where, name, ours):
        self.where, self.name, self.ours = where, name, ours

    def same(self, name, theirs):
        """Compares the case's tensor `name` with PyTorch's."""
        theirs = np.asarray(theirs.detach() if hasattr(theirs, "detach") else theirs, np.float64)
        self.theirs[f"{self.name}/{name}"] = theirs
        ours = self.ours[name]
        self.checked += 1
        if ours.size != theirs.size:
            off = np.inf
        elif ours.size == 0:
            off = 0.0
        else:
            difference = np.abs(ours.reshape(-1) - theirs.reshape(-1)).max()
            off = difference / max(np.abs(theirs).max(), 1e-3)
        if off > self.worst:
            self.worst, self.worst_name = off, f"{self.name}/{name}"
        if not off <= self.limit:
            self.failed += 1
            print(f"FAILED {self.where}{self.name}/{name}: off by {off:.3g} of the largest number")

    def verdict(self):
        print(f"{self.checked} tensors compared with PyTorch, largest relative error "
              f"{self.worst:.3g} ({self.worst_name})")
        sys.exit(self.failed > 0 or self.checked == 0)
