#!/bin/sh
# Makes the archives in this folder, all of the trees of src/testing/awkward-tree.ts, as GNU tar 1.34, bsdtar 3.6 (libarchive) and Python 3.11 write
# them. Run by hand, from the top of the repository, when a tree or the list of formats changes; tests read what is committed.
set -eu
here=$(dirname "$0")
trees=$(mktemp -d)
node -e "
  const trees = await import('$PWD/src/testing/awkward-tree.ts')
  const { mkdirSync } = await import('node:fs')
  mkdirSync('$trees/awkward'); trees.makeAwkwardTree('$trees/awkward')
  mkdirSync('$trees/short'); trees.makeShortTree('$trees/short')
"
for format in gnu posix; do
  tar -c --format=$format -C "$trees/awkward" . | gzip -9n >"$here/awkward-gnu-tar-$format.tar.gz"
  tar -c --format=$format --sparse -C "$trees/awkward" . | zstd -q -19 -o "$here/awkward-gnu-tar-$format-sparse.tar.zst" -f
done
for format in v7 ustar oldgnu; do
  (cd "$trees/short" && tar -c --format=$format -- *) | gzip -9n >"$here/short-gnu-tar-$format.tar.gz"
done
for format in pax gnutar; do
  bsdtar -c --format=$format -C "$trees/awkward" -f - . | zstd -q -19 -o "$here/awkward-bsdtar-$format.tar.zst" -f
done
for format in pax gnu; do
  python3 -c "
import os, sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.$(echo $format | tr a-z A-Z)_FORMAT) as archive:
    for name in sorted(os.listdir('$trees/awkward')):
        archive.add('$trees/awkward/' + name, arcname=name)
" | gzip -9n >"$here/awkward-python-$format.tar.gz"
done
rm -r "$trees"
