"""The kinds of observations one by one: what each kind is, rows added and read, and the questionnaires behind two."""
