#!/usr/bin/env python3
"""One peer in a process of its own: answers requests on standard input, one line each, as the benchmark programs do.

    ID read FILE                    takes a row's inputs from the file that the benchmark program wrote; "ok"
    ID threads N milliseconds M     seconds per call; the first time with so many threads all ways are tried, the fastest kept
    ID way threads N                name of that way
    ID write FILE                   results of every way, differences between them tested, as safetensors; "ok"
"""
import argparse
import os
import sys
import time

import torch
from safetensors import safe_open
from safetensors.torch import save_file

import computations
from runtimes import RUNTIMES


def seconds_per_call(call, milliseconds):
    """As in row_server.hpp."""
    clock = time.perf_counter
    start = clock()
    call()
    first = clock() - start
    if first * 1e3 >= milliseconds:
        return first
    start, calls, end = clock(), 0, milliseconds * 1e-3
    while True:
        call()
        calls += 1
        now = clock() - start
        if now >= end:
            return now / calls


class Contender:
    def __init__(self, name):
        self.name, self.runtime = name, RUNTIMES[name]()
        self.id, self.ready = None, {}

    def read(self, id, path):
        self.ready, self.computation = {}, None
        self.runtime.forget()
        double = self.name == "float64"
        with safe_open(path, "pt") as file:
            tensors = {n: file.get_tensor(n) for n in file.keys() if not n.startswith("output")}
            options = file.metadata()
        if double:
            tensors = {n: t.double() if t.is_floating_point() else t for n, t in tensors.items()}
        self.computation, self.id = computations.make(tensors, options), id
        return "ok"

    def fastest(self, threads):
        """(name, call, results) of the fastest way; the others are let go."""
        if threads not in self.ready:
            self.runtime.set_threads(threads)
            tried, failed = [], []
            for name, call, results in self.runtime.ways(self.computation, threads):
                if isinstance(call, Exception):
                    failed.append(f"{name}: {call}")
                    continue
                for _ in range(3):
                    call()  # compiles, allocates, settles
                tried.append((min(seconds_per_call(call, 40) for _ in range(3)), name, call, results))
            if not tried:
                raise RuntimeError("; ".join(failed))
            self.ready[threads] = min(tried, key=lambda way: way[0])[1:]
        return self.ready[threads]

    def answer(self, line):
        id, verb, rest = line.split(" ", 2)
        if verb == "read":
            return self.read(id, rest)
        if id != self.id:
            raise RuntimeError(f"{id} has not been read")
        if verb == "write":
            name, _, results = self.fastest(2 if self.name == "float64" else 1)
            save_file({n: x.detach().contiguous() for n, x in results().items()}, rest)
            return "ok"
        words = rest.split()
        if verb == "way":
            return self.fastest(int(words[1]))[0]
        threads, milliseconds = int(words[0]), float(words[2])
        call = self.fastest(threads)[1]
        self.runtime.set_threads(threads)
        return repr(seconds_per_call(call, milliseconds))

    def serve(self):
        answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # what libraries print must not mix with the answers
        for line in sys.stdin:
            try:
                grad = self.id is not None and self.computation.kind != "forward"
                with torch.inference_mode(not grad and " read " not in line):
                    answer = self.answer(line.strip())
            except Exception as error:
                answer = "error " + " ".join(str(error).split())[:300]
            print(answer, file=answers, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=RUNTIMES)
    Contender(parser.parse_args().name).serve()
