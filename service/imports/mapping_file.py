"""Read a mapping from a small YAML file, and name every mistake in it by its key's path, with what to do about it.

Every scalar is taken as the text that stands there, so that a code 01 stays 01, and 否 or NO is no truth value; hence
YAML's own types, tags, anchors and aliases are not taken, and neither is a key that stands twice.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, get_args

import polars as pl
import yaml

from features.kinds import KINDS
from features.kinds.contract import Column, Fault, Kind
from service.imports.checks import NUMBER, PERSONAL
from service.imports.chunks import ImportFailedError, fault, hidden, sentence
from service.imports.mapping import DIRECTIVE, PREFIX, ColumnMapping
from service.imports.readers import Reading
from service.imports.readers.contract import Format
from service.imports.readers.csv import DELIMITERS
from service.kit.personal_id import holds_national_id

MOST_BYTES: Final = 1 << 16
_DEEPEST, _MOST_SHOWN = 3, 20
_SECTIONS = ("kind", "version", "columns", "constants", "values", "dates", "units", "reading")
_READING = ("format", "encoding", "delimiter", "sheet")
_ENCODINGS = ("utf-8", "gb18030", "gbk", "utf-16", "utf-16-le", "utf-16-be")
_DELIMITERS = (*(mark for mark in DELIMITERS if mark.strip()), "tab")
_UNITS = {"fen": ("fen", "yuan", "wan"), "bp": ("bp", "percent")}
_FILE = "the file"
_NO_KEYS = fault(
    "not a list of 'key: value'", "应为“键: 值”的列表", "write one 'key: value' a line", "请每行写一个“键: 值”"
)
_NO_TEXT = fault("not one text", "不是单个文本", "write one text", "请填写单个文本")
_TWICE = fault("this key stands twice", "该键重复出现", "keep one of the two", "请只保留一个")
_BOTH = fault("both a column and a constant", "既是列又是常量", "keep one of the two", "请只保留一个")
_TOO_LONG = fault(f"longer than {MOST_BYTES:,} bytes", f"超过 {MOST_BYTES:,} 字节", "shorten it", "请缩短")
_NOT_UTF8 = fault("not UTF-8 text", "不是 UTF-8 文本", "save it in UTF-8", "请以 UTF-8 保存")
_ALIAS = fault(
    "anchors and aliases (& and *) are not taken", "不接受锚点与别名（& 和 *）",
    "write the text out, in quotes if it begins like one", "请直接写出文本，以该符号开头的文本须加引号",
)  # fmt: skip
_TAG = fault(
    "tags (!) are not taken", "不接受标签（!）", "leave it out; every value is text", "请删去；所有值均视为文本"
)
_TOO_DEEP = fault("nested too deep", "嵌套过深", "see the sections that a mapping has", "请参照映射文件的各节")
_UNREADABLE = fault(
    "a column of this name cannot be read", "无法读取该名称的列", "name it otherwise in the file",
    "请在文件中改用其他列名",
)  # fmt: skip
_UNMAPPED = fault(
    "this column is not mapped", "该列未映射", "name their column under 'columns'", "请在 columns 中指明对方列名"
)
_NO_DAY = fault("not a date YYYY-MM-DD", "不是 YYYY-MM-DD 格式的日期", "write it like 2024-05-31", "请写成 2024-05-31")
_NO_DATES = fault("this column holds no dates", "该列不是日期", "leave it out", "请删去")
_NO_FORMATS = fault(
    "not a list of formats, each once", "不是各不相同的日期格式列表", "write like ['%Y-%m-%d', '%Y%m%d']",
    "例如 ['%Y-%m-%d', '%Y%m%d']",
)  # fmt: skip
_NO_FORMAT = fault(
    "not the format of a day", "不是日期格式",
    "use %Y, %m and %d once each, %H %M or %H %M %S if there are, and what stands between them",
    "须各用一次 %Y、%m、%d，可含 %H %M 或 %H %M %S，及其间的字符",
)  # fmt: skip
_NO_UNIT = fault("this column holds neither money nor a share", "该列既非金额也非比例", "leave it out", "请删去")


@dataclass(frozen=True)
class Mistake:
    """What is wrong in a mapping: the path of the key, and the words."""

    path: str
    fault: Fault

    def __str__(self) -> str:
        """Say where it is and what, without any person's number."""
        return hidden(f"{self.path}: {sentence(self.fault)}")


class MappingError(ImportFailedError):
    """A mapping that cannot be used; nothing was read.

    Parameters
    ----------
    name
        What the message calls the mapping.
    mistakes
        All that were found.
    """

    def __init__(self, name: str, mistakes: list[Mistake]) -> None:
        count, listed = len(mistakes), [str(mistake) for mistake in mistakes[:_MOST_SHOWN]]
        if count > _MOST_SHOWN:
            listed.append(f"and {count - _MOST_SHOWN} more / 另有 {count - _MOST_SHOWN} 处")
        words = (f"{count} mistake(s) in the mapping", f"映射文件有 {count} 处错误")
        super().__init__(name, fault(*words, "correct them", "请更正：\n" + "\n".join(listed)))
        self.mistakes = mistakes


class _StopError(Exception):
    """A mistake after which nothing more can be said."""

    def __init__(self, path: str, wrong: Fault) -> None:
        super().__init__(path)
        self.mistake = Mistake(path, wrong)


def parse_mapping(content: bytes, name: str) -> ColumnMapping:
    """Read a mapping.

    Parameters
    ----------
    content
        YAML in UTF-8, of at most `MOST_BYTES`.
    name
        What messages call it.

    Raises
    ------
    MappingError
        Naming every mistake.

    Examples
    --------
    >>> content = b"{kind: firm, version: 1, columns: {firm_id: id, name: n, observed_on: day}}"
    >>> mapping = parse_mapping(content, "m.yaml")
    >>> mapping.sources
    ('id', 'n', 'day')
    """
    reader = _Reader()
    try:
        mapping = reader.read(reader.tree(content), hashlib.sha256(content).hexdigest())
    except _StopError as stop:
        raise MappingError(name, [*reader.mistakes, stop.mistake]) from None
    if reader.mistakes:
        raise MappingError(name, reader.mistakes)
    return mapping


class _Reader:
    """Reads one mapping, and gathers its mistakes."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.columns: dict[str, str] = {}
        self.of: dict[str, Column] = {}
        self.refused: set[str] = set()

    def tree(self, content: bytes) -> dict[str, Any]:
        """Return the YAML as dicts, lists and texts."""
        if len(content) > MOST_BYTES:
            raise _StopError(_FILE, _TOO_LONG)
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise _StopError(_FILE, _NOT_UTF8) from None
        if holds_national_id(text):
            raise _StopError(_FILE, PERSONAL)
        try:
            _check_events(text)
            tree = self._plain(yaml.compose(text, Loader=yaml.SafeLoader), "")
        except yaml.YAMLError as error:
            raise _StopError(*_not_yaml(error)) from None
        if not isinstance(tree, dict):
            raise _StopError(_FILE, _NO_KEYS)
        return tree

    def read(self, tree: dict[str, Any], sha256: str) -> ColumnMapping:
        """Return the mapping that a tree is, whatever its mistakes."""
        self._check_known("", tree, _SECTIONS)
        kind = self._kind(tree)
        self.of = {column.name: column for column in kind.columns}
        self.columns = self._texts(tree, "columns", kind.schema)
        constants = self._texts(tree, "constants", kind.schema)
        self._check_columns(kind, constants)
        return ColumnMapping(
            kind=kind,
            columns=self.columns,
            constants=constants,
            values=self._values(tree),
            dates=self._dates(tree),
            units=self._units(tree),
            reading=self._reading(tree),
            sha256=sha256,
        )

    def _say(self, path: str, wrong: Fault | None) -> None:
        if wrong is not None:
            self.mistakes.append(Mistake(path, wrong))

    def _plain(self, node: yaml.Node | None, path: str) -> Any:
        if isinstance(node, yaml.MappingNode):
            tree: dict[str, Any] = {}
            for key, value in node.value:
                name = key.value.strip() if isinstance(key, yaml.ScalarNode) else "?"
                place = f"{path}.{name}".removeprefix(".")
                if name in tree:
                    self._say(f"{place} (line {key.start_mark.line + 1})", _TWICE)
                tree[name] = self._plain(value, place)
            return tree
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, f"{path}[{number}]") for number, item in enumerate(node.value)]
        return node.value.strip() if isinstance(node, yaml.ScalarNode) else ""

    def _check_known(self, path: str, given: Iterable[str], known: Iterable[str]) -> None:
        listed = ", ".join(known)
        unknown = fault("there is no such key", "没有该键", f"use one of: {listed}", f"可用：{listed}")
        for key in given:
            if key not in known:
                self._say(f"{path}.{key}".removeprefix("."), unknown)

    def _kind(self, tree: dict[str, Any]) -> Kind:
        kind = KINDS.get(tree["kind"]) if isinstance(tree.get("kind"), str) else None
        if kind is None:
            raise _StopError("kind", _one_of("names no kind of rows", "未指明数据种类", KINDS))
        if tree.get("version") != str(kind.version):
            words = (f"is not the version of the layout of '{kind.name}'", f"不是“{kind.name}”的版式版本")
            remedy = (f"check the columns, and write {kind.version}", f"请核对各列，并填写 {kind.version}")
            self._say("version", fault(*words, *remedy))
        return kind

    def _section(self, tree: dict[str, Any], name: str, known: Iterable[str]) -> dict[str, Any]:
        section = tree.get(name) or {}
        if not isinstance(section, dict):
            self._say(name, _NO_KEYS)
            return {}
        self._check_known(name, section, known)
        return {key: value for key, value in section.items() if key in known}

    def _texts(self, tree: dict[str, Any], name: str, known: Iterable[str]) -> dict[str, str]:
        """Return a section that has one text a key."""
        section = self._section(tree, name, known)
        texts = {key: text for key, text in section.items() if isinstance(text, str) and text}
        self.refused |= section.keys() - texts.keys()
        for key in section.keys() - texts.keys():
            self._say(f"{name}.{key}", _NO_TEXT)
        return texts

    def _check_columns(self, kind: Kind, constants: dict[str, str]) -> None:
        for ours, theirs in self.columns.items():
            self._say(f"columns.{ours}", _UNREADABLE if theirs == "line" or PREFIX in theirs else None)
        for ours, text in constants.items():
            self._say(f"constants.{ours}", _BOTH if ours in self.columns else _misfit(self.of[ours], text))
        for column in kind.columns:
            if column.is_required and column.name not in {*self.columns, *constants, *self.refused, "known_on"}:
                words = (f"'{column.name}' ({column.en}) is required", f"“{column.name}”（{column.zh}）必填")
                remedy = (
                    "name the column that holds it, or give it under 'constants'",
                    "请指明对应的列，或在 constants 中给出",
                )
                self._say(f"columns.{column.name}", fault(*words, *remedy))

    def _check_mapped(self, section: str, ours: str) -> None:
        self._say(f"{section}.{ours}", None if ours in self.columns else _UNMAPPED)

    def _values(self, tree: dict[str, Any]) -> dict[str, dict[str, str]]:
        values: dict[str, dict[str, str]] = {}
        for ours, table in self._section(tree, "values", self.of).items():
            self._check_mapped("values", ours)
            if not isinstance(table, dict) or not table:
                self._say(f"values.{ours}", _NO_KEYS)
                continue
            for theirs, text in table.items():
                wrong = _NO_TEXT if not isinstance(text, str) else _misfit(self.of[ours], text) if text else None
                self._say(f"values.{ours}.{theirs}", wrong)
            values[ours] = table
        return values

    def _dates(self, tree: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        dates: dict[str, tuple[str, ...]] = {}
        for ours, given in self._section(tree, "dates", self.of).items():
            self._check_mapped("dates", ours)
            self._say(f"dates.{ours}", None if self.of[ours].dtype == pl.Date() else _NO_DATES)
            formats = [given] if isinstance(given, str) else given
            if not isinstance(formats, list) or not formats or len(set(map(str, formats))) < len(formats):
                self._say(f"dates.{ours}", _NO_FORMATS)
                continue
            for number, format_ in enumerate(formats):
                is_format = isinstance(format_, str) and _is_format(format_)
                self._say(f"dates.{ours}[{number}]", None if is_format else _NO_FORMAT)
            dates[ours] = tuple(map(str, formats))
        return dates

    def _units(self, tree: dict[str, Any]) -> dict[str, str]:
        units = self._texts(tree, "units", self.of)
        for ours, unit in units.items():
            known = _UNITS.get(self.of[ours].unit)
            if known is None:
                self._say(f"units.{ours}", _NO_UNIT)
                continue
            self._check_mapped("units", ours)
            if unit not in known:
                self._say(f"units.{ours}", _one_of("not a unit of this column", "不是该列的单位", known))
        return units

    def _reading(self, tree: dict[str, Any]) -> Reading:
        given = self._texts(tree, "reading", _READING)
        format_: Any = given.get("format")
        if format_ not in {None, *get_args(Format)}:
            self._say("reading.format", _one_of("not a format of files", "不是文件格式", get_args(Format)))
        encoding, delimiter = given.get("encoding"), given.get("delimiter")
        if encoding is not None and encoding.lower() not in _ENCODINGS:
            self._say("reading.encoding", _one_of("there is no such encoding", "没有该编码", _ENCODINGS))
        if delimiter not in {None, "tab", *DELIMITERS}:
            self._say("reading.delimiter", _one_of("there is no such delimiter", "没有该分隔符", _DELIMITERS))
        return Reading(format_, encoding, delimiter, given.get("sheet"))


def _one_of(en: str, zh: str, known: Iterable[str]) -> Fault:
    listed = ", ".join(known)
    return fault(en, zh, f"write one of: {listed}", f"请填写其中之一：{listed}")


def _not_yaml(error: yaml.YAMLError) -> tuple[str, Fault]:
    mark = getattr(error, "problem_mark", None)
    why = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    remedy = "correct it; 'clustercredit template KIND --format yaml' writes one that can be read"
    words = (f"not YAML: {why}", "不是有效的 YAML", remedy, "请更正；可用 clustercredit template 生成范例")
    return (_FILE if mark is None else f"line {mark.line + 1}"), fault(*words)


def _check_events(text: str) -> None:
    """Refuse what lets a small file become a large or strange one, before anything is built of it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        line = f"line {event.start_mark.line + 1}"
        if getattr(event, "anchor", None) is not None:
            raise _StopError(line, _ALIAS)
        if getattr(event, "tag", None) is not None:
            raise _StopError(line, _TAG)
        if depth > _DEEPEST:
            raise _StopError(line, _TOO_DEEP)


def _misfit(column: Column, text: str) -> Fault | None:
    """Say what is wrong with a text as a canonical value of a column."""
    choices = column.choices or (("true", "false") if column.dtype == pl.Boolean() else ())
    if choices and text not in choices:
        return _one_of("not one of our values", "不是本系统的取值", choices)
    if column.dtype == pl.Date() and not _is_day(text):
        return _NO_DAY
    patterns: dict[pl.DataType, str] = {pl.Int64(): r"[+-]?[0-9]{1,18}", pl.Float64(): NUMBER}
    pattern = patterns.get(column.dtype)
    if pattern and not re.fullmatch(pattern, text):
        words = ("not a number as the ledger keeps it", "不是台账所用的数值")
        return fault(*words, f"write it in {column.unit or 'digits'}", f"请用数字填写，单位：{column.unit or '无'}")
    return None


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_format(format_: str) -> bool:
    """Tell whether a format says one day, and a time of day whole or not at all.

    Two digits of a year do not say its century, so ``%y`` is none.
    """
    directives = [part for part in DIRECTIVE.findall(format_) if part.startswith("%")]
    times: tuple[list[str], ...] = ([], ["%H", "%M"], ["%H", "%M", "%S"])
    return sorted(directives) in [sorted(["%Y", "%m", "%d", *time]) for time in times]
