# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the scripts in this folder share; sourced, not run.

SCRIPTS=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
REPO=$(dirname "$SCRIPTS")
PROGRAM=$(basename "$0")

# die STATUS MESSAGE
die() {
	local status=$1
	shift
	echo "$PROGRAM: $*" >&2
	exit "$status"
}

# Kernels and initrds that are expensive to make and belong to no checkout.
cache_folder() {
	if [ -n "${RATMAN_CACHE:-}" ]; then
		readlink -m "$RATMAN_CACHE"
	elif [ -w /var/cache/ratman ] || { [ ! -e /var/cache/ratman ] && [ -w /var/cache ]; }; then
		echo /var/cache/ratman
	else
		echo "${XDG_CACHE_HOME:-$HOME/.cache}/ratman"
	fi
}
CACHE=$(cache_folder)
