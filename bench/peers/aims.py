"""What the library aims at, beside what was reached, of the rows measured."""
import re

import report


def number(contenders, name, key):
    text = contenders.get(name, {}).get(key)
    return float(text) if text else None


def ratio(contenders):
    """The fastest peer's time over ours."""
    peer = report.fastest(contenders)
    return float(peer["ratio"]) if peer and number(contenders, "attend", "seconds") else None


def eager(contenders):
    return number(contenders, "torch", "ratio")


def fraction(contenders):
    return number(contenders, "attend", "fraction")


def of_rows(rows, pattern, value):
    found = {id: value(r) for id, r in rows.items() if re.fullmatch(pattern, id)}
    return {id: v for id, v in found.items() if v is not None}


def each(pattern, value, form):
    return lambda rows: ", ".join(f"{id} {v:{form}}" for id, v in of_rows(rows, pattern, value).items())


def mean(pattern, value):
    def text(rows):
        found = of_rows(rows, pattern, value)
        return f"{report.geometric_mean(list(found.values())):.2f} ({len(found)} rows)" if found else ""
    return text


def share(pattern):
    def text(rows):
        found = of_rows(rows, pattern, ratio)
        below = [f"{id} {v:.2f}" for id, v in found.items() if v < 1]
        return f"{len(found) - len(below)} of {len(found)}" + (f"; not {', '.join(below)}" if below else "") if found else ""
    return text


def least(pattern):
    def text(rows):
        found = of_rows(rows, pattern, ratio)
        return "{} {:.2f}".format(*min(found.items(), key=lambda item: item[1])) if found else ""
    return text


def inaccurate(rows):
    """Rows whose error is more than twice that of the most accurate peer."""
    found = {}
    for id, r in rows.items():
        ours = number(r, "attend", "error")
        theirs = [number(r, name, "error") for name in r if name != "attend"]
        theirs = [e for e in theirs if e is not None]
        if ours is not None and theirs and not re.fullmatch(r"G.*", id):
            found[id] = ours / min(theirs) if min(theirs) else float("inf")
    above = [f"{id} {v:.1f}" for id, v in found.items() if v > 2]
    return f"{len(found) - len(above)} of {len(found)}" + (f"; not {', '.join(above)}" if above else "") if found else ""


ATTENTION, CONVOLUTION = r"A([1-3]|[7-9]|1[0-6])", r"C(\d+|[1-4]@16|12\.\d)"
AIMS = [
    ("of the FMA peak: A2, A3", "80 %", each(r"A[23]", fraction, ".0%")),
    ("of the FMA peak, heads of 128 (A7)", "85 %", each(r"A7", fraction, ".0%")),
    ("of the FMA peak, short (A1, A8, A9)", "72 %", each(r"A[189]", fraction, ".0%")),
    ("of the FMA peak, backward (A16)", "75 %", each(r"A16", fraction, ".0%")),
    ("attention but decode, times the fastest peer, geometric mean", "1.6", mean(ATTENTION, ratio)),
    ("the same, rows at least as fast", "95 %", share(ATTENTION)),
    ("training with dropout (A15), times PyTorch", "2.5", each(r"A15", eager, ".2f")),
    ("decode, of the read bandwidth", "85 %", each(r"A[4-6]", fraction, ".0%")),
    ("decode, times the fastest peer", "A4 1.2, A5 and A6 1.0", each(r"A[4-6]", ratio, ".2f")),
    ("convolution, times the fastest peer, geometric mean", "1.15", mean(CONVOLUTION, ratio)),
    ("the same, slowest row", "0.9", least(CONVOLUTION)),
    ("C1, C2, C11 by default", "1.15", each(r"C1|C2|C11", ratio, ".2f")),
    ("C1, C2, C11 with `fast`", "1.4", each(r"(C1|C2|C11)@fast", ratio, ".2f")),
    ("SE and CBAM (S1-S5), times PyTorch eager, geometric mean", "1.5", mean(r"S\d(@16)?", eager)),
    ("N1-N3, of the copy bandwidth", "85 %", each(r"N\d", fraction, ".0%")),
    ("N1-N3, times the fastest peer", "1.0", each(r"N\d", ratio, ".2f")),
    ("N1-N3 into a tensor that is there, of the copy bandwidth", "85 %", each(r"N\d@into", fraction, ".0%")),
    ("N1-N3 into a tensor that is there, times the fastest peer", "1.0", each(r"N\d@into", ratio, ".2f")),
    ("Bahdanau's step (R1), times PyTorch", "2", each(r"R1", eager, ".2f")),
    ("training FM, E1, E2, times the fastest peer", "1.2", each(r"FM|E\d", ratio, ".2f")),
    ("rows with at most twice the error of the most accurate peer", "all but Winograd's", inaccurate),
]


def table(tables):
    """`tables` as report.latest gives them."""
    keys = [key for key in tables if key[0] == "native"]
    lines = ["| what | aim | " + " | ".join(f"{threads} thread{'s' * (threads > 1)}" for _, threads in keys) + " |",
             "|---" * (2 + len(keys)) + "|"]
    for what, aim, reached in AIMS:
        texts = [reached(tables[key]) for key in keys]
        if any(texts):
            lines.append(f"| {what} | {aim} | " + " | ".join(text or "-" for text in texts) + " |")
    for _, threads in keys:
        lines += held_to_avx2(tables["native", threads], tables.get(("avx2", threads), {}), threads)
    return "\n".join(lines) + "\n\n" if keys else ""


def held_to_avx2(native, narrow, threads):
    """The ratio of every row with all held to AVX2 beside that without, among the same peers."""
    change = {}
    for id in native.keys() & narrow.keys():
        peers = {"attend", *narrow[id]}
        wide, held = ratio({n: v for n, v in native[id].items() if n in peers}), ratio(narrow[id])
        if wide and held:
            change[id] = held / wide
    if not change:
        return []
    below = ", ".join(f"{id} {v:.2f}" for id, v in sorted(change.items(), key=lambda item: report.order(item[0])) if v < 0.9)
    return ["", f"Held to AVX2, {threads} thread{'s' * (threads > 1)}: the ratio to the fastest of the same peers is "
            f"{report.geometric_mean(list(change.values())):.2f} of that without (geometric mean of {len(change)} rows; aim: 0.9 or "
            f"more), below 0.9 in {below or 'none'}"]
