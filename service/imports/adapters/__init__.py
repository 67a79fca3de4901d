"""Sources other than our own layout, listed by hand: name -> adapter."""

from service.imports.adapters import cumcm2020c
from service.imports.adapters.contract import Adapter

ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for adapter in (cumcm2020c.ADAPTER,)}
