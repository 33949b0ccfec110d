"""What `handful look` says, most important first, a line each: the same in the terminal and on the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from handful.data.files import shown

MOST = 5
KINDS = {
    "tiny": "tiny",
    "blank": "blank (nearly one colour)",
    "shape": "of an extreme shape",
    "large": "much larger than the rest",
    "name": "named as another format than they hold",
}


class Line(NamedTuple):
    """One finding: `bad` (spoils results), `warn` (worth a look), `good` or `fact`, and its text."""

    tone: str
    text: str


def lines(told: dict[str, Any]) -> list[Line]:
    """Return the findings in the JSON of `handful look`."""
    found = [
        *_faults(told),
        *_copies(told),
        *_near(told),
        *_embedded(told),
        *_suspicious(told),
        *_flips(told),
        *_doubts(told),
        *_classes(told),
        *_facts(told),
    ]
    order = ("bad", "warn", "good", "fact")
    return sorted(found, key=lambda line: order.index(line.tone))


def drift_lines(told: dict[str, Any]) -> list[Line]:
    """Return the findings in the JSON of a comparison of two sets."""
    (first, other), test = told["names"], told["test"]
    found = []
    shared = f"{_num(len(told['copies']), 'picture')} and {_num(len(told['near_copies']), 'near copy', 'near copies')}"
    tone = "bad" if told["copies"] or told["near_copies"] else "good"
    found.append(Line(tone, f"{first} and {other} share {shared}"))
    if told["conflicts"]:
        found.append(Line("bad", f"{_num(len(told['conflicts']), 'shared picture')} with different classes"))
    if test is None:
        found.append(Line("fact", "too few different pictures to say whether the sets differ (40 in each needed)"))
    elif test["p"] < 0.05:
        found.append(
            Line(
                "warn",
                f"the sets differ: a linear classifier tells {100 * test['accuracy']:.0f} % of unseen pictures apart "
                f"(50 % is chance, {_p(test['p'])}, {test['num']} pictures of each)",
            )
        )
    else:
        found.append(
            Line(
                "good",
                f"no drift seen: a linear classifier tells {100 * test['accuracy']:.0f} % of unseen pictures apart "
                f"(50 % is chance, {_p(test['p'])}, {test['num']} pictures of each)",
            )
        )
    only = [
        f"only in {name}: {_listed([row['name'] for row in told['classes'] if not row[missing]])}"
        for name, missing in ((first, "other"), (other, "first"))
        if any(not row[missing] for row in told["classes"])
    ]
    return found + [Line("warn", f"classes {text}") for text in only]


def _faults(told: dict[str, Any]) -> Iterator[Line]:
    faults = told["faults"]
    for fault in faults[:MOST]:
        yield Line("bad", f"cannot be read: {shown(fault['path'])}: {fault['why']}")
    if len(faults) > MOST:
        yield Line("bad", f"cannot be read: {len(faults) - MOST} more")


def _copies(told: dict[str, Any]) -> Iterator[Line]:
    copies = told["copies"]
    for ids in told["conflicts"][:MOST]:
        yield Line("bad", f"identical pictures with different labels: {', '.join(map(shown, ids))}")
    if len(told["conflicts"]) > MOST:
        yield Line("bad", f"identical pictures with different labels: {len(told['conflicts']) - MOST} more")
    text = (
        f"copies: {_num(copies['exact'], 'file')} repeat{'s' if copies['exact'] == 1 else ''} an earlier one, "
        f"{_num(copies['across_parts'], 'picture')} in more than one part"
    )
    yield Line("bad" if copies["across_parts"] else "warn" if copies["exact"] else "good", text)


def _near(told: dict[str, Any]) -> Iterator[Line]:
    near = told["near_copies"]
    if near is None:
        return
    if not near["groups"]:
        yield Line("good", "near copies: none")
        return
    across = _across(near)
    text = f"near copies: {near['pictures']} pictures in {_num(len(near['groups']), 'group')}{across}"
    yield Line("bad" if across else "warn", text)


def _embedded(told: dict[str, Any]) -> Iterator[Line]:
    near = told["embedded_copies"]
    if near is None:
        return
    seen, there = told["sample"]["embedded_copies"]
    of = f"a sample of {seen} of {there}" if seen < there else f"all {seen}"
    what = f"near copies by {near['embedding']} that hashes do not find ({of} different pictures)"
    if not near["groups"]:
        yield Line("good", f"{what}: none")
        return
    text = f"{what}: {near['pictures']} pictures in {_num(len(near['groups']), 'group')}{_across(near)}"
    yield Line("warn", text)


def _across(near: dict[str, Any]) -> str:
    found = (("across_parts", "across parts"), ("across_classes", "across classes"))
    return "".join(f", {near[key]} {words}" for key, words in found if near[key])


def _suspicious(told: dict[str, Any]) -> Iterator[Line]:
    for kind, num in Counter(one["kind"] for one in told["suspicious"]).items():
        named = [one for one in told["suspicious"] if one["kind"] == kind]
        examples = "; ".join(f"{shown(one['path'])}: {one['why']}" for one in named[:2])
        yield Line("warn", f"{_num(num, 'picture')} {KINDS[kind]}: {examples}{'; ...' if num > 2 else ''}")


def _flips(told: dict[str, Any]) -> Iterator[Line]:
    for flip in told["flips"] or ():
        name = f"a {flip['operation']}"
        unlike = [one["name"] for one in flip["classes"] if one["verdict"] == "unlike"]
        if flip["verdict"] == "unsafe":
            yield Line("warn", f"{name} is unsafe: it turns {_listed([turned(turn) for turn in flip['turns']])}")
            if sure := [" and ".join(map(shown, turn["classes"])) for turn in flip["turns"] if turn["sure"]]:
                yield Line("good", f"each other's mirror images: {_listed(sure)}; the arm `mirror` lends them pictures")
        elif flip["verdict"] == "cannot tell":
            yield Line("fact", f"{name}: cannot tell; too few pictures are recognised even unflipped")
        elif flip["verdict"] == "unlike":
            yield Line(
                "warn",
                f"{name} makes pictures unlike this set's: {flip['recognised']} of {flip['pictures']} are recognised, "
                f"{flip['recognised_changed']} flipped; labels may still hold, that is yours to say",
            )
        else:
            but = f", but look at {_listed(unlike)}" if unlike else ""
            yield Line("good", f"{name} looks safe{but}")


def turned(turn: dict[str, Any]) -> str:
    """Return `38 into 39 (12 of 15, unflipped 0) and back (7 of 17, unflipped 1)`."""
    (there, back) = turn["rates"]
    rates = [f"({way['changed']} of {way['of']}, unflipped {way['unchanged']})" for way in (there, back)]
    return f"{shown(there['from'])} into {shown(there['to'])} {rates[0]} and back {rates[1]}"


def _doubts(told: dict[str, Any]) -> Iterator[Line]:
    doubts = told["doubts"]
    if doubts and doubts["num_checked"]:
        found = doubts["pictures"]
        most = told["sample"]["doubts"]
        of = f"a sample of {most[0]} of {most[1]}" if most[0] < most[1] else f"{most[0]}"
        text = (
            f"labels doubted by their neighbours: {len(found)} of {of} pictures; neighbours are right for "
            f"{100 * doubts['accuracy']:.0f} %{_trust(doubts['accuracy']) if found else ''}"
        )
        yield Line("warn" if found else "good", text)


def _trust(accuracy: float) -> str:
    worth = "most doubts are worth a look" if accuracy >= 0.8 else "many doubts will be unusual pictures, not errors"
    return f", so {worth}"


def _classes(told: dict[str, Any]) -> Iterator[Line]:
    few = [row["name"] for row in told["generation"]["classes"] if row["level"] == "too few"]
    if few:
        yield Line(
            "warn",
            f"{_num(len(few), 'class', 'classes')} with fewer than 20 different training pictures, where training a "
            f"generator is likely to hurt: {_listed(few)}",
        )
    ratio = told["imbalance_ratio"]
    if ratio is not None:
        text = f"imbalance: the largest class has {ratio:.1f} times the pictures of the smallest"
        yield Line("warn" if ratio >= 2 else "fact", text)


def _facts(told: dict[str, Any]) -> Iterator[Line]:
    width, height, colours = told["sizes"]["width"], told["sizes"]["height"], told["colours"]
    yield Line(
        "fact",
        f"sizes: {width['min']:.0f}x{height['min']:.0f} to {width['max']:.0f}x{height['max']:.0f} px, "
        f"median {width['median']:.0f}x{height['median']:.0f}",
    )
    seen = f"{colours['grey']} grey, {colours['rgb']} in colour"
    if told["modes"] is not None:
        kinds = ", ".join(f"{num} {mode}" for mode, num in told["modes"]["stored"].items())
        seen = f"stored as {kinds}; after decoding {seen}"
    yield Line("fact", seen)
    made = {policy: told["resize"][policy] for policy in ("stretch", "crop", "pad")}
    words = (f"{policy}: {one['measure']} {one['median']:.2f}, worst {one['max']:.2f}" for policy, one in made.items())
    yield Line("fact", f"made square (median): {'; '.join(words)}")
    yield from (Line("fact", note) for note in told["notes"])
    stats = told["channels"]
    of = {"train": "training part", "all": "all pictures, as no part is given"}[stats["part"]]
    numbers = ", ".join(
        f"{name} {mean:.3f} +- {std:.3f}"
        for name, mean, std in zip(stats["names"], stats["mean"], stats["std"], strict=True)
    )
    yield Line("fact", f"mean and standard deviation ({of}): {numbers}")
    if told["ignored"]:
        yield Line("fact", f"ignored beside the class folders: {_listed(told['ignored'])}")
    if told["skipped"]:
        yield Line("fact", f"not checked: {', '.join(told['skipped'])}")


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def _num(num: int, one: str, many: str = "") -> str:
    return f"{num} {one if num == 1 else many or one + 's'}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(shown(name) for name in names[:MOST]) + more
