import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { crc32, deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { DamagedEntryError } from '../core/archive-entry.ts'
import { InputInvalidError, LimitExceededError } from '../core/errors.ts'
import { mutationRuns } from '../testing/mutation-runs.ts'
import { zipArchive, type ZipEndParts, type ZipParts } from '../testing/zip-archive.ts'
import { SpoolFile } from './spool-file.ts'
import { readZip, type ZipLimits } from './zip-reader.ts'

const folder = mkdtempSync(join(tmpdir(), 'zip-reader-'))
after(() => {
  assert.deepEqual(readdirSync(folder), [], 'a temporary file was left')
  rmSync(folder, { recursive: true })
})

interface Read {
  readonly kind: string
  readonly name: string
  readonly linkName: string
  readonly size: number
  readonly mode: number
  /** What is wrong with the entry, or with its content. */
  readonly problem: string | undefined
  readonly content: Buffer
}

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += 60_000) yield bytes.subarray(start, start + 60_000)
}

async function readAll(archive: Uint8Array, limits: Partial<ZipLimits> = {}): Promise<Read[]> {
  const file = await SpoolFile.fill(folder, inPieces(archive))
  try {
    const entries: Read[] = []
    for await (const entry of readZip(file, { entries: 1_000, contentBytes: 1e9, ...limits })) {
      const [name, linkName] = [Buffer.from(entry.name).toString(), Buffer.from(entry.linkName).toString()]
      const { kind, size, mode } = entry
      const pieces: Uint8Array[] = []
      let { problem } = entry
      try {
        if (problem === undefined) for await (const piece of entry.content()) pieces.push(piece)
      } catch (error) {
        if (!(error instanceof DamagedEntryError)) throw error
        problem = error.message
      }
      entries.push({ kind, name, linkName, size, mode, problem, content: Buffer.concat(pieces) })
    }
    return entries
  } finally {
    await file.close()
  }
}

async function problemsOf(entries: readonly ZipParts[], end: ZipEndParts = {}): Promise<(string | undefined)[]> {
  return (await readAll(zipArchive(entries, end))).map(({ problem }) => problem)
}

const refusal = async (archive: Uint8Array, limits: Partial<ZipLimits> = {}): Promise<string> => {
  const error = await readAll(archive, limits).then(
    () => assert.fail('it was read'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof InputInvalidError || error instanceof LimitExceededError, String(error))
  return error.message
}

function zip64(...numbers: number[]): Buffer {
  const field = Buffer.alloc(4 + numbers.length * 8)
  field.writeUInt16LE(1, 0)
  field.writeUInt16LE(numbers.length * 8, 2)
  for (const [index, value] of numbers.entries()) field.writeBigUInt64LE(BigInt(value), 4 + index * 8)
  return field
}

describe('reading a zip archive', () => {
  test('gives entries with their content, stored or deflated, whatever their size', async () => {
    const parts = fc.record({
      name: fc.stringMatching(/^[a-z]{1,30}$/),
      content: fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.nat(400_000).map((length) => Buffer.alloc(length, 'some text that repeats ')),
      ),
      method: fc.constantFrom(0, 8),
      mode: fc.constantFrom(0o100644, 0o100755, 0o600),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(parts, { maxLength: 6 }), fc.string({ maxLength: 20 }), async (entries, comment) => {
        fc.pre(!comment.includes('PK\u0005\u0006'))
        const read = await readAll(zipArchive(entries, { comment }))
        assert.deepEqual(
          read.map(({ name, content, mode, problem, size }) => [name, content.toString('hex'), mode, problem, size]),
          entries.map(({ name, content, mode }) => [name, Buffer.from(content).toString('hex'), mode, undefined, content.length]),
        )
      }),
      { numRuns: 60 },
    )
  })

  test('tells files, directories and links by their mode on Unix, and by their name elsewhere', async () => {
    const read = await readAll(
      zipArchive([
        { name: 'd/', mode: 0o040755 },
        { name: 'd2', mode: 0o040755 },
        { name: 'link', mode: 0o120777, content: 'd/f' },
        { name: 'stored link', mode: 0o120777, content: 'd/f', method: 0 },
        { name: 'd/f', content: 'x', mode: 0o600 },
        { name: 'dos/', system: 0, attributes: 0x10 },
        { name: 'dos2', system: 0, attributes: 0x10 },
        { name: 'dos/f', system: 0, attributes: 0x20 },
      ]),
    )
    assert.deepEqual(
      read.map(({ kind, linkName, problem }) => [kind, linkName, problem]),
      [
        ['directory', '', undefined],
        ['directory', '', undefined],
        ['symlink', 'd/f', undefined],
        ['symlink', 'd/f', undefined],
        ['file', '', undefined],
        ['directory', '', undefined],
        ['directory', '', undefined],
        ['file', '', undefined],
      ],
    )
  })

  test('understands sizes that follow the content, and sizes in fields for large archives', async () => {
    const packed = deflateRawSync('content')
    const read = await readAll(
      zipArchive([
        { name: 'follows', content: 'content', flags: 8, local: { crc: 0, size: 0, packedSize: 0 }, descriptor: Buffer.alloc(16) },
        { name: 'known', content: 'content', flags: 8 },
        {
          name: 'large',
          content: 'content',
          size: 0xffffffff,
          packedSize: 0xffffffff,
          extra: Buffer.concat([Buffer.from([9, 9, 0, 0]), zip64(7, packed.length)]),
          local: { extra: zip64(7, packed.length) },
        },
        {
          name: 'large and follows',
          content: 'content',
          flags: 8,
          size: 0xffffffff,
          packedSize: 0xffffffff,
          extra: zip64(7, packed.length),
          local: { crc: 0, extra: zip64(0, 0) },
          descriptor: Buffer.alloc(24),
        },
      ]),
    )
    for (const { content, problem, name } of read) assert.deepEqual([content.toString(), problem], ['content', undefined], name)
  })

  test('takes the UTF-8 name of a name in another encoding, if it belongs to it', async () => {
    const raw = Buffer.from([0x63, 0x82])
    const field = (crc: number): Buffer => {
      const extra = Buffer.alloc(9)
      extra.writeUInt16LE(0x7075, 0)
      extra.writeUInt16LE(5 + 3, 2)
      extra.writeUInt8(1, 4)
      extra.writeUInt32LE(crc, 5)
      return Buffer.concat([extra, Buffer.from('cé')])
    }
    const read = await readAll(
      zipArchive([
        { name: raw, extra: field(crc32(raw)) },
        { name: 'other', extra: field(crc32(raw)) },
      ]),
    )
    assert.deepEqual(
      read.map(({ name }) => name),
      ['cé', 'other'],
    )
  })
})

describe('an entry that is not what it says', () => {
  const wrong: readonly (readonly [string, ZipParts, RegExp])[] = [
    ['is encrypted', { name: 'x', flags: 1 }, /is encrypted/],
    ['is strongly encrypted', { name: 'x', flags: 0x41 }, /is encrypted/],
    ['has a masked header', { name: 'x', flags: 0x2000 }, /is encrypted/],
    ['is a patch', { name: 'x', flags: 0x20 }, /is a patch/],
    ['is compressed by bzip2', { name: 'x', method: 12 }, /method 12, which is not read/],
    ['is stored in another size', { name: 'x', content: 'abc', method: 0, packed: Buffer.from('abcd') }, /with another size/],
    ['has a backslash on Windows', { name: 'a\\b', system: 0 }, /has a backslash/],
    ['is a FIFO', { name: 'x', mode: 0o010644 }, /is a FIFO/],
    ['is a socket', { name: 'x', mode: 0o140644 }, /is a socket/],
    ['is of no type', { name: 'x', mode: 0o030644 }, /is of an unknown type/],
    ['is a file named as a directory', { name: 'x/', mode: 0o100644 }, /named as a directory/],
    ['is a link named as a directory', { name: 'x/', mode: 0o120777 }, /named as a directory/],
    ['is a directory with content', { name: 'x/', mode: 0o040755, content: 'x' }, /is no file but has content/],
    ['has another name in front', { name: 'x', local: { name: 'y' } }, /is called "y" in front/],
    ['has a name of another length in front', { name: 'x', local: { name: 'xy' } }, /is called "xy" in front/],
    ['has another method in front', { name: 'x', local: { method: 0 } }, /described differently/],
    ['is encrypted in front', { name: 'x', local: { flags: 1 } }, /described differently/],
    ['has another checksum in front', { name: 'x', local: { crc: 1 } }, /described differently/],
    ['has another size in front', { name: 'x', local: { size: 1 } }, /described differently/],
    ['has another packed size in front', { name: 'x', local: { packedSize: 1 } }, /described differently/],
    ['has a checksum that does not match', { name: 'x', content: 'abc', crc: 1 }, /checksum does not match/],
    ['has a checksum that does not match, stored', { name: 'x', content: 'abc', method: 0, crc: 1 }, /checksum does not match/],
    ['is longer than it says', { name: 'x', content: 'abc', size: 2 }, /cannot be decompressed|is longer/],
    ['is shorter than it says', { name: 'x', content: 'abc', size: 4 }, /has 3 bytes, not the 4/],
    [
      'has something behind its content',
      { name: 'x', content: 'abc', packed: Buffer.concat([deflateRawSync('abc'), Buffer.from('!')]) },
      /something behind/,
    ],
    ['is no deflate data', { name: 'x', content: 'abc', packed: Buffer.from([0xff, 0xff, 0xff]) }, /cannot be decompressed/],
    ['ends too early', { name: 'x', content: 'abc', packed: deflateRawSync('abc').subarray(0, 3) }, /cannot be decompressed/],
    ['is a link with a long target', { name: 'x', mode: 0o120777, content: 'a'.repeat(9000) }, /target of 9000 bytes/],
    ['is a link with a damaged target', { name: 'x', mode: 0o120777, content: 'a', crc: 3 }, /checksum does not match/],
  ]
  for (const [what, entry, pattern] of wrong) {
    test(`because it ${what} is named, and the others are read`, async () => {
      const read = await readAll(zipArchive([{ name: 'before', content: 'b' }, entry, { name: 'after', content: 'a' }]))
      const [bad, ...more] = read.filter(({ problem }) => problem !== undefined)
      assert.match(bad?.problem ?? 'none', pattern)
      assert.deepEqual(more, [])
      assert.deepEqual(read.flatMap(({ name, problem, content }) => (problem === undefined ? [`${name} ${content.toString()}`] : [])).toSorted(), [
        'after a',
        'before b',
      ])
    })
  }

  test('because it begins elsewhere is named', async () => {
    assert.match((await problemsOf([{ name: 'x', content: 'content', start: 3 }]))[0] ?? 'none', /is not where the directory/)
    assert.match((await problemsOf([{ name: 'x', content: 'content', start: 2 ** 31 }]))[0] ?? 'none', /is not where the directory/)
  })

  const large = Buffer.alloc(600_000, 'large content ')
  for (const [what, entry, pattern] of [
    ['longer', { size: large.length - 1 }, /is longer than/],
    ['shorter', { size: large.length + 1 }, /has 600000 bytes, not the 600001/],
    ['of another checksum', { crc: 1 }, /checksum does not match/],
    ['followed by something', { packed: Buffer.concat([deflateRawSync(large), Buffer.from('!')]) }, /something behind/],
    ['followed by another stream', { packed: Buffer.concat([deflateRawSync(large), deflateRawSync(large)]) }, /something behind/],
    ['cut off', { packed: deflateRawSync(large).subarray(0, -5) }, /cannot be decompressed/],
  ] as const) {
    test(`because it is large and ${what} is named`, async () => {
      const [problem] = await problemsOf([{ name: 'large', content: large, ...entry }, { name: 'after' }])
      assert.match(problem ?? 'none', pattern)
    })
  }

  test('because it shares bytes with another one is named', async () => {
    const kernel = { name: 'kernel', content: Buffer.alloc(100_000) }
    assert.match((await problemsOf([kernel, { ...kernel, start: 0 }]))[0] ?? 'none', /shares bytes with another entry/)
    // The quoted overlap of "A better zip bomb" (Fifield 2019): each entry holds the local headers of those behind it.
    const inner = zipArchive([{ name: 'inner', content: 'abc' }])
    const local = inner.subarray(0, inner.indexOf(Buffer.from([0x50, 0x4b, 1, 2])))
    const problems = await problemsOf([
      { name: 'outer', content: local, method: 0 },
      { name: 'inner', content: 'abc', start: 30 + 5 },
    ])
    assert.match(problems[0] ?? 'none', /shares bytes with another entry/)
    assert.match((await problemsOf([{ name: 'a', content: 'x', packedSize: 60 }]))[0] ?? 'none', /or with the directory/)
  })
})

describe('an archive that is refused as a whole', () => {
  const one: readonly ZipParts[] = [{ name: 'a', content: 'content' }]

  test('is cut off, anywhere', async () => {
    const archive = zipArchive([...one, { name: 'b', content: 'b' }])
    for (let length = 0; length < archive.length; length++) await refusal(archive.subarray(0, length))
  })

  test('has bytes in front, between or behind its parts', async () => {
    assert.match(await refusal(zipArchive(one, { behind: Buffer.from('x') })), /follows behind/)
    assert.match(await refusal(Buffer.concat([zipArchive(one), zipArchive(one)])), /elsewhere than it says/)
    assert.match(await refusal(Buffer.concat([Buffer.from('MZ'), zipArchive(one)])), /elsewhere than it says \(-2 bytes off\)/)
    assert.match(await refusal(zipArchive(one, { between: Buffer.from('x') })), /elsewhere than it says/)
    assert.match(await refusal(zipArchive(one, { comment: zipArchive([]).toString('latin1') })), /follows behind|elsewhere/)
  })

  test('says something else of its directory than what is there', async () => {
    assert.match(await refusal(zipArchive(one, { entries: 2 })), /another number of entries/)
    assert.match(await refusal(zipArchive(one, { entries: 0 })), /another number of entries/)
    assert.match(await refusal(zipArchive(one, { directoryStart: 3 })), /elsewhere/)
    assert.match(await refusal(zipArchive(one, { directoryBytes: 3 })), /elsewhere/)
    assert.match(await refusal(zipArchive([{ name: 'a', packedSize: 0xffffffff }])), /zip64 number is missing/)
  })

  test('has too many entries, or says that they are too large', async () => {
    const many = zipArchive(Array.from({ length: 11 }, (_, index) => ({ name: `${index}` })))
    assert.match(await refusal(many, { entries: 10 }), /more than 10 entries/)
    assert.equal((await readAll(many, { entries: 11 })).length, 11)
    assert.match(await refusal(zipArchive(one), { contentBytes: 6 }), /have 7 bytes together; 6 are allowed/)
  })

  test('is no archive', async () => {
    for (const bytes of ['', 'PK', 'text '.repeat(1000)]) assert.match(await refusal(Buffer.from(bytes)), /is no zip archive, or it is cut off/)
    assert.deepEqual(await readAll(zipArchive([])), [])
  })
})

test('whatever is changed in an archive, it is read as it says or refused, and nothing else happens', async () => {
  const contents = new Map([
    ['deflated', 'content '.repeat(50)],
    ['stored', 'stored content'],
  ])
  const archive = zipArchive([
    { name: 'deflated', content: contents.get('deflated') ?? '' },
    { name: 'd/', mode: 0o040755 },
    { name: 'stored', content: contents.get('stored') ?? '', method: 0 },
    { name: 'l', mode: 0o120777, content: 'stored' },
  ])
  const change = fc.tuple(fc.nat(archive.length - 1), fc.oneof(fc.nat(255), fc.constantFrom(0, 0xff)))
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(20), async (changes, cut) => {
      const damaged = Buffer.from(archive.subarray(0, archive.length - (cut > 15 ? cut : 0)))
      for (const [position, value] of changes) if (position < damaged.length) damaged[position] = value
      const read = await readAll(damaged).catch((error: unknown) => {
        assert.ok(error instanceof InputInvalidError || error instanceof LimitExceededError, String(error))
        return []
      })
      // Content that is taken is what its checksum says: of the original, unless both were changed.
      for (const { kind, content, problem } of read) {
        if (kind !== 'file' || problem !== undefined || content.length === 0) continue
        assert.ok([...contents.values(), 'stored'].includes(content.toString()), content.toString())
      }
    }),
    { numRuns: mutationRuns(3_000) },
  )
})
