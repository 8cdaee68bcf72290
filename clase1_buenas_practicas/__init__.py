"""Clase 1: del cuaderno de investigación a programas probados."""
