"""Texts for people: translations, and the wording of messages and journal records."""
