"""From raw observations to one feature matrix: pure functions of tables and a date."""
