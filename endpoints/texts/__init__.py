"""What people read: translations, a journal's story, one line for each message."""
