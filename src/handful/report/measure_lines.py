"""What `handful measure` says, most important first, a line each: the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from handful.data.aligned import Aligned, listed
from handful.measure.measured import LEVEL, Measured
from handful.report.look_lines import Line

NEAR, FAR = 0.1, 0.5
SAID = ("kernel", "density", "coverage", "vendi")
MARKS = {
    "held-out": ("held-out real", "held-out real pictures"),
    "halves": ("other half", "the other half of the real pictures"),
}


def told_of(aligned: Aligned, measured: Measured) -> dict[str, Any]:
    """Return the JSON of `handful measure`: what was measured, with the names of sets and pictures."""
    ids, told = aligned.ids, measured.to_json()
    told["names"], told["notes"] = aligned.names, list(aligned.notes)
    told["exact"] = [[ids["synthetic"][made], ids["real"][real]] for made, real in measured.exact]
    told["known"] = [[ids["held_out"][held], ids["real"][real]] for held, real in measured.known]
    for pair in told["pairs"]:
        pair["synthetic"], pair["real"] = ids["synthetic"][pair["synthetic"]], ids["real"][pair["real"]]
    return told


def measure_lines(told: dict[str, Any]) -> list[Line]:
    """Return the findings in that JSON: copying first, then fidelity, diversity, and what to know about the numbers."""
    return [*_copying(told), *_classes(told), *_held_out(told), *_scale(told), *_facts(told)]


def number(value: float | None) -> str:
    """Return three significant digits."""
    if value is None:
        return ""
    text = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return "0" if text == "-0" else text


def p_words(p: float) -> str:
    """Return `p < 0.001` or `p = 0.042`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def faults(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return (titles, why) of the rows without a number, one for each reason."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["value"] is None:
            found.setdefault(row["fault"], []).append(row["title"])
    return [(", ".join(titles), why) for why, titles in found.items()]


def _copying(told: dict[str, Any]) -> Iterator[Line]:
    made, audit = told["given"]["synthetic"], told["whole"]["audit"]
    if told["exact"]:
        names = listed([f"{one} = {real}" for one, real in told["exact"]])
        yield Line("bad", f"copies: {len(told['exact'])} of {made} synthetic pictures are training pictures: {names}")
    if audit is None:
        yield Line("warn", "near copies cannot be looked for: fewer than two different training pictures")
        return
    near = round(audit["near_copies"] * audit["num"][1])
    counted = f"{near} of {audit['num'][1]} are near copies (a third of the distance to the second nearest)"
    p = told["p"]
    if told["verdict"] == "copies":
        sure = min(1.0, 3 * told["tests"].get("near_copies", 1.0))
        if sure <= LEVEL:
            yield Line("bad", f"copies: {counted}, more than among unseen real pictures ({p_words(sure)})")
        else:
            yield Line("fact", f"exact copies included, {counted}")
    elif told["verdict"] == "nearer":
        sure = min(1.0, 3 * told["tests"]["authenticity"])
        if sure <= LEVEL:
            close = round((1 - audit["authenticity"]) * audit["num"][1])
            yield Line(
                "bad",
                f"close to training pictures: {close} of {audit['num'][1]} are closer to one than its nearest other "
                f"training picture, more than among unseen real pictures ({p_words(sure)}): changed copies, or "
                f"averages; look at the closest pairs; {counted}",
            )
        else:
            yield Line(
                "warn",
                f"nearer to the training pictures than unseen real ones are ({p_words(p)}), yet {counted}: changed "
                "copies, or smooth pictures, which are near to all; look at the closest pairs",
            )
    elif told["verdict"] == "none shown":
        yield Line("good", f"no copying shown ({p_words(p)}); {counted}")
    elif p is None:
        yield Line("warn", f"copying cannot be judged: {_why_open(told)}; {counted}")
    else:
        yield Line(
            "warn",
            f"copying cannot be judged: so few pictures allow no p below {told['smallest_p']:.2g}; {counted}",
        )


def _why_open(told: dict[str, Any]) -> str:
    if not told["whole"]["num"].get("held_out"):
        return "no held-out real pictures say how near new ones would be (--held-out)"
    return "no class has synthetic, held-out and two different training pictures"


def _classes(told: dict[str, Any]) -> Iterator[Line]:
    sure = [one for one in told["classes"] if one["audit"] and one["audit"]["p"] is not None]
    accused = [one["name"] for one in sure if one["audit"]["p"] * len(sure) <= LEVEL]
    if accused:
        yield Line(
            "warn", f"classes whose pictures are nearer to training pictures than unseen ones: {listed(accused)}"
        )


def _held_out(told: dict[str, Any]) -> Iterator[Line]:
    if told["known"]:
        names = listed([f"{one} = {real}" for one, real in told["known"]])
        yield Line(
            "warn",
            f"{len(told['known'])} of {told['given']['held_out']} held-out pictures are training pictures, left out: "
            f"{names}",
        )


def _scale(told: dict[str, Any]) -> Iterator[Line]:
    floor = MARKS[told["marks"]][1]
    rows = {row["name"]: row for row in told["whole"]["rows"]}
    for row in (rows[name] for name in SAID):
        way = row["to_noise"]
        if row["value"] is None or way is None:
            continue
        between = f" ({number(row['interval'][0])} to {number(row['interval'][1])})" if row["interval"] else ""
        text = f"{row['group']}: {row['title']} {number(row['value'])}{between}; {floor} {number(row['floor'])}, noise "
        words = "as good as real" if way <= 0 else f"{100 * way:.0f} % of the way to noise"
        tone = "good" if way <= NEAR else "warn" if way >= FAR else "fact"
        yield Line(tone, f"{text}{number(row['noise'])}: {words}")


def _facts(told: dict[str, Any]) -> Iterator[Line]:
    yield from (Line("fact", note) for note in told["notes"])
    if told["marks"] == "halves":
        yield Line(
            "fact",
            "no held-out pictures: every number but those of copying is taken with one half of the real pictures, and "
            "the other half is the floor",
        )
    for role, num in told["repeats"].items():
        if num:
            kept = "" if role == "synthetic" else "; each counts once"
            what = f"{num} of {told['given'][role]} {role.replace('_', '-')} pictures repeat another one{kept}"
            yield Line("warn" if role == "synthetic" else "fact", what)
    for role, num in told["drawn"].items():
        here = told["whole"]["num"][role]
        if num < here:
            name = role.replace("_", "-")
            yield Line("fact", f"distances are taken on {num} of {here} {name} pictures, drawn by the seed")
