import type { JsonValue } from '../../core/canonical-json.ts'
import type { PackageDocument, Provenance, SourceRevision } from '../../core/package-document.ts'
import type { FileSetContent } from '../../core/file-set.ts'
import { displayPath } from '../../core/path.ts'
import type { PackageInfo } from '../../store/interface.ts'
import type { PackagePart } from '../package-parts.ts'
import { formatBytes, formatCount, plural } from './bytes.ts'
import type { Style } from './style.ts'
import { propertyLines } from './table.ts'
import { formatTime } from './time.ts'

type Property = readonly [name: string, value: string]

/** A package for people: its facts, then a section for each thing it has more to tell about. */
export function packageLines(info: PackageInfo, document: PackageDocument, parts: readonly PackagePart[], style: Style): readonly string[] {
  return [
    ...propertyLines(facts(info)),
    ...section('file sets', fileSetProperties(document.fileSets ?? [], parts), style),
    ...section('metadata', metadataProperties(document), style),
    ...section('provenance', provenanceProperties(document.provenance ?? {}), style),
    ...section(
      'links',
      (document.links ?? []).map(({ rel, url }) => [displayPath(rel), displayPath(url)] as const),
      style,
    ),
  ]
}

function facts(info: PackageInfo): readonly Property[] {
  const { id, repository, tags, type, status, producer, subject, runId, retentionClass, createdAt, finalizedAt, expiresAt, manifestDigest } = info
  const known: readonly (readonly [string, string | undefined])[] = [
    ['package', id],
    ['repository', [repository, ...tags.map((tag) => `:${tag}`)].join(' ')],
    ['type', type],
    ['status', status],
    ['producer', producer],
    ['subject', subject],
    ['run id', runId],
    ['opened', formatTime(createdAt)],
    ['sealed', finalizedAt && formatTime(finalizedAt)],
    ['retention', retentionClass],
    ['expires', expiresAt && formatTime(expiresAt)],
    ['manifest', manifestDigest],
    ['files', formatCount(info.fileCount)],
    ['size', `${formatBytes(info.size)} (${formatCount(info.size)} bytes)`],
  ]
  return known.flatMap(([name, value]) => (value === undefined ? [] : [[name, displayPath(value)] as const]))
}

function section(title: string, properties: readonly Property[], style: Style): readonly string[] {
  return properties.length === 0 ? [] : ['', style.strong(title), ...propertyLines(properties, '  ')]
}

function fileSetProperties(rules: readonly FileSetContent[], parts: readonly PackagePart[]): readonly Property[] {
  return [
    ...rules.map(({ name, match }) => [name, match.map(displayPath).join(', ')] as const),
    ...parts.map(({ fileSets, fileCount, size }) => {
      const which = fileSets.length === 0 ? 'in no set' : `in ${fileSets.join(' and ')}`
      return [which, `${plural(fileCount, 'file')}, ${formatBytes(size)}`] as const
    }),
  ]
}

function metadataProperties({ metadata = {}, metadataSchema }: PackageDocument): readonly Property[] {
  const properties = Object.entries(metadata).map(([key, value]) => [displayPath(key), valueText(value)] as const)
  return metadataSchema === undefined ? properties : [...properties, ['(schema)', displayPath(metadataSchema)]]
}

function valueText(value: JsonValue): string {
  return displayPath(typeof value === 'string' ? value : JSON.stringify(value))
}

function provenanceProperties({ sources = [], environment = {}, tool }: Provenance): readonly Property[] {
  return [
    ...sources.map((source) => ['source', sourceText(source)] as const),
    ...(tool === undefined ? [] : [['tool', displayPath([tool.name, tool.version ?? ''].join(' ').trim())] as const]),
    ...Object.entries(environment).map(([key, value]) => ['environment', displayPath(`${key}=${value}`)] as const),
  ]
}

function sourceText({ repository, commit, ref, path, dirty }: SourceRevision): string {
  const parts = [repository, ref, commit, path === undefined ? undefined : `folder ${path}`, dirty === true ? 'with uncommitted changes' : undefined]
  return displayPath(parts.filter((part) => part !== undefined).join(' '))
}
