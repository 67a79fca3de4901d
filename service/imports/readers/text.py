"""A text file as UTF-8 in blocks that end where lines end, whatever its encoding."""

import codecs
import re
from collections import Counter
from collections.abc import Iterator

from service.imports.chunks import ImportFailedError, fault, no_such
from service.imports.readers.content import DAMAGE, Content, damaged

LONGEST_LINE = 1 << 20
"""In bytes, with its end."""
_TOO_LONG = fault(
    f"longer than {LONGEST_LINE:,} bytes", f"超过 {LONGEST_LINE:,} 字节", "check the ends of lines and the quotes",
    "请核对换行符与引号",
)  # fmt: skip
_NAMES = {"utf-8": "UTF-8", "gb18030": "GB18030", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
_TOLD = {"utf-16": "utf-16-le", "gbk": "gb18030", "gb2312": "gb18030", "utf-8-sig": "utf-8"}
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_MARKED = "imports.marked"
_USER_DEFINED = re.compile("[\ue000-\ue765]")
"""Where GB18030 has no characters of its own."""
_KANA = re.compile("[\u3041-\u30ff\uff66-\uff9f]")
_MOST_FOREIGN, _FEWEST_KANA = 0.05, 3
"""Kana and user-defined characters of all that is not ASCII: a few Chinese names have some. Of Big5 it is a third."""
_MOST_RARE = 0.5
"""Characters beside small letters that GB2312 lacks, of all that is not ASCII: of western text it is nearly all."""
_BESIDE_LATIN = re.compile("(?<=[a-z])[\u4e00-\u9fff]|[\u4e00-\u9fff](?=[a-z])")
_DOUBTFUL = fault(
    "its encoding cannot be told: it is not UTF-8, and read as GB18030 it has characters that such texts do not have",
    "无法识别编码：不是 UTF-8，而按 GB18030 读取会出现此类文本中没有的字符",
    "save it as UTF-8 (in a spreadsheet program 'CSV UTF-8'); if it is GB18030 after all, name the encoding gb18030: on"
    " the command line by --encoding, in a mapping under reading.encoding",
    "请以 UTF-8 保存（表格软件中为“CSV UTF-8”）；若确为 GB18030，请指明编码 gb18030（命令行用 --encoding，"
    "映射文件中为 reading.encoding）",
)


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Put a lone surrogate where a byte cannot be read; `blocks` writes it as 0xFF, which is no UTF-8 either."""
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end if error.encoding.startswith("utf") else error.start + 1


codecs.register_error(_MARKED, _mark)


class Text:
    """A text file, its encoding told or found out.

    Parameters
    ----------
    told
        Its encoding, if somebody says so.
    has_returns
        Whether a lone carriage return ends a line, as in CSV.

    Raises
    ------
    ImportFailedError
        If there is no such encoding, or its byte order mark says another one.
    """

    def __init__(self, content: Content, told: str | None, *, has_returns: bool) -> None:
        self.file, self._pieces, self._has_returns = content.file, content.pieces, has_returns
        self._codec, self._mark = _encoding(content, told)
        self.encoding = _NAMES[self._codec]

    def blocks(self) -> Iterator[bytes]:
        """Yield the text's bytes as UTF-8, in blocks of about a mebibyte that end with a line's end.

        Raises
        ------
        ImportFailedError
            If the file is damaged, or a line is too long.
        """
        rest, lines = b"", 0
        try:
            for piece in self._recoded():
                block = rest + piece
                end = self._last_end(block)
                if len(block) - end >= LONGEST_LINE:
                    raise self._too_long(lines + block.count(b"\n") + 1)
                block, rest = block[:end], block[end:]
                if block:
                    yield block
                    lines += block.count(b"\n")
        except DAMAGE as error:
            raise damaged(self.file, lines, error) from None
        if rest:
            yield rest if rest.endswith((b"\n", b"\r")) else rest + b"\n"

    def _last_end(self, block: bytes) -> int:
        end = block.rfind(b"\n") + 1
        return max(end, block.rfind(b"\r", end, len(block) - 1) + 1) if self._has_returns and block else end

    def _too_long(self, line: int) -> ImportFailedError:
        return ImportFailedError(f"{self.file}, line {line}", _TOO_LONG)

    def check_line(self, line: bytes | str, number: int) -> None:
        """Check a line's length.

        Raises
        ------
        ImportFailedError
            If it is too long.
        """
        if len(line) >= LONGEST_LINE:
            raise self._too_long(number)

    def _recoded(self) -> Iterator[bytes]:
        skipped = len(self._mark)
        if self._codec == "utf-8":
            for piece in self._pieces:
                yield piece[skipped:]
                skipped = 0
            return
        decoder = codecs.getincrementaldecoder(self._codec)(_MARKED)
        for piece in self._pieces:
            yield decoder.decode(piece[skipped:]).encode(errors="surrogateescape")
            skipped = 0
        yield decoder.decode(b"", final=True).encode(errors="surrogateescape")


def _encoding(content: Content, told: str | None) -> tuple[str, bytes]:
    """Return a text's codec, and the byte order mark before it."""
    head, file = content.head, content.file
    mark = next((mark for mark in _MARKS if head.startswith(mark)), b"")
    if told is None:
        codec = _MARKS[mark] if mark else _guess(head, is_all=content.is_head_all)
        if codec == "gb18030" and _is_doubtful(codecs.getincrementaldecoder(codec)().decode(head)):
            raise ImportFailedError(file, _DOUBTFUL)
        return codec, mark
    name = told.strip().lower().replace("_", "-")
    codec = _TOLD.get(name, name)
    if codec not in _NAMES:
        known = ("utf-8", "gb18030", "gbk", "utf-16")
        raise ImportFailedError(f"encoding '{told}'", no_such("encoding", "编码", told, known))
    if name == "utf-16" and mark in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        codec = _MARKS[mark]
    if mark and _MARKS[mark] != codec:
        words = (
            f"it was to be read as {told}, and its first bytes say {_NAMES[_MARKS[mark]]}",
            f"指定的编码是 {told}，开头的字节却表明是 {_NAMES[_MARKS[mark]]}",
        )
        raise ImportFailedError(file, fault(*words, "leave encoding out", "请勿指定编码"))
    return codec, mark


def _guess(head: bytes, *, is_all: bool) -> str:
    """Tell UTF-8 from GB18030: the one that has all the bytes; text that is mostly UTF-8 is UTF-8 with damage.

    Examples
    --------
    >>> _guess("甲公司".encode("gbk"), is_all=True), _guess("甲公司".encode(), is_all=True)
    ('gb18030', 'utf-8')
    """
    if _is_all(head, "utf-8", is_all=is_all) or not _is_all(head, "gb18030", is_all=is_all):
        return "utf-8"
    text = head.decode(errors="replace")
    bad = text.count("\ufffd")
    good = len(text) - len(text.encode("ascii", "ignore")) - bad
    return "utf-8" if good > bad else "gb18030"


def _is_doubtful(text: str) -> bool:
    """Tell whether a text is hardly what GB18030 was written for, but bytes of another encoding that it has as well.

    Big5 and EUC-JP give kana and user-defined characters, western encodings rare characters beside small letters; one
    of them among many others is a name.

    Examples
    --------
    >>> _is_doubtful("永嘉閥門廠".encode("big5").decode("gb18030")), _is_doubtful("e生e世，镕基、Foxconn鴻海")
    (True, False)
    """
    others = len(text) - len(text.encode("ascii", "ignore"))
    kana, own = (sum(1 for _ in signs.finditer(text)) for signs in (_KANA, _USER_DEFINED))
    beside = Counter(found[0] for found in _BESIDE_LATIN.finditer(text))
    rare = sum(count for sign, count in beside.items() if not sign.encode("gb2312", "ignore"))
    foreign = own + (kana if kana >= _FEWEST_KANA else 0)
    return foreign > _MOST_FOREIGN * others or rare > _MOST_RARE * others


def _is_all(head: bytes, codec: str, *, is_all: bool) -> bool:
    try:
        codecs.getincrementaldecoder(codec)().decode(head, final=is_all)
    except UnicodeDecodeError:
        return False
    return True
