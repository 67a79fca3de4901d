"""Sources other than our own layout, listed by hand: name -> adapter."""

from service.imports.adapters import cumcm2020c, ratings, sba, smesd
from service.imports.adapters.contract import Adapter

ADAPTERS: dict[str, Adapter] = {
    adapter.name: adapter for adapter in (cumcm2020c.ADAPTER, smesd.ADAPTER, sba.ADAPTER, ratings.ADAPTER)
}
