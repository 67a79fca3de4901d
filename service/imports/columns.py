"""The names of a file's columns against those that a kind or a mapping takes: what is missing, what is passed over."""

from collections.abc import Iterable
from itertools import islice

from features.kinds.contract import Kind
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
    """Return the first of a file's columns that are not read, and the kind's that may be meant.

    Examples
    --------
    >>> from features.kinds import KINDS
    >>> [(column.name, column.meant) for column in passed_over(["firm_id", "地点", "成立日期"], KINDS["firm"], None)]
    [('地点', ''), ('成立日期', 'founded_on')]
    """
    known = _by_name(kind, mapping)
    unused = (name for name in dict.fromkeys(found) if name and name not in known.values())
    return [
        UnusedColumn(name=shown(name)[:SHOWN], meant=known.get(nearest(name, known), "") if mapping is None else "")
        for name in islice(unused, MOST_UNUSED)
    ]


def _by_name(kind: Kind, mapping: ColumnMapping | None) -> dict[str, str]:
    """Return the columns that are read, by what they may be called: ours in both languages, or those of a mapping.

    A near one is sought among all of them, also those that the file has: else another's column would seem meant.
    """
    if mapping is not None:
        return {name: name for name in mapping.sources}
    return {column.zh: column.name for column in kind.columns} | {name: name for name in kind.schema}


def explained(error: MissingColumnsError, kind: Kind, mapping: ColumnMapping | None) -> ImportFailedError:
    """Say which columns a file lacks, which of its own may be meant by them, and what to do."""
    known = _by_name(kind, mapping)
    others = [name for name in error.found[:_LOOKED_AT] if name and name not in known.values()]
    meant = {known.get(nearest(name, known), ""): name for name in others}
    near = {name: meant.get(name, "") for name in error.missing}
    en = [f"'{shown(name)}'" + (f" (is it '{shown(other)}'?)" if other else "") for name, other in near.items()]
    zh = [f"'{shown(name)}'" + (f"（是否即 '{shown(other)}'？）" if other else "") for name, other in near.items()]
    template = f"clustercredit template {kind.name}"
    by_name = (
        f"name them as '{template}' does, or map your own columns with --map (docs/import-door.md)",
        f"请按 {template} 的列名填写，或用 --map 映射贵行的列（见 docs/import-door.md）",
    )
    return ImportFailedError(error.place, error.fault(en, zh, *(by_name if mapping is None else _CORRECT)))
