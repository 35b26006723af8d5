"""Protocols of other programs: a source (Pyneal's volumes), and three outputs for decisions."""
