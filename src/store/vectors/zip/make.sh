#!/bin/sh
# Makes the archives in this folder, all of the trees of src/testing/awkward-tree.ts, as Info-ZIP 3.0, bsdtar 3.6 (libarchive) and Python 3.11 write
# them. Run by hand, from the top of the repository, when a tree or the list of formats changes; tests read what is committed.
set -eu
here=$PWD/$(dirname "$0")
trees=$(mktemp -d)
node -e "
  const trees = await import('$PWD/src/testing/awkward-tree.ts')
  const { mkdirSync } = await import('node:fs')
  mkdirSync('$trees/awkward'); trees.makeAwkwardTree('$trees/awkward')
  mkdirSync('$trees/short'); trees.makeShortTree('$trees/short')
"
rm -f "$here"/*.zip
(cd "$trees/awkward" && zip -qry9 "$here/awkward-info-zip.zip" .)
(cd "$trees/short" && zip -qry9 -fz "$here/short-info-zip-zip64.zip" .)
(cd "$trees/awkward" && LC_ALL=C.UTF-8 bsdtar -c --format=zip -f "$here/awkward-bsdtar.zip" .)
cat >"$trees/make.py" <<'END'
import os, stat, sys, zipfile
with zipfile.ZipFile(sys.stdout.buffer, 'w', zipfile.ZIP_DEFLATED) as archive:
    for top, folders, files in os.walk('.'):
        for name in sorted(folders + files):
            path = os.path.relpath(os.path.join(top, name))
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                link = zipfile.ZipInfo(path)
                link.create_system, link.external_attr = 3, mode << 16
                archive.writestr(link, os.readlink(path))
            else:
                archive.write(path)
END
(cd "$trees/awkward" && python3 "$trees/make.py" >"$here/awkward-python.zip")
# What goes to a pipe has sizes and checksums behind the content.
(cd "$trees/awkward" && python3 "$trees/make.py" | cat >"$here/awkward-python-stream.zip")
rm -r "$trees"
