#!/usr/bin/python3
"""Times the plain Qwen2 for `Grpo.Benchmarks --against`. Prints the names of its cases, then runs each case that a line names by index."""

import argparse
import ctypes
import os
import pathlib
import sys
import time

import torch

from golden import compare
from qwen2 import Config, Qwen2, update

SHAPES = {  # as in Grpo.Benchmarks/Shape.cs
    "tiny": Config(256, 4, 4, 2, 688, 2048),
    "0.5b": Config(896, 24, 14, 2, 4864, 151_936),
}


def describe_kernels():
    """Names the BLAS library that is loaded, and the kernels that it and PyTorch have chosen."""
    maps = pathlib.Path("/proc/self/maps")
    paths = {line.split()[-1] for line in maps.read_text().splitlines() if "/" in line} if maps.exists() else set()
    blas = sorted(path for path in paths if any(name in pathlib.Path(path).name for name in ("blas", "libmkl", "blis")))
    names = []
    for path in blas:
        library = ctypes.CDLL(path)
        for suffix in ("", "64_"):
            core, config = (getattr(library, f"openblas_get_{what}{suffix}", None) for what in ("corename", "config"))
            if core is not None:
                core.restype = config.restype = ctypes.c_char_p
                threads = getattr(library, f"openblas_get_num_threads{suffix}")()
                names.append(f"kernel {core().decode()} ({config().decode()}), {threads} threads")
    capability = [line.strip(" -") for line in torch.__config__.show().splitlines() if "capability" in line]
    return f"BLAS {', '.join(blas) or 'in PyTorch'}: {'; '.join(dict.fromkeys(names)) or 'kernel unknown'}; {'; '.join(capability)}"


class Cases:
    """The cases of a shape. A model and its optimizer are created when the first case needs them."""

    def __init__(self, shape):
        self.config, self.model, self.optimizer = SHAPES[shape], None, None
        sizes = (16, 128), (8, 128, 128), (16, 64, 64)
        if shape == "0.5b":
            sizes = (4, 128), (4, 128, 32), (8, 64, 64)
        (rows, length), (group, prompt, completion), (answers, before, after) = sizes
        # Updates of whole sequences have one token before the first that counts.
        self.runs = {
            f"update {rows} x {length}": lambda: self.update(rows, 1, length - 1),
            f"update G={group}, P={prompt}, C={completion}, prompt per completion": lambda: self.update(group, prompt, completion),
            f"generate {answers} x ({before} + {after})": lambda: self.generate(answers, before, after),
        }

    def prepare(self):
        if self.model is None:
            self.model = Qwen2(self.config)
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-9, weight_decay=0)

    def update(self, rows, prompt, completion):
        ids = torch.randint(self.config.vocab_size, (rows, prompt + completion))
        advantages = torch.tensor([1.0, -1.0] * (rows // 2))
        update(self.model, self.optimizer, ids, prompt, advantages)

    def generate(self, rows, prompt, completion):
        self.model.generate(torch.randint(self.config.vocab_size, (1, prompt)).repeat(rows, 1), completion)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--shared", default=os.environ.get("GRPO_SHARED", pathlib.Path(__file__).resolve().parents[3] / "shared"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument("--threads", type=int, default=cores)  # Debian's PyTorch takes half of the cores
    options, _ = parser.parse_known_args()  # the others are for other peers
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    print(f"peer: PyTorch {torch.__version__}, {torch.get_num_threads()} threads; {compare(options.shared)}", file=sys.stderr)
    print(f"peer: {describe_kernels()}", file=sys.stderr)
    cases = Cases(options.shape)
    print("\t".join(cases.runs), flush=True)
    for line in sys.stdin:
        run = list(cases.runs.values())[int(line)]
        cases.prepare()
        start = time.perf_counter()
        run()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
