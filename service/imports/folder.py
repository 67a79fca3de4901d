"""A folder with files named after kinds, as `clustercredit export all` writes it: which there are, in which order."""

from pathlib import Path
from typing import Final

from features.kinds import KINDS
from service.imports.chunks import ImportFailedError, fault, shown

ALL: Final = "all"
_MOST_SHOWN = 20
_NO_FILE = fault(
    "no file is named after a kind", "没有以数据种类命名的文件", "name them like firm.csv or loan.xlsx",
    "请命名为 firm.csv、loan.xlsx 等",
)  # fmt: skip


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files that are named after kinds, by kind; firms come first, and loans before what is about them.

    A file is a kind's if its name is up to the first dot, whatever follows.

    Raises
    ------
    ImportFailedError
        If there is none, or two are of one kind.
    """
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        kind = _kind_of(file)
        if kind in files:
            words = (f"'{files[kind].name}' and '{file.name}' are both of kind '{kind}'", f"“{kind}”有两个文件")
            raise ImportFailedError(str(folder), fault(*words, "leave one of them there", "请只保留一个"))
        if kind in KINDS:
            files[kind] = file
    if not files:
        raise ImportFailedError(str(folder), _NO_FILE)
    return {kind: files[kind] for kind in KINDS if kind in files}


def strangers_in(folder: Path) -> tuple[str, ...]:
    """Return in words what else is in the folder."""
    names = sorted(file.name for file in folder.iterdir() if _kind_of(file) not in KINDS)
    if not names:
        return ()
    more = ", …" if len(names) > _MOST_SHOWN else ""
    listed = ", ".join(map(shown, names[:_MOST_SHOWN])) + more
    return (f"{len(names)} not named after a kind 未以数据种类命名: {listed}",)


def _kind_of(file: Path) -> str:
    return file.name.partition(".")[0].lower() if file.is_file() else ""
