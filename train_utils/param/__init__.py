"""All defaults: a frozen dataclass of options per command, whose field names are its flags."""
