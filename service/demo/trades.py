"""What the made-up clusters make, what their firms are called and which codes they carry.

Places and trades exist; firms, people and codes are invented. Names are three syllables joined at random, so a
likeness to a real company is chance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MATERIALS, PARTS, ASSEMBLY, TRADE = range(4)
N_STAGES = 4


@dataclass(frozen=True)
class Trade:
    """One town's product and the four stages of its chain.

    Attributes
    ----------
    zh, en : str
        Name of the cluster, e.g. 温州鞋业, Wenzhou shoes.
    place : str
        Administrative place of its firms.
    prefix : str
        What their names begin with.
    area : str
        Six-digit administrative code (GB/T 2260), part of their social credit codes.
    peak_month : int
        Month with the highest sales, 1 to 12.
    industries : tuple of str
        GB/T 4754-2017 class of each stage: materials, parts, assembly, trade.
    nouns : tuple of str
        What the names of each stage's firms end with.
    """

    zh: str
    en: str
    place: str
    prefix: str
    area: str
    peak_month: int
    industries: tuple[str, str, str, str]
    nouns: tuple[str, str, str, str]


_LEATHER = "C191 皮革鞣制加工"
_PLASTICS = "C292 塑料制品业"
_POLYMERS = "C265 合成材料制造"
_METALS = "C325 有色金属压延加工"
_CASTING = "C339 铸造及其他金属制品制造"
_COTTON = "C171 棉纺织及印染精加工"
_WEAVING = "C175 化纤织造及印染精加工"
_FIBRE = "C282 合成纤维制造"
_HOUSEHOLD_WHOLESALE = "F513 纺织、服装及家庭用品批发"
_MACHINE_WHOLESALE = "F517 机械设备、五金产品及电子产品批发"

TRADES = (
    Trade(
        "温州鞋业",
        "Wenzhou shoes",
        "浙江省温州市鹿城区",
        "温州市",
        "330302",
        10,
        (_LEATHER, _PLASTICS, "C195 制鞋业", _HOUSEHOLD_WHOLESALE),
        ("皮革", "鞋材", "鞋业", "鞋服贸易"),
    ),
    Trade(
        "桥头纽扣",
        "Qiaotou buttons",
        "浙江省温州市永嘉县",
        "永嘉县",
        "330324",
        4,
        (_POLYMERS, _PLASTICS, "C411 日用杂品制造", _HOUSEHOLD_WHOLESALE),
        ("树脂", "饰扣配件", "纽扣", "辅料贸易"),
    ),
    Trade(
        "乐清低压电器",
        "Yueqing low-voltage electrics",
        "浙江省温州市乐清市",
        "乐清市",
        "330382",
        6,
        (_METALS, "C389 其他电气机械及器材制造", "C382 输配电及控制设备制造", _MACHINE_WHOLESALE),
        ("铜业", "电器配件", "电气", "机电贸易"),
    ),
    Trade(
        "绍兴印染",
        "Shaoxing dyeing",
        "浙江省绍兴市柯桥区",
        "绍兴市",
        "330603",
        5,
        ("C264 涂料、油墨、颜料及类似产品制造", _COTTON, _WEAVING, _HOUSEHOLD_WHOLESALE),
        ("染料", "坯布", "印染", "布业"),
    ),
    Trade(
        "萧山化纤",
        "Xiaoshan chemical fibre",
        "浙江省杭州市萧山区",
        "杭州",
        "330109",
        11,
        (_POLYMERS, _FIBRE, _WEAVING, _HOUSEHOLD_WHOLESALE),
        ("新材料", "化纤", "织造", "纺织品贸易"),
    ),
    Trade(
        "温州服装",
        "Wenzhou clothing",
        "浙江省温州市瓯海区",
        "温州市",
        "330304",
        11,
        (_COTTON, "C183 服饰制造", "C181 机织服装制造", _HOUSEHOLD_WHOLESALE),
        ("面料", "服装辅料", "服饰", "服装贸易"),
    ),
    Trade(
        "永康五金",
        "Yongkang hardware",
        "浙江省金华市永康市",
        "永康市",
        "330784",
        9,
        (_METALS, "C336 金属表面处理及热处理加工", "C338 金属制日用品制造", _MACHINE_WHOLESALE),
        ("金属材料", "五金配件", "工贸", "五金贸易"),
    ),
    Trade(
        "大唐袜业",
        "Datang socks",
        "浙江省绍兴市诸暨市",
        "诸暨市",
        "330681",
        10,
        (_FIBRE, _COTTON, "C182 针织或钩针编织服装制造", _HOUSEHOLD_WHOLESALE),
        ("包覆纱", "纺纱", "袜业", "针织贸易"),
    ),
    Trade(
        "玉环阀门",
        "Yuhuan valves",
        "浙江省台州市玉环市",
        "玉环市",
        "331083",
        9,
        (_METALS, _CASTING, "C344 泵、阀门、压缩机及类似机械制造", _MACHINE_WHOLESALE),
        ("铜材", "铸造", "阀门", "水暖贸易"),
    ),
    Trade(
        "瑞安汽摩配",
        "Rui'an auto parts",
        "浙江省温州市瑞安市",
        "瑞安市",
        "330381",
        11,
        (_METALS, _CASTING, "C367 汽车零部件及配件制造", _MACHINE_WHOLESALE),
        ("铝业", "压铸", "汽车部件", "汽配贸易"),
    ),
    Trade(
        "丹阳眼镜",
        "Danyang spectacles",
        "江苏省镇江市丹阳市",
        "丹阳市",
        "321181",
        7,
        (_POLYMERS, _PLASTICS, "C358 医疗仪器设备及器械制造", _HOUSEHOLD_WHOLESALE),
        ("光学材料", "镜片", "眼镜", "眼镜贸易"),
    ),
    Trade(
        "古镇灯饰",
        "Guzhen lighting",
        "广东省中山市",
        "中山市",
        "442000",
        10,
        (_METALS, "C398 电子元件及电子专用材料制造", "C387 照明器具制造", _HOUSEHOLD_WHOLESALE),
        ("铝材", "光电", "灯饰", "照明贸易"),
    ),
)

# Where buyers and suppliers outside the cluster are registered.
OUTSIDE_AREAS = ("310115", "440106", "110105", "320505", "350203", "330782", "510107", "420106")

_SYLLABLES = "鑫宏瑞泰华盛达恒丰润嘉诚永昌隆顺兴裕康德信义和祥源茂荣旭辉铭凯博远卓越腾骏朗森欧力美佳益"

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_BASE = len(USCC_ALPHABET)
_ORGANISATION_WEIGHTS = np.array([3, 7, 9, 10, 5, 8, 4, 2])
_USCC_WEIGHTS = np.array([pow(3, i, _BASE) for i in range(17)])
_SERIAL_DIGITS = 6
N_SERIALS = _BASE**_SERIAL_DIGITS


def cluster_names(number: int) -> tuple[str, str]:
    """Return the Chinese and English name of a cluster: the trades in turn, numbered from the second round on.

    Examples
    --------
    >>> cluster_names(0), cluster_names(12)
    (('温州鞋业集群', 'Wenzhou shoes'), ('温州鞋业集群（2）', 'Wenzhou shoes (2)'))
    """
    lap, position = divmod(number, len(TRADES))
    trade = TRADES[position]
    return (f"{trade.zh}集群", trade.en) if not lap else (f"{trade.zh}集群（{lap + 1}）", f"{trade.en} ({lap + 1})")


def firm_names(trade: Trade, stages: NDArray[np.int64], offset: int) -> list[str]:
    """Return a distinct company name for each firm, e.g. 温州市鑫宏瑞鞋业有限公司.

    Parameters
    ----------
    trade : Trade
        Gives the prefix and the noun of each stage.
    stages : ndarray of shape (n,)
        Stage of each firm, 0 to 3.
    offset : int
        Any number; other offsets give other names.
    """
    size = len(_SYLLABLES)
    # A step coprime to the number of names visits each name once.
    ids = (offset + 7919 * np.arange(len(stages))) % size**3
    return [
        f"{trade.prefix}{_SYLLABLES[i % size]}{_SYLLABLES[i // size % size]}{_SYLLABLES[i // size**2]}"
        f"{trade.nouns[stage]}有限公司"
        for i, stage in zip(ids.tolist(), stages.tolist(), strict=True)
    ]


def social_credit_codes(serials: NDArray[np.int64], areas: list[str]) -> list[str]:
    """Return unified social credit codes of invented enterprises (GB 32100-2015), with right check characters.

    Parameters
    ----------
    serials : ndarray of shape (n,)
        Distinct numbers below `N_SERIALS`.
    areas : list of str, length n
        Six-digit administrative codes.

    Returns
    -------
    list of str
        18 characters: 9 (market regulator), 1 (enterprise), the area, a 9-character organisation code (GB 11714-1997)
        that begins with D0, and the check character.

    Examples
    --------
    >>> social_credit_codes(np.array([415]), ["330302"])
    ['91330302D00000DC6W']
    """
    n = len(serials)
    body = np.zeros((n, 8), dtype=np.int64)
    body[:, 0] = USCC_ALPHABET.index("D")
    for position in range(_SERIAL_DIGITS):
        body[:, 7 - position] = serials // _BASE**position % _BASE
    # GB 11714 values letters by their place in the full alphabet.
    letters = np.array([int(character, 36) for character in USCC_ALPHABET])
    organisation_check = (11 - letters[body] @ _ORGANISATION_WEIGHTS % 11) % 11
    organisation_check[organisation_check == 10] = USCC_ALPHABET.index("X")
    area = np.array([[int(digit) for digit in code] for code in areas], dtype=np.int64).reshape(n, 6)
    front = np.broadcast_to(np.array([9, 1]), (n, 2))
    digits = np.hstack([front, area, body, organisation_check[:, None]])
    check = (_BASE - digits @ _USCC_WEIGHTS % _BASE) % _BASE
    characters = np.array(list(USCC_ALPHABET))[np.hstack([digits, check[:, None]])]
    return ["".join(row) for row in characters.tolist()]
