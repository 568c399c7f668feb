"""The events of streamed answers: how they are framed, and what each format's events hold."""
