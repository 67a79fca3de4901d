"""The names of a file's columns against those that a kind or a mapping takes: what is missing, what is passed over."""

from collections.abc import Iterable
from itertools import islice

from features.kinds.contract import Column, Kind
from service.imports.chunks import ImportFailedError, fault, shown
from service.imports.mapping import ColumnMapping
from service.imports.readers.header import MissingColumnsError
from service.imports.report import MOST_UNUSED, SHOWN, UnusedColumn
from service.kit.near import nearest

_LOOKED_AT = 256
"""Columns of a file among which near ones are sought."""
_CORRECT = ("correct their names under 'columns' in the mapping", "请更正映射文件 columns 中的列名")


def columns_of(kind: Kind) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns that a canonical file of a kind must have, and those that it may have."""
    required = tuple(c.name for c in kind.columns if c.is_required and c.name != "known_on")
    return required, tuple(column for column in kind.schema if column not in required)


def wanted(kind: Kind, file: str, mapping: ColumnMapping | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns that a file must have, and those that it may have, by the names that it has for them.

    Raises
    ------
    ImportFailedError
        If the mapping is another kind's.
    """
    if mapping is None:
        return columns_of(kind)
    if mapping.kind is not kind:
        words = (f"the mapping is for kind '{mapping.kind.name}', not '{kind.name}'", "映射文件属于另一种数据")
        raise ImportFailedError(file, fault(*words, "give its own mapping", "请使用该种类的映射文件"))
    return mapping.sources, ()


def passed_over(found: Iterable[str], kind: Kind, mapping: ColumnMapping | None) -> list[UnusedColumn]:
    """Return the first of a file's columns that are not read, and the kind's that may be meant: it lacks that one.

    Examples
    --------
    >>> from features.kinds import KINDS
    >>> [(column.name, column.meant) for column in passed_over(["firm_id", "城市", "成立日"], KINDS["firm"], None)]
    [('城市', ''), ('成立日', 'founded_on')]
    """
    known = {*kind.schema} if mapping is None else {*mapping.sources}
    names = dict.fromkeys(found)
    lacking = [column for column in kind.columns if mapping is None and column.name not in names]
    ours = {column.zh: column.name for column in lacking} | {column.name: column.name for column in lacking}
    unused = (name for name in names if name and name not in known)
    return [
        UnusedColumn(name=shown(name)[:SHOWN], meant=ours.get(nearest(name, ours), ""))
        for name in islice(unused, MOST_UNUSED)
    ]


def explained(error: MissingColumnsError, kind: Kind, mapping: ColumnMapping | None) -> ImportFailedError:
    """Say which columns a file lacks, which of its own may be meant by them, and what to do."""
    known = {*kind.schema} if mapping is None else {*mapping.sources}
    others = [name for name in error.found[:_LOOKED_AT] if name and name not in known]
    of_kind = {column.name: column for column in kind.columns} if mapping is None else {}
    near = {name: _near(name, of_kind.get(name), others) for name in error.missing}
    en = [f"'{shown(name)}'" + (f" (is it '{shown(other)}'?)" if other else "") for name, other in near.items()]
    zh = [f"'{shown(name)}'" + (f"（是否即 '{shown(other)}'？）" if other else "") for name, other in near.items()]
    template = f"clustercredit template {kind.name}"
    by_name = (
        f"name them as '{template}' does, or map your own columns with --map (docs/import-door.md)",
        f"请按 {template} 的列名填写，或用 --map 映射贵行的列（见 docs/import-door.md）",
    )
    return ImportFailedError(error.place, error.fault(en, zh, *(by_name if mapping is None else _CORRECT)))


def _near(name: str, column: Column | None, others: Iterable[str]) -> str:
    """Return the one of the file's other columns that is named nearly as a missing one, in either language."""
    return nearest(name, others) or (nearest(column.zh, others) if column else "")
