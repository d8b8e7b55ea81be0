import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isFilePath, type FilePath } from './path.ts'
import { parsePaxRecords, parseTarHeader, PAX_MEDIA_TYPE, PAX_SHA256 } from './tar-header.ts'
import { readTar } from './tar-reader.ts'
import { TAR_END, type TarEntryFacts, tarHead, tarPadding } from './tar-writer.ts'

const path = fc
  .array(fc.oneof(fc.stringMatching(/^[a-z]{1,60}$/), fc.string({ unit: 'binary', minLength: 1, maxLength: 40 })), { minLength: 1, maxLength: 8 })
  .map((names) => names.join('/'))
  .filter((text): text is FilePath => isFilePath(text))
const entry: fc.Arbitrary<TarEntryFacts> = fc.oneof(
  fc.record({ kind: fc.constant('file' as const), path, executable: fc.boolean(), size: fc.nat(2000) }),
  fc.record({ kind: fc.constant('symlink' as const), path, target: fc.string({ unit: 'binary', minLength: 1, maxLength: 200 }) }),
  fc.record({ kind: fc.constant('directory' as const), path }),
)

function archiveOf(entries: readonly TarEntryFacts[]): Uint8Array {
  const parts = entries.flatMap((facts) => {
    const size = facts.kind === 'file' ? facts.size : 0
    return [tarHead(facts), Buffer.alloc(size, facts.path), tarPadding(size)]
  })
  return Buffer.concat([...parts, TAR_END])
}

async function* inOnePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

describe('writing a tar archive', () => {
  test('says what the reader reads', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 6 }), async (entries) => {
        // A NUL ends a name; neither paths nor the targets that a package accepts have one.
        fc.pre(entries.every((facts) => facts.kind !== 'symlink' || (!facts.target.includes('\0') && facts.target.isWellFormed())))
        const read: object[] = []
        for await (const entryRead of readTar(inOnePiece(archiveOf(entries)))) {
          const { kind, name, linkName, size, mode, problem } = entryRead
          assert.equal(problem, undefined)
          const text = Buffer.from(name).toString().replace(/\/$/, '')
          const bytes = Buffer.concat(await Array.fromAsync(entryRead.content()))
          if (kind === 'file') assert.ok(bytes.equals(Buffer.alloc(size, text)))
          read.push(
            kind === 'file'
              ? { kind, path: text, executable: mode === 0o755, size }
              : kind === 'symlink'
                ? { kind, path: text, target: Buffer.from(linkName).toString() }
                : { kind, path: text },
          )
        }
        assert.deepEqual(
          read,
          entries.map((facts) => ({ ...facts })),
        )
      }),
    )
  })

  test('writes sizes from 8 GiB on where every reader finds them', () => {
    const size = 8 * 1024 ** 3
    const below = tarHead({ kind: 'file', path: 'a', executable: false, size: size - 1 })
    assert.equal(below.length, 512)
    assert.equal(parseTarHeader(below)?.size, size - 1)
    const head = tarHead({ kind: 'file', path: 'a', executable: false, size })
    assert.equal(Buffer.from(parsePaxRecords(head.subarray(512, 512 + (parseTarHeader(head)?.size ?? 0))).get('size') ?? '').toString(), String(size))
  })

  test('tells what only this vendor knows in records of its own', async () => {
    const facts: TarEntryFacts = {
      kind: 'file',
      path: 'a',
      executable: false,
      size: 0,
      mediaType: 'text/plain;charset=utf-8',
      sha256: 'ab'.repeat(32),
    }
    const head = tarHead(facts)
    const records = parsePaxRecords(head.subarray(512, 512 + (parseTarHeader(head)?.size ?? 0)))
    assert.deepEqual(
      [...records].map(([keyword, value]) => [keyword, Buffer.from(value).toString()]),
      [
        [PAX_MEDIA_TYPE, 'text/plain;charset=utf-8'],
        [PAX_SHA256, 'ab'.repeat(32)],
      ],
    )
    const [read] = await Array.fromAsync(readTar(inOnePiece(archiveOf([facts]))))
    assert.equal(read?.mediaType, 'text/plain;charset=utf-8')
    assert.equal(read.sha256, 'ab'.repeat(32))
  })

  test('needs no extension for what a plain header can say', () => {
    for (const [text, bytes] of [
      ['a'.repeat(100), 512],
      [`${'p'.repeat(60)}/${'d'.repeat(94)}/${'n'.repeat(100)}`, 512],
      [`${'p'.repeat(60)}/${'d'.repeat(95)}/${'n'.repeat(100)}`, 1536],
      [`d/${'n'.repeat(101)}`, 1536],
      ['é', 1536],
    ] as const) {
      assert.equal(tarHead({ kind: 'file', path: text, executable: false, size: 0 }).length, bytes, text)
    }
  })
})
