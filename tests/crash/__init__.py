"""Processes and brokers are killed here, and every message still has exactly one outcome."""
