"""Sizes of the windows in which pages are looked at."""

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
