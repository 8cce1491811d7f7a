"""The table of gates beside timm, of the rows of rows/gates.hpp: NAME.STAGE[@16][@train]."""
import re

import report


def cell(contenders):
    ours, theirs = contenders.get("attend", {}), contenders.get("torch", {})
    if not ours.get("seconds"):
        return "-"
    text = report.duration(ours["seconds"])
    if theirs.get("seconds"):
        text += f", {float(theirs['ratio']):.2f} ({float(theirs['ratio_10']):.2f}, {float(theirs['ratio_90']):.2f})"
    return text


def table(rows):
    """Those at every stage, a line for inference and one for training; then the others; then what it comes to."""
    parts = {id: re.fullmatch(r"(\w+)\.(\d)(@16)?(@train)?", id).groups() for id in rows}
    at = {(name, int(stage), bool(sixteen), bool(train)): id for id, (name, stage, sixteen, train) in parts.items()}
    stages = {name: {stage for other, stage, *_ in at if other == name} for name, *_ in at}
    find = lambda *key: cell(rows[at[key]]) if key in at else "-"
    lines = []
    every = [name for name in stages if len(stages[name]) > 1]
    if every:
        heads = [f"{size}x{size} N{n}" for n in (1, 16) for size in (56, 28, 14, 7)]
        lines += ["| module | pass | " + " | ".join(heads) + " |", "|---" * (2 + len(heads)) + "|"]
        lines += [f"| {name} | {'training' if train else 'inference'} | "
                  + " | ".join(find(name, stage, sixteen, train) for sixteen in (False, True) for stage in (1, 2, 3, 4)) + " |"
                  for name in every for train in (False, True)]
    once = [name for name in stages if len(stages[name]) == 1]
    if once:
        lines += ["", "| module at 14x14 | inference N1 | inference N16 | training N1 | training N16 |", "|---|---|---|---|---|"]
        lines += [f"| {name} | " + " | ".join(find(name, 3, sixteen, train) for train in (False, True) for sixteen in (False, True))
                  + " |" for name in once]
    lines.append("")
    for train in (False, True):
        of = {id: rows[id]["torch"] for id, part in parts.items() if bool(part[3]) == train and rows[id].get("torch", {}).get("ratio")}
        if of:
            ratios = [float(v["ratio"]) for v in of.values()]
            slow = [id for id, v in of.items() if float(v["ratio_90"]) < 0.9]
            lines.append(f"- {'training step' if train else 'inference'}: geometric mean of timm's time over ours "
                         f"{report.geometric_mean(ratios):.2f}, at least as fast in {sum(r >= 1 for r in ratios)} of {len(ratios)} rows; "
                         f"90 % quantile below 0.9 in {', '.join(slow) or 'none'}")
    largest = max((float(v["error"]) for r in rows.values() for v in [r.get("attend", {})] if v.get("error")), default=float("nan"))
    theirs = max((float(v["error"]) for r in rows.values() for v in [r.get("torch", {})] if v.get("error")), default=float("nan"))
    lines.append(f"- largest error against float64 {largest:.0e}, timm's {theirs:.0e}")
    refused = [f"{id}: {v['note']}" for id, r in rows.items() for v in r.values() if v["note"]]
    if refused:
        lines += ["", "Not measured:", *(f"- {line}" for line in refused)]
    return "\n".join(lines) + "\n"
