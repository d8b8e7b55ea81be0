import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Digest } from '../../core/digest.ts'
import type { PackageId, RepositoryName, TagName } from '../../core/name.ts'
import { buildPackageDocument } from '../../core/package-document.ts'
import type { PackageInfo } from '../../store/interface.ts'
import { packageLines } from './package.ts'
import { createStyle } from './style.ts'

const info: PackageInfo = {
  id: '01970000-0000-7000-8000-000000000000' as PackageId,
  repository: 'demo/app' as RepositoryName,
  tags: ['latest' as TagName, 'v1' as TagName],
  status: 'finalized',
  type: 'application/vnd.artifact-store.package',
  createdAt: '2026-11-24T09:00:00.000Z',
  finalizedAt: '2026-11-24T09:00:01.000Z',
  manifestDigest: `sha256:${'0'.repeat(64)}` as Digest,
  fileCount: 12,
  size: 1536,
}

describe('a package for people', () => {
  test('has its facts, and no section for what it does not have', () => {
    const lines = packageLines(info, buildPackageDocument({}), [], createStyle(false))
    assert.equal(lines[0], 'package     01970000-0000-7000-8000-000000000000')
    assert.equal(lines[1], 'repository  demo/app :latest :v1')
    assert.equal(lines.at(-1), 'size        1.5 KiB (1 536 bytes)')
    assert.ok(lines.every((line) => line !== '' && !line.includes('undefined')))
  })

  test('has a section for file sets, metadata, provenance and links', () => {
    const document = buildPackageDocument({
      fileSets: [{ name: 'raw', match: ['logs/**', '*.bin'] }],
      metadata: { board: 'rev-b', tests: { passed: 12 } },
      metadataSchema: 'board-1',
      provenance: {
        sources: [{ repository: 'https://example.org/r.git', commit: 'abc', dirty: true }],
        tool: { name: 'make', version: '4.3' },
        environment: { os: 'linux' },
      },
      links: [{ rel: 'build', url: 'https://example.org/1' }],
    })
    const parts = [
      { fileSets: ['raw'], fileCount: 10, size: 1024 },
      { fileSets: [], fileCount: 2, size: 512 },
    ]
    const text = packageLines(info, document, parts, createStyle(false)).join('\n')
    assert.ok(
      text.endsWith(`

file sets
  raw        *.bin, logs/**
  in raw     10 files, 1.0 KiB
  in no set  2 files, 512 B

metadata
  board     rev-b
  tests     {"passed":12}
  (schema)  board-1

provenance
  source       https://example.org/r.git abc with uncommitted changes
  tool         make 4.3
  environment  os=linux

links
  build  https://example.org/1`),
      text,
    )
  })

  test('shows nothing a terminal would act on', () => {
    const document = buildPackageDocument({ metadata: { '\u001b[2J': 'a\nb' }, provenance: { environment: { x: '\u001b' } } })
    const hostile = { ...info, runId: 'r\u001b[1m', producer: 'p\rq' }
    const text = packageLines(hostile, document, [], createStyle(false)).join('')
    assert.doesNotMatch(text, /\p{Cc}/u)
  })
})
