"""Rules about size: counted code and compressed model against the cap."""
