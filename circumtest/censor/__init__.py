"""Censors: policies as values, and the two ways in which one is carried out."""
