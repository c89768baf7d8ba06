"""The tests read as the specification; helpers that several of them share lie beside this file."""
