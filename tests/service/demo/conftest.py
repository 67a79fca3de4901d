from tests.fixtures_economy import large_economy

__all__ = ["large_economy"]
