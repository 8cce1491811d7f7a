#!/usr/bin/env python3
"""results.csv, and what is made of it (table.md, chart*.png):   bench/peers/report.py FOLDER"""
import csv
import pathlib
import re
import sys

import aims
import gates

FIELDS = ["isa", "commit", "cpu", "row", "family", "what", "threads", "contender", "way", "seconds", "ratio", "ratio_10",
          "ratio_90", "pairs", "disturbed", "error", "limit", "limit_rate", "fraction", "note"]


# Of the summary below a table, by the ids of rows.
GROUPS = {"attention except decode": r"A([1-3]|[7-9]|1[0-6])", "decode": r"A[4-6]", "attention and encoder layers": r"A1[78].*",
          "convolution": r"C\d+(@16|\.\d)?", "channel and position gates": r"S\d(@16)?", "norms, softmax, activation": r"N\d",
          "Bahdanau decoder": r"R1", "networks and training": r"E\d|FM", "products": r"G\d+"}


def cpu_model():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def append(path, values):
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if new:
            writer.writeheader()
        writer.writerow(values)


def order(id):
    letters, number, rest = re.match(r"([A-Za-z]+)\.?(\d*)(.*)", id).groups()
    return letters, int(number or 0), rest


def latest(path):
    """{(isa, threads): {row: {contender: values}}}, of each the last entry."""
    tables = {}
    with open(path, newline="") as file:
        for v in csv.DictReader(file):
            if v["threads"] == "0":
                continue
            rows = tables.setdefault((v["isa"], int(v["threads"])), {})
            rows.setdefault(v["row"], {})[v["contender"]] = v
    in_order = sorted(tables.items(), key=lambda item: (item[0][0] != "native", item[0][1]))
    return {key: dict(sorted(rows.items(), key=lambda r: order(r[0]))) for key, rows in in_order}


def duration(seconds):
    s = float(seconds)
    return f"{s * 1e6:.1f} µs" if s < 1e-3 else f"{s * 1e3:.2f} ms" if s < 1 else f"{s:.2f} s"


def fastest(contenders):
    """The peer with the least time of a row's contenders."""
    timed = [v for n, v in contenders.items() if n != "attend" and v["seconds"]]
    return min(timed, key=lambda v: float(v["seconds"])) if timed else None


def geometric_mean(values):
    product = 1.0
    for v in values:
        product *= v
    return product ** (1 / len(values)) if values else float("nan")


def title(isa, threads):
    return f"{'AVX2 for all' if isa == 'avx2' else 'All instructions'}, {threads} thread{'s' * (threads > 1)}"


def table(isa, threads, rows):
    names = [n for n in ("torch", "torch.compile", "onnxruntime", "openvino") if any(n in r for r in rows.values())]
    lines = [f"### {title(isa, threads)}", "",
             "| row | workload | attend | of limit | error | " + " | ".join(names) + " | fastest peer's error |",
             "|---" * (6 + len(names)) + "|"]
    best = {}
    for id, contenders in rows.items():
        ours = contenders.get("attend")
        if not ours or not ours["seconds"]:
            continue
        first = fastest(contenders)
        cells = []
        for name in names:
            v = contenders.get(name)
            if not v or not v["seconds"]:
                cells.append("-")
            else:
                text = f"{duration(v['seconds'])}, {float(v['ratio']):.2f} ({float(v['ratio_10']):.2f}, {float(v['ratio_90']):.2f})"
                cells.append(f"**{text}**" if v is first else text)
        if first:
            best[id] = float(first["ratio"])
        limit = {"FMA_peak": "FMA", "read_bandwidth": "read", "copy_bandwidth": "copy"}[ours["limit"]]
        theirs = f"{float(first['error']):.0e}" if first else "-"
        lines.append(f"| {id} | {ours['what']} | {duration(ours['seconds'])} | {float(ours['fraction']):.0%} {limit} | "
                     f"{float(ours['error']):.0e} | " + " | ".join(cells) + f" | {theirs} |")
    lines.append("")
    for name, pattern in GROUPS.items():
        ids = [id for id in best if re.fullmatch(pattern, id)]
        ratios = [best[id] for id in ids]
        if not ratios:
            continue
        eager = [float(rows[id]["torch"]["ratio"]) for id in ids if rows[id].get("torch", {}).get("ratio")]
        lines.append(f"- {name}: geometric mean of the fastest peer's time over ours {geometric_mean(ratios):.2f}, at least as "
                     f"fast in {sum(r >= 1 for r in ratios)} of {len(ratios)} rows; of PyTorch eager's {geometric_mean(eager):.2f}")
    disturbed = [id for id, c in rows.items() if c.get("attend", {}).get("disturbed") not in ("", "0", None)]
    if disturbed:
        lines += ["", f"Other programs used the processors during: {', '.join(disturbed)}"]
    refusals = [f"- {id}, {name}: {v['note']}" for id, c in rows.items() for name, v in c.items() if v["note"]]
    if refusals:
        lines += ["", "Not measured:", *refusals]
    return "\n".join(lines) + "\n"


def chart(panels, path):
    """For each (title, rows) one bar per row: the fastest peer's time over ours, with its 10 and 90 % quantiles."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter
    colours = {"torch": "#d95f02", "torch.compile": "#e7a76c", "onnxruntime": "#1b9e77", "openvino": "#7570b3"}
    panels = [(name, {id: fastest(r) for id, r in rows.items() if r.get("attend", {}).get("seconds") and fastest(r)})
              for name, rows in panels]
    width = min(18, 2 + 0.19 * max(len(bars) for _, bars in panels))
    figure, axes = plt.subplots(len(panels), 1, figsize=(width, 3.1 * len(panels)), squeeze=False, layout="constrained")
    for axis, (name, bars) in zip(axes[:, 0], panels):
        for contender, colour in colours.items():
            ratios = [(x, *(float(v[k]) for k in ("ratio", "ratio_10", "ratio_90")))
                      for x, v in enumerate(bars.values()) if v["contender"] == contender]
            if ratios:
                x, middle, low, high = zip(*ratios)
                axis.bar(x, [m - 1 for m in middle], 0.8, bottom=1, color=colour, label=contender,
                         yerr=[[m - l for m, l in zip(middle, low)], [h - m for m, h in zip(middle, high)]],
                         error_kw={"elinewidth": 0.8})
        axis.axhline(1, color="black", linewidth=1)
        axis.set_yscale("log")
        axis.set_yticks([0.5, 0.7, 1, 1.5, 2, 3, 5, 8], ["0.5", "0.7", "1", "1.5", "2", "3", "5", "8"])
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(axis="y", linewidth=0.3)
        axis.set_axisbelow(True)
        axis.margins(x=0.01)
        axis.set_xticks(range(len(bars)), list(bars), rotation=90, fontsize=7)
        axis.set_ylabel("fastest peer's time / ours", fontsize=8)
        axis.set_title(f"{name}: above 1, attend is faster than the fastest peer", fontsize=9)
        axis.legend(ncols=4, fontsize=7, title="fastest peer", title_fontsize=7)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def write(folder):
    if not (folder / "results.csv").exists():
        return
    tables = latest(folder / "results.csv")
    if not tables:
        return
    models = sorted({v["cpu"] for rows in tables.values() for r in rows.values() for v in r.values()})
    of_gates = {key: {id: r for id, r in rows.items() if any(v["family"] == "gates" for v in r.values())}
                for key, rows in tables.items()}
    others = {key: {id: r for id, r in rows.items() if id not in of_gates[key]} for key, rows in tables.items()}
    of_gates, others = ({key: rows for key, rows in t.items() if rows} for t in (of_gates, others))
    text = f"{', '.join(models)}. Time of a call; in brackets after a peer's time: median (10 %, 90 %) of its time over ours.\n\n"
    text += aims.table(others)
    text += "\n".join(table(*key, rows) for key, rows in others.items())
    text += "".join(f"\n### Gates beside timm: {title(*key)}\n\n{gates.table(rows)}" for key, rows in of_gates.items())
    (folder / "table.md").write_text(text)
    for isa, name in (("native", "chart.png"), ("avx2", "chart_avx2.png")):
        if panels := [(title(*key), rows) for key, rows in others.items() if key[0] == isa]:
            chart(panels, folder / name)


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]))
