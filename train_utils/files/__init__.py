"""Files of unknown origin: read within limits, never run; and written whole or not at all."""
