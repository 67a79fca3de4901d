"""What a loan product asks of a model: target, features, data gates, central tendency."""

from __future__ import annotations

from dataclasses import dataclass

from features.build import CATALOG
from features.sufficiency import REQUIREMENTS


@dataclass(frozen=True)
class CentralTendency:
    """The long-run default rate to which PDs of an undated or selected sample are anchored.

    Attributes
    ----------
    rate : float
        Share of obligors that default within the target's horizon.
    source : str
        Where the figure comes from.

    Raises
    ------
    ValueError
        If the rate is not strictly between 0 and 1, or the source is empty.

    Examples
    --------
    >>> CentralTendency(0.03, "ten years of the lender's own book").rate
    0.03
    """

    rate: float
    source: str

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1 or not self.source:
            raise ValueError(f"a central tendency is a rate within (0, 1) with its source, not {self}")


@dataclass(frozen=True, kw_only=True)
class Product:
    """A loan product as the models see it.

    Attributes
    ----------
    code : str
        Its name on the wire and the command line.
    title_zh, title_en : str
    target : str
        What the PD is the probability of.
    horizon_months : int
        Within which the target happens.
    features : tuple of str
        Columns of its matrix, names of the catalogue.
    requirements : tuple of str
        Data gates of ``features.sufficiency``: a firm that fails one is refused, never guessed.
    central_tendency : CentralTendency
        Used where the sample's own rate is not a PD.
    small_sample_limit : int
        Below this many defaults only the small-sample estimator is eligible.

    Raises
    ------
    ValueError
        If a feature or requirement is unknown or named twice.
    """

    code: str
    title_zh: str
    title_en: str
    target: str
    horizon_months: int
    features: tuple[str, ...]
    requirements: tuple[str, ...]
    central_tendency: CentralTendency
    small_sample_limit: int = 100

    def __post_init__(self) -> None:
        for kind, names, known in (
            ("features", self.features, CATALOG.keys()),
            ("requirements", self.requirements, REQUIREMENTS.keys()),
        ):
            if unknown := [name for name in names if name not in known]:
                raise ValueError(f"product {self.code}: unknown {kind}: {', '.join(unknown)}")
            if len(set(names)) != len(names):
                raise ValueError(f"product {self.code}: {kind} named twice")
