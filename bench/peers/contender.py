#!/usr/bin/env python3
"""One peer in a process of its own: answers requests on standard input, one line each, as the benchmark programs do.

    ID read MARK FILE               takes a row's inputs from the file that the benchmark program wrote; models exported for
                                    them are kept in the folder "models" beside it, under names that begin with MARK; "ok"
    ID ready N                      every way to compute it has been called once, compiled if it must be; "ok"
    ID threads N milliseconds M     seconds per call of the fastest way, which is found the first time
    ID way N                        name of that way
    ID write FILE                   its results as safetensors; "ok"
    ID forget                       lets the row's memory go; "ok"
"""
import argparse
import os
import pathlib
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


def best_of_some(call):
    """Seconds of the best of up to three blocks, within a tenth of a second."""
    best, start = float("inf"), time.perf_counter()
    for _ in range(3):
        best = min(best, seconds_per_call(call, 20))
        if time.perf_counter() - start > 0.1:
            break
    return best


class Row:
    """A computation and the ways to do it."""

    def __init__(self, runtime, computation):
        self.runtime, self.computation, self.ways, self.chosen = runtime, computation, {}, {}

    def prepared(self, threads):
        """All ways (name, call, results), each called once, which compiles and allocates."""
        if threads not in self.ways:
            self.runtime.set_threads(threads)
            ways, failed = [], []
            for way in self.runtime.ways(self.computation, threads):
                if isinstance(way[1], Exception):
                    failed.append(f"{way[0]}: {way[1]}")
                else:
                    way[1]()
                    ways.append(way)
            if not ways:
                raise RuntimeError("; ".join(failed))
            self.ways[threads] = ways
        return self.ways[threads]

    def fastest(self, threads):
        """Of the ways; the others are let go."""
        if threads not in self.chosen:
            ways = self.prepared(threads)
            self.runtime.set_threads(threads)
            self.chosen[threads] = ways[0] if len(ways) == 1 else min(ways, key=lambda way: best_of_some(way[1]))
            self.ways[threads] = [self.chosen[threads]]
        return self.chosen[threads]

    def results(self):
        known = [*self.chosen.values(), *(way for ways in self.ways.values() for way in ways)] or self.prepared(2)
        return {n: x.detach().contiguous() for n, x in known[0][2]().items()}


class Contender:
    def __init__(self, name):
        self.name, self.runtime, self.rows = name, RUNTIMES[name](), {}

    def read(self, id, mark, path):
        with safe_open(path, "pt") as file:
            tensors = {n: file.get_tensor(n) for n in file.keys() if not n.startswith("output")}
            options = file.metadata()
        if self.name == "float64":
            tensors = {n: t.double() if t.is_floating_point() else t for n, t in tensors.items()}
        computation = computations.make(tensors, options)
        computation.models = pathlib.Path(path).parent / "models" / mark
        self.rows[id] = Row(self.runtime, computation)

    def answer(self, line):
        id, verb, *words = line.split(" ", 3 if " threads " in line else 2)
        if verb == "read":
            self.read(id, *words[0].split(" ", 1))
            return "ok"
        row = self.rows[id]
        with torch.inference_mode(row.computation.kind == "forward"):
            if verb == "ready":
                row.prepared(int(words[0]))
            elif verb == "way":
                return row.fastest(int(words[0]))[0]
            elif verb == "write":
                save_file(row.results(), words[0])
            elif verb == "forget":
                del self.rows[id]
                if not self.rows:
                    self.runtime.forget()
            else:
                threads, milliseconds = int(words[0]), float(words[1].split()[1])
                call = row.fastest(threads)[1]
                self.runtime.set_threads(threads)
                return repr(seconds_per_call(call, milliseconds))
        return "ok"

    def serve(self):
        answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # what libraries print must not mix with the answers
        for line in sys.stdin:
            try:
                answer = self.answer(line.strip())
            except Exception as error:
                answer = "error " + " ".join(str(error).split())[:300]
            print(answer, file=answers, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=RUNTIMES)
    Contender(parser.parse_args().name).serve()
