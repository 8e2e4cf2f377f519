"""The papers' own tables as data; shown apart from scored results, never ranked with them."""
