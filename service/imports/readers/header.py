"""What may be wrong with the names of a file's columns."""

from collections.abc import Iterable, Sequence
from typing import Final

from features.kinds.contract import Fault, Words
from service.imports.chunks import ImportFailedError, fault, shown

NO_HEADER: Final = fault(
    "empty; a header line is expected", "为空，应有表头行", "put the header there", "请在此处填写表头"
)
_ELSEWHERE: Final = Words(
    "; delete rows that stand above the header, such as a title; of a workbook, name the header's sheet (--sheet)",
    "；表头上方如有标题等行，请删去；工作簿请用 --sheet 指明表头所在的工作表",
)


class MissingColumnsError(ImportFailedError):
    """A file lacks columns that it must have.

    Parameters
    ----------
    place
        Where they were looked for.
    missing
        All that it lacks.
    found
        Those that it has.
    has_header
        Whether its columns have their names from a row, which may be another one than was taken for it.
    """

    def __init__(self, place: str, missing: Sequence[str], found: Iterable[str], *, has_header: bool = True) -> None:
        self.place, self.missing, self.found = place, tuple(missing), tuple(found)
        self._elsewhere = _ELSEWHERE if has_header else Words("", "")
        listed = [f"'{shown(name)}'" for name in self.missing]
        super().__init__(place, self.fault(listed, listed, "compare with the source", "请与来源核对"))

    def fault(self, en: Iterable[str], zh: Iterable[str], remedy_en: str, remedy_zh: str) -> Fault:
        """Return what is said of the missing columns, each in words of the caller's, with those that were found."""
        found = shown(", ".join(filter(None, self.found)))
        reason = f"columns are missing: {', '.join(en)}; columns found: {found}"
        reason_zh = f"缺少列：{'、'.join(zh)}；文件中的列：{found}"
        return fault(reason, reason_zh, remedy_en + self._elsewhere.en, remedy_zh + self._elsewhere.zh)


def stands_twice(name: str) -> Fault:
    """Say that a column stands twice."""
    return fault(f"column '{name}' stands twice", f"列“{name}”重复出现", "rename or remove one", "请改名或删去其一")
