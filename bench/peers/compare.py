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


class Holding:
    """While rows are measured, a command that keeps others off the machine: it prints a line when it has done so, and lets
    them go when its standard input ends."""

    def __init__(self, command):
        self.command = command

    def __enter__(self):
        if self.command:
            self.process = subprocess.Popen(self.command, shell=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.process.stdout.readline()

    def __exit__(self, *_):
        if self.command:
            self.process.stdin.close()
            self.process.wait()


def busy_seconds():
    """Of all processors, since the machine started."""
    fields = [int(n) for n in open("/proc/stat").readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")  # without idle and waiting


def used_seconds(pid):
    """Of one process."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def blocks(contenders, request):
    """Seconds of each, one after the other, and whether the machine was theirs; up to three times until it is."""
    for _ in range(3):
        answers = {contender: block(contender, request) for contender in contenders}
        quiet = all(alone for _, alone in answers.values())
        if quiet:
            break
    return {contender: seconds for contender, (seconds, _) in answers.items()}, quiet


def block(contender, request):
    """Its answer, and whether other processes left the machine to it: less than a fifth of one processor."""
    contender.wake()
    pids = [os.getpid(), contender.process.pid]
    used, busy, start = sum(map(used_seconds, pids)), busy_seconds(), time.monotonic()
    seconds = float(contender.ask(request))
    others = busy_seconds() - busy - (sum(map(used_seconds, pids)) - used)
    return seconds, others < 0.02 + 0.2 * (time.monotonic() - start)  # the clocks tick every 10 ms


class Row:
    """One row: made ready in every process, measured, its results compared."""

    def __init__(self, id, measurement):
        self.id, self.options, self.work, self.m = id, measurement.options, measurement.work, measurement
        self.ours = measurement.rows[id]["ours"]
        self.inputs = self.work / f"{id}.attend.safetensors"
        self.refused, self.measured, self.failed = {}, {}, False

    def guarded(self, step):
        """A failure of ours ends the row, and is recorded."""
        if self.failed:
            return
        try:
            step()
        except (RuntimeError, Died) as error:
            self.failed = True
            print(f"{self.id}: {error}", flush=True)
            for threads in self.options.threads:
                self.m.record(self.id, threads, "attend", note=str(error))

    def peers(self):
        return {name: peer for name, peer in self.m.peers.items() if name not in self.refused}

    def prepare(self):
        print(f"{self.id}: {self.m.rows[self.id]['what']}", flush=True)
        self.ours.ask(f"{self.id} write {self.inputs}")
        self.expected = self.float64()
        for name, peer in self.peers().items():
            try:
                peer.ask(f"{self.id} read {self.inputs}")
                for threads in self.options.threads:
                    peer.ask(f"{self.id} ready {threads}")
            except (RuntimeError, Died) as error:
                self.refused[name] = str(error)

    def float64(self):
        """Results in float64, from the work folder if the inputs are those of then."""
        mark = hashlib.sha256()
        with safe_open(self.inputs, "np") as file:
            mark.update(json.dumps(file.metadata(), sort_keys=True).encode())
            for name in sorted(file.keys()):
                if not name.startswith("output"):
                    mark.update(name.encode() + file.get_tensor(name).tobytes())
        path = self.work / f"float64-{self.id}-{mark.hexdigest()[:16]}.npz"
        if not path.exists():
            results = self.work / f"{self.id}.float64.safetensors"
            self.m.reference.ask(f"{self.id} read {self.inputs}")
            self.m.reference.ask(f"{self.id} write {results}")
            np.savez(path, **load_file(results))
            self.m.reference.end()
        return dict(np.load(path))

    def measure(self):
        for threads in self.options.threads:
            self.measured[threads] = self.pairs(threads)

    def pairs(self, threads):
        """{contender: what is recorded of it}; peers that fail are refused from now on."""
        ours = self.ours
        request = f"{self.id} threads {threads} milliseconds {self.options.block}"
        limit_name, rate, work = ours.ask(f"{self.id} limit threads {threads}").split()
        times, disturbed = {name: [] for name in self.peers()}, 0
        for round in range(self.options.pairs):
            for name, peer in self.peers().items():
                try:
                    if not round:
                        peer.ask(request)  # finds the fastest way
                    found, quiet = blocks([peer, ours] if round % 2 else [ours, peer], request)
                except (RuntimeError, Died) as error:
                    if ours.process is None:
                        raise
                    self.refused[name] = str(error)
                    continue
                disturbed += not quiet
                times[name].append((found[ours], found[peer]))
        times = {name: pairs for name, pairs in times.items() if name not in self.refused}
        mine = [pair[0] for pairs in times.values() for pair in pairs]
        if not mine:
            mine = [blocks([ours], request)[0][ours] for _ in range(self.options.pairs)]
        seconds = statistics.median(mine)
        fraction = float(work) / float(rate) / seconds
        records = {"attend": {"seconds": seconds, "limit": limit_name, "limit_rate": float(rate), "fraction": fraction,
                              "pairs": len(mine), "disturbed": disturbed}}
        print(f"{self.id}, {threads} threads: attend         {seconds * 1e3:10.4f} ms, {fraction:.0%} of {limit_name}",
              f"(others used the processors in {disturbed} pairs)" if disturbed else "", flush=True)
        for name, pairs in times.items():
            low, ratio, high = np.quantile([theirs / mine for mine, theirs in pairs], [0.1, 0.5, 0.9])
            seconds = statistics.median(theirs for _, theirs in pairs)
            records[name] = {"way": self.m.peers[name].ask(f"{self.id} way {threads}"), "seconds": seconds, "ratio": ratio,
                             "ratio_10": low, "ratio_90": high, "pairs": len(pairs)}
            print(f"{self.id}, {threads} threads: {name:14} {seconds * 1e3:10.4f} ms, ratio {ratio:.2f} ({low:.2f}, {high:.2f})",
                  flush=True)
        return records

    def compare(self):
        """Errors against float64; what was measured is recorded beside them."""
        errors = {"attend": error_of(load_file(self.inputs), self.expected)}
        for name, peer in self.peers().items():
            results = self.work / f"{self.id}.{name}.safetensors"
            try:
                peer.ask(f"{self.id} write {results}")
                errors[name] = error_of(load_file(results), self.expected)
            except (RuntimeError, Died) as error:
                self.refused[name] = str(error)
        print(f"{self.id}: errors", {n: f"{e:.1e}" for n, e in errors.items()}, self.refused or "", flush=True)
        for threads, records in self.measured.items():
            for name, values in records.items():
                if name not in self.refused:
                    self.m.record(self.id, threads, name, error=errors[name], **values)
            for name, reason in self.refused.items():
                self.m.record(self.id, threads, name, note=reason)

    def forget(self):
        for contender in [self.ours, *self.peers().values()]:
            try:
                contender.ask(f"{self.id} forget")
            except (RuntimeError, Died):
                pass  # it did not have the row
        if not self.options.keep:
            for path in self.work.glob(f"{self.id}.*.safetensors"):
                path.unlink()


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
            return [id for id in self.rows if not (self.options.quick and id.startswith("G"))]
        for id in self.options.rows:
            if id not in self.rows:
                raise SystemExit(f"there is no row {id}; there are {' '.join(self.rows)}")
        return self.options.rows

    def run(self):
        ids = self.chosen()
        for first in range(0, len(ids), self.options.together):
            rows = [Row(id, self) for id in ids[first:first + self.options.together]]
            for row in rows:
                row.guarded(row.prepare)
            if not self.options.prepare:
                with Holding(self.options.hold):
                    for row in rows:
                        row.guarded(row.measure)
            for row in rows:
                row.guarded(row.compare)
                row.forget()

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
    parser.add_argument("--threads", type=lambda s: [int(n) for n in s.split(",")], help="1,2 by default")
    parser.add_argument("--peers", type=lambda s: s.split(",") if s else [], default=PEERS)
    parser.add_argument("--pairs", type=int, default=21)
    parser.add_argument("--block", type=float, default=60, help="milliseconds")
    parser.add_argument("--quick", action="store_true", help="within 10 minutes: 3 pairs, 2 threads, without torch.compile and the products G")
    parser.add_argument("--isa", choices=["native", "avx2"], default="native")
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--hold", help="command that keeps a shared machine quiet while a row is measured: see Holding")
    parser.add_argument("--together", type=int, default=1, metavar="N", help="rows that are prepared, then measured in one go")
    parser.add_argument("--keep", action="store_true", help="keep inputs and results of the rows")
    options = parser.parse_args()
    if options.quick:
        options.pairs, options.peers = 3, [name for name in options.peers if name != "torch.compile"]
    options.threads = options.threads or ([2] if options.quick else [1, 2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no stopped process stays behind
    measurement = Measurement(options)
    try:
        measurement.run()
    finally:
        measurement.end()
        if not options.prepare:
            report.write(pathlib.Path(options.output))  # of what there is, also when it is ended


if __name__ == "__main__":
    main()
