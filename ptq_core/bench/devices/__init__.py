"""Devices that a program can be measured on: this machine, emulated cores, phones over adb."""
