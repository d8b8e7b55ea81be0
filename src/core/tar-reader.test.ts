import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { InputInvalidError } from './errors.ts'
import { paxRecords, sealTarHeader, tarArchive, tarEntry, type TarParts } from '../testing/tar-archive.ts'
import type { ArchiveEntry } from './archive-entry.ts'
import { readTar } from './tar-reader.ts'

interface Read {
  readonly kind: string
  readonly name: string
  readonly linkName: string
  readonly size: number
  readonly problem: string | undefined
  readonly content: string
}

async function readAll(archive: Uint8Array, pieceBytes = 1 << 16): Promise<Read[]> {
  const entries: Read[] = []
  for await (const entry of readTar(inPieces(archive, pieceBytes))) entries.push(await described(entry))
  return entries
}

async function described(entry: ArchiveEntry): Promise<Read> {
  const pieces: Uint8Array[] = []
  if (entry.problem === undefined) for await (const piece of entry.content()) pieces.push(piece)
  const [name, linkName] = [Buffer.from(entry.name).toString(), Buffer.from(entry.linkName).toString()]
  return { kind: entry.kind, name, linkName, size: entry.size, problem: entry.problem, content: Buffer.concat(pieces).toString() }
}

async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += pieceBytes) yield bytes.subarray(start, start + pieceBytes)
}

const cutOff = (error: unknown): boolean =>
  error instanceof InputInvalidError && /cut off after \d+ bytes|ends where an entry was announced/.test(error.message)

describe('reading a tar archive', () => {
  test('gives entries and their content, whatever the pieces it arrives in', async () => {
    const parts = fc.record({
      name: fc.stringMatching(/^[a-z]{1,90}$/),
      content: fc.uint8Array({ maxLength: 3000 }),
      pax: fc.option(fc.record({ path: fc.string({ unit: 'binary', minLength: 1, maxLength: 300 }) }), { nil: undefined }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(parts, { maxLength: 5 }), fc.integer({ min: 1, max: 2000 }), async (entries, pieceBytes) => {
        const archive = tarArchive(entries.map(({ pax, ...rest }): TarParts => (pax === undefined ? rest : { ...rest, pax })))
        const read = await readAll(archive, pieceBytes)
        const expected = entries.map(({ name, content, pax }) => [pax?.path ?? name, content.length, Buffer.from(content).toString()])
        const given = read.map(({ name, size, content }) => [name, size, content])
        const withoutSlash = (rows: unknown[][]): unknown[][] => rows.filter(([name]) => !String(name).endsWith('/'))
        assert.deepEqual(withoutSlash(given), withoutSlash(expected))
      }),
    )
  })

  test('passes over content that nobody asked for', async () => {
    const names: string[] = []
    const archive = tarArchive([{ name: 'a', content: 'x'.repeat(5000) }, { name: 'b', content: 'y' }, { name: 'c' }])
    for await (const entry of readTar(inPieces(archive, 700))) names.push(Buffer.from(entry.name).toString())
    assert.deepEqual(names, ['a', 'b', 'c'])
  })

  test('passes over the rest of content that was read in part', async () => {
    const names: string[] = []
    const archive = tarArchive([
      { name: 'a', content: 'x'.repeat(5000) },
      { name: 'b', content: 'y' },
    ])
    for await (const entry of readTar(inPieces(archive, 700))) {
      names.push(Buffer.from(entry.name).toString())
      await entry.content().next()
    }
    assert.deepEqual(names, ['a', 'b'])
  })

  test('refuses an archive that was cut off anywhere before its end mark', async () => {
    const archive = tarArchive([
      { name: 'zeros', content: Buffer.alloc(1024) },
      { name: 'b', pax: { path: 'c' } },
      { name: 'd', type: '5' },
    ])
    for (let length = 0; length <= archive.length - 1024; length += 64)
      await assert.rejects(readAll(archive.subarray(0, length)), cutOff, `${length}`)
    assert.equal((await readAll(archive.subarray(0, archive.length - 512))).length, 3, 'half of the end mark is accepted, as other programs do')
  })

  test('refuses an archive that ends behind a header that announces an entry', async () => {
    for (const type of ['x', 'L', 'K']) {
      const content = type === 'x' ? paxRecords({ path: 'a' }) : 'name\0'
      await assert.rejects(readAll(Buffer.concat([tarEntry({ name: 'x', type, content }), Buffer.alloc(1024)])), cutOff)
    }
  })

  test('refuses bytes behind the end mark, as another archive may be hidden there', async () => {
    const archive = Buffer.concat([tarArchive([{ name: 'a' }]), tarArchive([{ name: 'b' }])])
    await assert.rejects(readAll(archive), /more follows behind the end of the archive, from byte 1024 on/)
    assert.equal((await readAll(Buffer.concat([tarArchive([{ name: 'a' }]), Buffer.alloc(10_000)]))).length, 1, 'padding is accepted')
  })

  test('refuses a header with any single bit changed, unless it says the same', async () => {
    const archive = tarArchive([{ name: 'file', content: 'content' }])
    const intact = await readAll(archive)
    for (let bit = 0; bit < 512 * 8; bit++) {
      const damaged = Buffer.from(archive)
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const read = await readAll(damaged).catch((error: unknown) => error)
      // A leading zero of the checksum may become a blank.
      if (!(read instanceof InputInvalidError)) assert.deepEqual(read, intact, `bit ${bit}`)
    }
  })

  test('never fails in another way than it says, whatever it is given', async () => {
    const archive = tarArchive([
      { name: 'a', content: 'content', pax: { path: 'long', 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '9' } },
      { name: 'b', type: 'L', content: 'name\0' },
      { name: 'c', type: 'S', content: 'x' },
      { name: 'd', type: '2', linkName: 'a' },
    ])
    const change = fc.tuple(fc.nat(archive.length - 1), fc.nat(255), fc.boolean())
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
        const damaged = Buffer.from(archive)
        for (const [position, value, sealed] of changes) {
          damaged[position] = value
          if (sealed) sealTarHeader(damaged.subarray(position - (position % 512), position - (position % 512) + 512))
        }
        await readAll(damaged).catch((error: unknown) => assert.ok(error instanceof InputInvalidError, String(error)))
      }),
      { numRuns: 2_000 },
    )
  })

  test('says which entries no package can hold, and reads on', async () => {
    const types = ['3', '4', '6', 'M', 'V', 'D', 'Z']
    const read = await readAll(tarArchive([...types.map((type) => ({ name: type, type })), { name: 'last', content: 'content' }]))
    assert.deepEqual(
      read.map(({ kind }) => kind),
      [...types.map(() => 'other'), 'file'],
    )
    assert.match(read[2]?.problem ?? '', /is a FIFO, which a package cannot hold/)
    assert.match(read[6]?.problem ?? '', /unknown type "Z"/)
    assert.equal(read[7]?.content, 'content')
  })

  test('finds a problem in links and directories that carry content', async () => {
    const read = await readAll(
      tarArchive([
        { name: 'a', type: '1', content: 'x' },
        { name: 'b', type: '2', content: 'x' },
        { name: 'c', type: '5', content: 'x' },
        { name: 'd' },
      ]),
    )
    assert.deepEqual(
      read.map(({ problem }) => problem),
      ['is no file but has content', 'is no file but has content', 'is no file but has content', undefined],
    )
  })

  test('takes a file whose name ends with a slash for a directory, as old archives mean it', async () => {
    assert.equal((await readAll(tarArchive([{ name: 'a/' }])))[0]?.kind, 'directory')
  })
})

describe('extended headers', () => {
  test('names of pax win over those of GNU, those over the header', async () => {
    const long = { name: 'L', type: 'L', content: 'from gnu\0' }
    const longLink = { name: 'K', type: 'K', content: 'link from gnu\0' }
    const entry = { name: 'header', type: '2', linkName: 'link header' }
    const pax = { path: 'from pax', linkpath: 'link from pax' }
    const read = await readAll(tarArchive([entry, long, longLink, entry, long, longLink, { ...entry, pax }, entry]))
    assert.deepEqual(
      read.map(({ name, linkName }) => [name, linkName]),
      [
        ['header', 'link header'],
        ['from gnu', 'link from gnu'],
        ['from pax', 'link from pax'],
        ['header', 'link header'],
      ],
    )
  })

  test('global records hold until they are changed or taken back', async () => {
    const global = (records: Record<string, string>): TarParts => ({ name: 'g', type: 'g', content: paxRecords(records) })
    const read = await readAll(
      tarArchive([
        global({ path: 'all' }),
        { name: 'a' },
        { name: 'b', pax: { path: 'own' } },
        { name: 'c', pax: { path: '' } },
        global({ path: '' }),
        { name: 'd' },
      ]),
    )
    assert.deepEqual(
      read.map(({ name }) => name),
      ['all', 'own', 'c', 'd'],
    )
  })

  test('the size of a pax header counts', async () => {
    const read = await readAll(Buffer.concat([tarEntry({ name: 'a', size: 0, content: 'abc', pax: { size: '3' } }), Buffer.alloc(1024)]))
    assert.equal(read[0]?.content, 'abc')
  })

  test('values may hold newlines and equals signs', async () => {
    assert.equal((await readAll(tarArchive([{ name: 'a', pax: { path: 'x=1\n2 path=y' } }])))[0]?.name, 'x=1\n2 path=y')
  })

  test('a record that does not add up is refused, not left out', async () => {
    for (const content of [
      '8 path=a\n',
      '12 path=ab\n',
      '5 path=a\n',
      'path=a\n',
      '10 pathab\n',
      '10 path=ab',
      '010 path=a\n ',
      '-1 path=a\n',
      '4 =\n\0',
      '99999999999 path=a\n',
    ]) {
      const archive = tarArchive([{ name: 'x', type: 'x', content }, { name: 'short name' }])
      await assert.rejects(readAll(archive), /a pax header of the archive is damaged/, JSON.stringify(content))
    }
  })

  test('one that is too long is refused before it is read', async () => {
    const archive = Buffer.concat([tarEntry({ name: 'x', type: 'x', size: 2 ** 30 }), Buffer.alloc(1024)])
    await assert.rejects(readAll(archive), /extended header of 1073741824 bytes/)
  })
})

describe('sparse files', () => {
  const sparse = (map: string, realSize: string, data: string): TarParts => ({
    name: 'GNUSparseFile.0/s',
    content: Buffer.concat([Buffer.from(map.padEnd(Math.ceil(map.length / 512) * 512, '\0')), Buffer.from(data)]),
    pax: { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': 's', 'GNU.sparse.realsize': realSize },
  })

  test('are filled with zeros before, between and behind their data', async () => {
    const read = await readAll(tarArchive([sparse('2\n2\n3\n7\n1\n', '10', 'abcd'), { name: 'next', content: 'n' }]))
    assert.deepEqual(
      read.map(({ name, content }) => [name, content]),
      [
        ['s', '\0\0abc\0\0d\0\0'],
        ['next', 'n'],
      ],
    )
  })

  test('may have maps of many blocks', async () => {
    const map = ['1000', ...Array.from({ length: 1000 }, (_, index) => `${index * 2}\n1`)].join('\n')
    const read = await readAll(tarArchive([sparse(`${map}\n`, '2000', 'x'.repeat(1000))]))
    assert.equal(read[0]?.content, 'x\0'.repeat(1000))
  })

  test('that do not add up are a problem of their own', async () => {
    for (const [map, size, data] of [
      ['2\n0\n2\n1\n2\n', '10', 'abcd'],
      ['1\n0\n3\n', '10', 'abcd'],
      ['1\n0\n5\n', '10', 'abcd'],
      ['1\n9\n4\n', '10', 'abcd'],
    ] as const) {
      const read = await readAll(tarArchive([sparse(map, size, data), { name: 'next', content: 'n' }]))
      assert.match(read[0]?.problem ?? '', /is a sparse file whose pieces/, map)
      assert.equal(read[1]?.content, 'n')
    }
  })

  test('of other forms are a problem of their own', async () => {
    for (const pax of [
      { 'GNU.sparse.major': '2', 'GNU.sparse.minor': '0' },
      { 'GNU.sparse.size': '10', 'GNU.sparse.numblocks': '0' },
      { 'GNU.sparse.map': '0,1' },
    ]) {
      assert.match((await readAll(tarArchive([{ name: 's', content: 'x', pax }])))[0]?.problem ?? '', /sparse file in a form that is not understood/)
    }
  })

  test('with a map that does not end are refused', async () => {
    await assert.rejects(readAll(tarArchive([sparse('5\n1\n', '10', '')])), /"", where|holds|map does not end/)
    await assert.rejects(readAll(tarArchive([sparse('x\n', '10', '')])), /holds "x" where a number belongs/)
  })
})
