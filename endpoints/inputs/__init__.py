"""Reads what officers type, at a prompt or in a form: places, instants, texts. Nothing is guessed."""
