"""Lo que los laboratorios comparten: datos, modelos, servicios embebidos y la orden «labs»."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Raíz del repositorio; la instalación es editable, así que siempre es la del clon."""
