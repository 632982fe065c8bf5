#!/usr/bin/env bash
# Installs the apt packages of apt_packages.txt that these groups miss, where it may: as root, or by sudo without a password.
# What is missing at the end is said; with --require that is an error (exit code 3).
set -euo pipefail
usage="usage: apt_packages.sh [--require] GROUP..., groups as in apt_packages.txt"
here=$(dirname "$0")
require=
if [[ ${1-} == --require ]]; then require=yes; shift; fi
(($#)) || { echo "$usage" >&2; exit 2; }
groups=" $* "

is_there() {
  case $1 in
    python3:*) "${PYTHON:-python3}" -c "import ${1#*:}" 2>/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing() {
  local what group packages
  while read -r what group packages; do
    if [[ $what != '#'* && $groups == *" $group "* ]] && ! is_there "$what"; then echo "$packages"; fi
  done <"$here/apt_packages.txt"
}

as_root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

apt() {
  local what=$1
  shift
  as_root "${PYTHON:-python3}" "$here/../runtime/quietly.py" build/apt.log "$what" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -o Dpkg::Use-Pty=0 "$@"
}

wanted=$(missing)
[[ -n $wanted ]] || exit 0
if command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; }; then
  mkdir -p build
  apt "apt-get update" update || true
  # shellcheck disable=SC2086 # words are packages
  apt "apt-get install ${wanted//$'\n'/ }" install -y --no-install-recommends $wanted || while read -r packages; do
    apt "apt-get install $packages" install -y --no-install-recommends $packages || true # one that is not to be had costs no other
  done <<<"$wanted"
  wanted=$(missing)
fi
if [[ -n $wanted ]]; then
  echo "missing apt packages: ${wanted//$'\n'/ } (as root: apt-get install ${wanted//$'\n'/ })"
  [[ -z $require ]] || exit 3
fi
