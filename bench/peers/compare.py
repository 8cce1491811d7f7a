#!/usr/bin/env python3
"""Times the rows of the benchmark programs here and in other libraries, in turns, and compares their errors.

    bench/peers/compare.py --programs BUILD/bench --output FOLDER [--rows A1,C1] [--threads 1,2] [--quick] [--isa avx2]

Each library runs in a process of its own, which is stopped (SIGSTOP) while another is measured. A pair is a block of
ours and a block of theirs, one after the other; pairs of all contenders follow each other in rounds. Blocks take
--block milliseconds or one call. Results are added row by row to FOLDER/results.csv; table.md and chart.png are made of
all that is in it. With --prepare nothing is measured: inputs, compiled models and float64 results are made for later.
"""
import argparse
import hashlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

import report

PEERS = ["torch", "torch.compile", "onnxruntime", "openvino"]
AVX2 = {"ATTEND_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


class Died(RuntimeError):
    pass


class Contender:
    """A process that answers lines; stopped except while it answers."""

    def __init__(self, name, command, environment, log):
        self.name, self.command, self.environment, self.log = name, command, environment, log
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        text=True, env=self.environment)
        self.running = True

    def wake(self):
        if self.process is None:
            self.start()
        if not self.running:
            self.process.send_signal(signal.SIGCONT)
        self.running = True

    def ask(self, line, many=False):
        """The answer, or the lines up to "end"; the process sleeps again afterwards."""
        self.wake()
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        lines = [self.process.stdout.readline()]
        while many and lines[-1].strip() not in ("end", ""):
            lines.append(self.process.stdout.readline())
        if lines[-1] == "":
            code = self.process.wait()
            self.process = None
            raise Died(f"the process died of {signal.Signals(-code).name if code < 0 else code}")
        self.process.send_signal(signal.SIGSTOP)
        self.running = False
        if lines[0].startswith("error "):
            raise RuntimeError(lines[0][6:].strip())
        return [l.rstrip("\n") for l in lines[:-1]] if many else lines[0].strip()

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def busy_seconds():
    """Of all processors, since the machine started."""
    fields = [int(n) for n in open("/proc/stat").readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")  # without idle and waiting


def used_seconds(pid):
    """Of one process."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Measurement:
    def __init__(self, options):
        self.options = options
        self.folder = pathlib.Path(options.output)
        self.work = self.folder / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(self.work / "inductor")}
        if options.isa == "avx2":
            environment.update(AVX2)
        log = open(self.folder / "contenders.log", "a")
        here = pathlib.Path(__file__).parent
        peer = lambda name: Contender(name, [sys.executable, str(here / "contender.py"), name], environment, log)
        self.peers = {name: peer(name) for name in options.peers}
        self.reference = peer("float64")
        self.rows = {}
        for program in sorted(pathlib.Path(options.programs).glob("*_benchmark")):
            ours = Contender("attend", [str(program), "--serve"], environment, log)
            for line in ours.ask("rows", many=True):
                id, what, bound, operations, bytes = line.split("\t")
                self.rows[id] = {"what": what, "family": program.name[:-len("_benchmark")], "ours": ours}
        self.commit = subprocess.run(["git", "-C", str(here), "rev-parse", "--short", "HEAD"], capture_output=True,
                                     text=True).stdout.strip()

    def chosen(self):
        if not self.options.rows:
            return list(self.rows)
        for id in self.options.rows:
            if id not in self.rows:
                raise SystemExit(f"there is no row {id}; there are {' '.join(self.rows)}")
        return self.options.rows

    def run(self):
        for id in self.chosen():
            try:
                self.row(id)
            except (RuntimeError, Died) as error:
                print(f"{id}: {error}", flush=True)
                self.record(id, 0, "attend", note=str(error))
            if not self.options.keep:
                for path in self.work.glob(f"{id}.*.safetensors"):
                    path.unlink()

    def row(self, id):
        row, ours = self.rows[id], self.rows[id]["ours"]
        inputs = self.work / f"{id}.attend.safetensors"
        print(f"{id}: {row['what']}", flush=True)
        ours.ask(f"{id} threads 1 milliseconds 1")
        ours.ask(f"{id} write {inputs}")
        expected = self.float64(id, inputs)
        errors, refused = {"attend": error_of(load_file(inputs), expected)}, {}
        for name, peer in self.peers.items():
            results = self.work / f"{id}.{name}.safetensors"
            try:
                peer.ask(f"{id} read {inputs}")
                peer.ask(f"{id} write {results}")
                errors[name] = error_of(load_file(results), expected)
                for threads in self.options.threads:
                    peer.ask(f"{id} threads {threads} milliseconds 1")
            except (RuntimeError, Died) as error:
                refused[name] = str(error)
        if self.options.prepare:
            print("  errors", {n: f"{e:.1e}" for n, e in errors.items()}, refused or "", flush=True)
            return
        for threads in self.options.threads:
            self.pairs(id, threads, [n for n in self.peers if n not in refused], errors)
        for name, reason in refused.items():
            for threads in self.options.threads:
                self.record(id, threads, name, note=reason)

    def float64(self, id, inputs):
        """Results in float64, from the work folder if the inputs are those of then."""
        mark = hashlib.sha256()
        with safe_open(inputs, "np") as file:
            mark.update(json.dumps(file.metadata(), sort_keys=True).encode())
            for name in sorted(file.keys()):
                if not name.startswith("output"):
                    mark.update(name.encode() + file.get_tensor(name).tobytes())
        path = self.work / f"float64-{id}-{mark.hexdigest()[:16]}.npz"
        if not path.exists():
            results = self.work / f"{id}.float64.safetensors"
            self.reference.ask(f"{id} read {inputs}")
            self.reference.ask(f"{id} write {results}")
            np.savez(path, **load_file(results))
            self.reference.end()
        return dict(np.load(path))

    def pairs(self, id, threads, peers, errors):
        block, ours = self.options.block, self.rows[id]["ours"]
        request = f"{id} threads {threads} milliseconds {block}"
        limit_name, rate, work = ours.ask(f"{id} limit threads {threads}").split()
        times, refused, disturbed = {name: [] for name in peers}, {}, 0
        for round in range(self.options.pairs):
            for name in [n for n in peers if n not in refused]:
                order = [ours, self.peers[name]][::-1 if round % 2 else 1]
                try:
                    found, quiet = self.blocks(order, request)
                except (RuntimeError, Died) as error:
                    if ours.process is None:
                        raise
                    refused[name] = str(error)
                    continue
                disturbed += not quiet
                times[name].append((found[ours], found[self.peers[name]]))
        times = {name: pairs for name, pairs in times.items() if name not in refused}
        mine = [pair[0] for pairs in times.values() for pair in pairs]
        if not mine:
            mine = [self.blocks([ours], request)[0][ours] for _ in range(self.options.pairs)]
        if disturbed:
            print(f"  {threads} threads: others used the processors in {disturbed} pairs", flush=True)
        fraction = float(work) / float(rate) / statistics.median(mine)
        self.record(id, threads, "attend", seconds=statistics.median(mine), error=errors["attend"], limit=limit_name,
                    limit_rate=float(rate), fraction=fraction, pairs=len(mine), disturbed=disturbed)
        for name, pairs in times.items():
            ratios = [theirs / mine for mine, theirs in pairs]
            q = np.quantile(ratios, [0.1, 0.5, 0.9])
            way = self.peers[name].ask(f"{id} way threads {threads}")
            seconds = statistics.median(theirs for _, theirs in pairs)
            self.record(id, threads, name, way=way, seconds=seconds, error=errors[name], ratio=q[1], ratio_10=q[0],
                        ratio_90=q[2], pairs=len(pairs))
            print(f"  {threads} threads: {name:14} {seconds * 1e3:10.4f} ms, ratio {q[1]:.2f} ({q[0]:.2f}, {q[2]:.2f})", flush=True)
        for name, reason in refused.items():
            self.record(id, threads, name, note=reason)
        print(f"  {threads} threads: attend         {statistics.median(mine) * 1e3:10.4f} ms, {fraction:.0%} of {limit_name}",
              flush=True)

    def blocks(self, contenders, request):
        """Seconds of each, one after the other, and whether the machine was theirs; up to four times until it is."""
        for _ in range(4):
            answers = {contender: self.block(contender, request) for contender in contenders}
            quiet = all(alone for _, alone in answers.values())
            if quiet:
                break
        return {contender: seconds for contender, (seconds, _) in answers.items()}, quiet

    def block(self, contender, request):
        """Its answer, and whether other processes left the machine to it: less than a fifth of one processor."""
        contender.wake()
        pids = [os.getpid(), contender.process.pid]
        used, busy, start = sum(map(used_seconds, pids)), busy_seconds(), time.monotonic()
        seconds = float(contender.ask(request))
        others = busy_seconds() - busy - (sum(map(used_seconds, pids)) - used)
        return seconds, others < 0.02 + 0.2 * (time.monotonic() - start)  # the clocks tick every 10 ms

    def record(self, id, threads, contender, **values):
        report.append(self.folder / "results.csv", {
            "isa": self.options.isa, "commit": self.commit, "cpu": report.cpu_model(), "row": id,
            "family": self.rows[id]["family"], "what": self.rows[id]["what"], "threads": threads, "contender": contender,
            **{k: f"{v:.6g}" if isinstance(v, float) else v for k, v in values.items()}})

    def end(self):
        for contender in [*self.peers.values(), self.reference, *(r["ours"] for r in self.rows.values())]:
            contender.end()


def error_of(found, expected):
    """Largest difference of any result, over that result's largest magnitude in float64."""
    worst = 0.0
    for name, reference in expected.items():
        if found[name].shape != reference.shape:
            raise RuntimeError(f"{name} has shape {found[name].shape}; expected {reference.shape}")
        difference = float(np.max(np.abs(found[name].astype(np.float64) - reference)) / np.max(np.abs(reference)))
        worst = difference if not difference <= worst else worst
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, help="folder of the benchmark programs")
    parser.add_argument("--output", required=True, help="folder for results and intermediate files")
    parser.add_argument("--rows", type=lambda s: s.split(","), help="ids; all by default")
    parser.add_argument("--threads", type=lambda s: [int(n) for n in s.split(",")], default=[1, 2])
    parser.add_argument("--peers", type=lambda s: s.split(",") if s else [], default=PEERS)
    parser.add_argument("--pairs", type=int, default=21)
    parser.add_argument("--block", type=float, default=60, help="milliseconds")
    parser.add_argument("--quick", action="store_true", help="5 pairs")
    parser.add_argument("--isa", choices=["native", "avx2"], default="native")
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep inputs and results of the rows")
    options = parser.parse_args()
    if options.quick:
        options.pairs = 5
    measurement = Measurement(options)
    try:
        measurement.run()
    finally:
        measurement.end()
    if not options.prepare:
        report.write(pathlib.Path(options.output))


if __name__ == "__main__":
    main()
