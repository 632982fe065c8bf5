"""A stand-in for a phone's adbd that the real `adb` program talks to, on loopback: no phone is needed, and it misbehaves on
request."""
