#!/bin/sh
# Lists the exchanges of this run in the order in which they took place.
set -eu
cd "$(dirname "$0")/.."
exec awk '/ start / { print $3 }' logs/run.log
