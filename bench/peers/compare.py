#!/usr/bin/env python3
"""Times the rows of the benchmark programs here and in other libraries, in turns, and compares their errors.

    bench/peers/compare.py --programs BUILD/bench --output FOLDER [--rows A1,C*] [--threads 1,2] [--quick] [--isa avx2]

Each library runs in a process of its own, which is stopped (SIGSTOP) while another is measured. A block of ours stands
between blocks of two of them, and makes a pair with each; the order turns from round to round. Blocks take --block
milliseconds or one call. Results are added row by row to FOLDER/results.csv; table.md and the charts are made of all
that is in it. With --prepare nothing is measured: exported and compiled models and float64 results are made for later.
"""
import argparse
import concurrent.futures
import fnmatch
import hashlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import threading
import time

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

import report

PEERS = ["torch", "torch.compile", "onnxruntime", "openvino"]
PEERS_OF = {"gates": ["torch"]}  # timm's modules, as they are run
AVX2 = {"ATTEND_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


class Failed(RuntimeError):
    """What a contender said of it, or that it died."""

    def __init__(self, contender, text):
        super().__init__(text)
        self.contender = contender


class Contender:
    """A process that answers lines; stopped except while it answers."""

    patience = 400  # seconds for one answer; compiling the longest takes some minutes

    def __init__(self, name, command, environment, log):
        self.name, self.command, self.environment, self.log = name, command, environment, log
        self.process, self.births = None, 0

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        text=True, env=self.environment)
        self.running = True
        self.births += 1

    def wake(self):
        if self.process is None:
            self.start()
        if not self.running:
            self.process.send_signal(signal.SIGCONT)
        self.running = True

    def ask(self, line, many=False):
        """The answer, or the lines up to "end"; the process sleeps again afterwards."""
        self.wake()
        timer = threading.Timer(self.patience, self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            lines = [self.process.stdout.readline()]
            while many and lines[-1].strip() not in ("end", ""):
                lines.append(self.process.stdout.readline())
        except BrokenPipeError:
            lines = [""]
        finally:
            timer.cancel()
        if lines[-1] == "":
            code = self.process.wait()
            self.process = None
            raise Failed(self, f"the process died of {signal.Signals(-code).name if code < 0 else code}")
        self.process.send_signal(signal.SIGSTOP)
        self.running = False
        if lines[0].startswith("error "):
            raise Failed(self, lines[0][6:].strip())
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
        self.ours, self.family = measurement.rows[id]["ours"], measurement.rows[id]["family"]
        self.inputs = self.work / f"{id}.attend.safetensors"
        self.births, self.refused, self.measured, self.failed = {}, {}, {}, False

    def guarded(self, step):
        """A failure of ours ends the row, and is recorded."""
        if self.failed:
            return
        try:
            step()
        except RuntimeError as error:
            self.failed = True
            print(f"{self.id}: {error}", flush=True)
            for threads in self.options.threads:
                self.m.record(self.id, threads, "attend", note=str(error))

    def peers(self):
        return {name: peer for name, peer in self.m.peers.items()
                if name not in self.refused and name in PEERS_OF.get(self.family, PEERS)}

    def write(self):
        """Inputs to a file, and float64 results, from the work folder if the inputs are those of then."""
        print(f"{self.id}: {self.m.rows[self.id]['what']}", flush=True)
        self.ours.ask(f"{self.id} write {self.inputs}")
        mark = hashlib.sha256()
        with safe_open(self.inputs, "np") as file:
            mark.update(json.dumps(file.metadata(), sort_keys=True).encode())
            for name in sorted(file.keys()):
                if not name.startswith("output"):
                    tensor = file.get_tensor(name)
                    mark.update(f"{name} {tensor.shape}".encode() + tensor.tobytes())
        self.mark = mark.hexdigest()[:16]
        self.exact = self.work / f"float64-{self.id}-{self.mark}.npz"
        if not self.exact.exists():
            results = self.work / f"{self.id}.float64.safetensors"
            self.m.reference.ask(f"{self.id} read {self.mark} {self.inputs}")
            self.m.reference.ask(f"{self.id} write {results}")
            self.m.reference.ask(f"{self.id} forget")
            np.savez(self.exact, **load_file(results))
            results.unlink()

    def prepare(self, name):
        """Has a peer read the inputs and compile what it must, unless it has; one that cannot is refused."""
        peer = self.m.peers[name]
        if self.failed or name not in self.peers() or self.births.get(name) == peer.births > 0 and peer.process:
            return
        try:
            peer.ask(f"{self.id} read {self.mark} {self.inputs}")
            for threads in self.options.threads:
                peer.ask(f"{self.id} ready {threads}")
            self.births[name] = peer.births
        except Failed as error:
            self.refused[name] = str(error)

    def measure(self):
        for threads in self.options.threads:
            self.measured[threads] = self.pairs(threads)

    def pairs(self, threads):
        """{contender: what is recorded of it}; peers that fail are refused from now on."""
        ours, start = self.ours, time.monotonic()
        request = f"{self.id} threads {threads} milliseconds {self.options.block}"
        limit_name, rate, work = ours.ask(f"{self.id} limit threads {threads}").split()
        for name, peer in self.peers().items():
            self.prepare(name)  # again, if another row killed it
            self.unless_refused(lambda: peer.ask(request))  # finds the fastest way
        times, disturbed = {name: [] for name in self.peers()}, 0
        alone = [] if times else [blocks([ours], request)[0][ours] for _ in range(self.options.pairs)]
        for round in range(self.options.pairs):
            names = list(self.peers())
            for first in range(0, len(names), 2):
                found = None
                while found is None and any(n in self.peers() for n in names[first:first + 2]):
                    beside = [self.m.peers[n] for n in names[first:first + 2] if n in self.peers()]
                    order = [beside[0], ours, *beside[1:]]
                    found = self.unless_refused(lambda: blocks(order[::-1] if round % 2 else order, request))
                if found:
                    disturbed += not found[1]
                    for peer in beside:
                        times[peer.name].append((found[0][ours], found[0][peer]))
        times = {name: pairs for name, pairs in times.items() if name not in self.refused}
        mine = [pair[0] for pairs in times.values() for pair in pairs] + alone
        if not mine:
            mine = [blocks([ours], request)[0][ours] for _ in range(self.options.pairs)]
        seconds = statistics.median(mine)
        fraction = float(work) / float(rate) / seconds
        records = {"attend": {"seconds": seconds, "limit": limit_name, "limit_rate": float(rate), "fraction": fraction,
                              "pairs": self.options.pairs, "disturbed": disturbed}}
        print(f"{self.id}, {threads} threads: attend         {seconds * 1e3:10.4f} ms, {fraction:.0%} of {limit_name}",
              f"(others used the processors in {disturbed} pairs)" if disturbed else "",
              f"[{time.monotonic() - start:.0f} s]", flush=True)
        for name, pairs in times.items():
            low, ratio, high = np.quantile([theirs / mine for mine, theirs in pairs], [0.1, 0.5, 0.9])
            seconds = statistics.median(theirs for _, theirs in pairs)
            records[name] = {"way": self.m.peers[name].ask(f"{self.id} way {threads}"), "seconds": seconds, "ratio": ratio,
                             "ratio_10": low, "ratio_90": high, "pairs": len(pairs)}
            print(f"{self.id}, {threads} threads: {name:14} {seconds * 1e3:10.4f} ms, ratio {ratio:.2f} ({low:.2f}, {high:.2f})",
                  flush=True)
        return records

    def unless_refused(self, step):
        """What the step gives; a peer that fails in it is refused."""
        try:
            return step()
        except Failed as error:
            if error.contender is self.ours:
                raise
            self.refused[error.contender.name] = str(error)

    def compare(self):
        """Errors against float64; what was measured is recorded beside them."""
        expected = dict(np.load(self.exact))
        errors = {"attend": error_of(load_file(self.inputs), expected)}
        for name, peer in self.peers().items():
            self.prepare(name)
            results = self.work / f"{self.id}.{name}.safetensors"
            try:
                peer.ask(f"{self.id} write {results}")
                errors[name] = error_of(load_file(results), expected)
                results.unlink()
            except RuntimeError as error:
                self.refused.setdefault(name, str(error))
        print(f"{self.id}: errors", {n: f"{e:.1e}" for n, e in errors.items()}, self.refused or "", flush=True)
        for threads, records in self.measured.items():
            for name, values in records.items():
                if name not in self.refused:
                    self.m.record(self.id, threads, name, error=errors[name], **values)
            for name, reason in self.refused.items():
                self.m.record(self.id, threads, name, note=reason)

    def forget(self):
        for contender in [self.ours, *(self.m.peers[name] for name in self.births)]:
            if contender.process:
                try:
                    contender.ask(f"{self.id} forget")
                except Failed:
                    pass  # it did not have the row
        self.inputs.unlink(missing_ok=True)


class Measurement:
    def __init__(self, options):
        self.options = options
        self.folder = pathlib.Path(options.output)
        self.work = self.folder / "work"
        (self.work / "models").mkdir(parents=True, exist_ok=True)
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
            left_out = ["G*", *(id for id, row in self.rows.items() if row["family"] == "gates")]
            return [id for id in self.rows if not (self.options.quick and any(fnmatch.fnmatch(id, p) for p in left_out))]
        ids = []
        for pattern in self.options.rows:
            found = [id for id in self.rows if fnmatch.fnmatchcase(id, pattern)]
            if not found:
                raise SystemExit(f"there is no row {pattern}; there are {' '.join(self.rows)}")
            ids += [id for id in found if id not in ids]
        return ids

    def run(self):
        ids = self.chosen()
        for first in range(0, len(ids), self.options.together):
            rows = [Row(id, self) for id in ids[first:first + self.options.together]]
            for row in rows:
                row.guarded(row.write)
            with concurrent.futures.ThreadPoolExecutor(len(self.peers) or 1) as pool:
                # twice: a row that kills a peer takes those before it along
                list(pool.map(lambda name: [row.prepare(name) for _ in range(2) for row in rows], self.peers))
            with Holding(None if self.options.prepare else self.options.hold):
                for row in rows:
                    if not self.options.prepare:
                        row.guarded(row.measure)
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
    """Largest difference of any result, over that result's largest magnitude in float64. One that is nothing but rounding,
    as the gradient of a bias before a norm, counts beside the largest."""
    worst, largest = 0.0, {name: float(np.max(np.abs(reference))) for name, reference in expected.items()}
    for name, reference in expected.items():
        if found[name].shape != reference.shape:
            raise RuntimeError(f"{name} has shape {found[name].shape}; expected {reference.shape}")
        scale = largest[name] if largest[name] > 1e-9 * max(largest.values()) else max(largest.values())
        difference = float(np.max(np.abs(found[name].astype(np.float64) - reference)) / scale)
        worst = difference if not difference <= worst else worst
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, help="folder of the benchmark programs")
    parser.add_argument("--output", required=True, help="folder for results and intermediate files")
    parser.add_argument("--rows", type=lambda s: s.split(","), help="ids, with * and ?; all by default")
    parser.add_argument("--threads", type=lambda s: [int(n) for n in s.split(",")], help="1,2 by default")
    parser.add_argument("--peers", type=lambda s: s.split(",") if s else [], default=PEERS)
    parser.add_argument("--pairs", type=int, default=21)
    parser.add_argument("--block", type=float, default=50, help="milliseconds")
    parser.add_argument("--quick", action="store_true",
                        help="within 10 minutes: 3 pairs, 2 threads, without torch.compile, gates and products")
    parser.add_argument("--isa", choices=["native", "avx2"], default="native")
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--hold", help="command that keeps a shared machine quiet while a row is measured: see Holding")
    parser.add_argument("--together", type=int, default=1, metavar="N", help="rows that are prepared, then measured in one go")
    options = parser.parse_args()
    if options.quick:
        options.pairs, options.peers = 3, [name for name in options.peers if name != "torch.compile"]
    if options.isa == "avx2":  # which ONNX Runtime cannot be held to
        options.peers = [name for name in options.peers if name != "onnxruntime"]
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
