import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

/**
 * Loaded before a program (`node --import`), makes it leave out one kind of flush: with `OMITTED_FLUSH=file` that of files, with `folder` that of
 * folders. Shows that a rig notices. SQLite flushes by itself and is not affected.
 */
const omitted = process.env['OMITTED_FLUSH']
const { fsync, fdatasync } = fs

type Flush = (fd: number, done: (error: NodeJS.ErrnoException | null) => void) => void

function omitting(flush: Flush): Flush {
  return (fd, done) => {
    const kind = fs.fstatSync(fd).isDirectory() ? 'folder' : 'file'
    if (kind === omitted) done(null)
    else flush(fd, done)
  }
}

Object.assign(fs, { fsync: omitting(fsync), fdatasync: omitting(fdatasync) })
syncBuiltinESMExports()
