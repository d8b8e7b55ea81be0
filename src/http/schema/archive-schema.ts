import { Type, type TUnsafe } from 'typebox'
import type { ArchiveReport, ArchiveRequest } from '../../store/interface.ts'
import { closed, count, oneOf, text } from './closed.ts'

/** Answer of `POST /packages/{id}/files`. */
export const archiveReport: TUnsafe<ArchiveReport> = closed<ArchiveReport>('ArchiveReport')({
  files: count('Files.'),
  symlinks: count('Symbolic links.'),
  directories: count('Empty directories, which are the only ones that a package keeps.'),
  bytes: count("Sum of the files' bytes."),
})

/** Query of `GET /packages/{id}/archive`. */
export interface ArchiveQuery {
  readonly format?: ArchiveRequest['format']
  readonly path?: string
}

/** Query of `GET /packages/{id}/archive`. */
export const archiveQuery: TUnsafe<ArchiveQuery> = closed<ArchiveQuery>()({
  format: Type.Optional(oneOf(['tar', 'tar.zst', 'zip'], 'What kind of archive; tar when not given.')),
  path: Type.Optional(text('Only what lies at this path or below it.', 4_096)),
})
