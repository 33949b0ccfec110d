"""`handful status`: how far a study is."""

from __future__ import annotations

from handful.commands.options import AsJson, StorePath, print_json, result_of


def status(store: StorePath, as_json: AsJson = False) -> None:
    """Show how far the last study of a store is, and what failed."""
    from handful.show import print_status

    result = result_of(store)
    if as_json:
        print_json(
            {"jobs": result.jobs, "digest": result.page["digest"], "arms": result.progress, "failed": result.failed}
        )
    else:
        print_status(result)
