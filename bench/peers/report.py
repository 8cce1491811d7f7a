#!/usr/bin/env python3
"""results.csv, and the Markdown table and bar chart made of it:   bench/peers/report.py FOLDER"""
import csv
import pathlib
import re
import sys

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
    letters, number, rest = re.match(r"([A-Z]+)(\d*)(.*)", id).groups()
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
    return {key: dict(sorted(rows.items(), key=lambda r: order(r[0]))) for key, rows in sorted(tables.items())}


def duration(seconds):
    s = float(seconds)
    return f"{s * 1e6:.1f} µs" if s < 1e-3 else f"{s * 1e3:.2f} ms" if s < 1 else f"{s:.2f} s"


def fastest(peers):
    timed = [v for v in peers if v["seconds"]]
    return min(timed, key=lambda v: float(v["seconds"])) if timed else None


def geometric_mean(values):
    product = 1.0
    for v in values:
        product *= v
    return product ** (1 / len(values)) if values else float("nan")


def table(isa, threads, rows):
    names = [n for n in ("torch", "torch.compile", "onnxruntime", "openvino") if any(n in r for r in rows.values())]
    lines = [f"### {'AVX2 for all' if isa == 'avx2' else 'All instructions'}, {threads} thread{'s' * (threads > 1)}", "",
             "| row | workload | attend | of limit | error | " + " | ".join(names) + " | fastest peer's error |",
             "|---" * (6 + len(names)) + "|"]
    best = {}
    for id, contenders in rows.items():
        ours = contenders.get("attend")
        if not ours or not ours["seconds"]:
            continue
        peers = [contenders[n] for n in names if n in contenders]
        first = fastest(peers)
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


def chart(tables, path):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter
    colours = {"torch": "#d95f02", "torch.compile": "#e7a76c", "onnxruntime": "#1b9e77", "openvino": "#7570b3"}
    width = max(12, 0.35 * max(len(rows) for rows in tables.values()))
    figure, axes = plt.subplots(len(tables), 1, figsize=(width, 4.2 * len(tables)), squeeze=False, layout="constrained")
    for axis, ((isa, threads), rows) in zip(axes[:, 0], tables.items()):
        present = [name for name in colours if any(r.get(name, {}).get("ratio") for r in rows.values())]
        for i, name in enumerate(present):
            points = [(x, [float(r[name][k]) for k in ("ratio", "ratio_10", "ratio_90")])
                      for x, r in enumerate(rows.values()) if r.get(name, {}).get("ratio")]
            ratio = [v[0] for _, v in points]
            width = 0.8 / len(present)
            axis.bar([x + (i + 0.5) * width - 0.4 for x, _ in points], [v - 1 for v in ratio], width, bottom=1,
                     yerr=[[v[0] - v[1] for _, v in points], [v[2] - v[0] for _, v in points]], color=colours[name],
                     label=name, error_kw={"elinewidth": 0.7})
        axis.axhline(1, color="black", linewidth=0.8)
        axis.set_yscale("log")
        axis.set_yticks([0.25, 0.5, 1, 2, 4, 8], ["1/4", "1/2", "1", "2", "4", "8"])
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.margins(x=0.01)
        axis.set_xticks(range(len(rows)), list(rows), rotation=60)
        axis.set_ylabel("their time / ours")
        axis.set_title(f"{'AVX2 for all' if isa == 'avx2' else 'All instructions'}, {threads} thread{'s' * (threads > 1)}: "
                       "above 1, attend is faster", fontsize=10)
        axis.legend(ncols=4, fontsize=8)
    figure.savefig(path, dpi=90)


def write(folder):
    if not (folder / "results.csv").exists():
        return
    tables = latest(folder / "results.csv")
    if not tables:
        return
    models = sorted({v["cpu"] for rows in tables.values() for r in rows.values() for v in r.values()})
    text = f"{', '.join(models)}. Time of a call; in brackets after a peer's time: median (10 %, 90 %) of its time over ours.\n\n"
    text += "\n".join(table(isa, threads, rows) for (isa, threads), rows in tables.items())
    (folder / "table.md").write_text(text)
    chart(tables, folder / "chart.png")


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]))
