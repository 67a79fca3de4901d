from tests.e2e.conftest import bank  # noqa: F401 - the demo's cluster, trained and rescored
