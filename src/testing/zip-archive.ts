import { crc32, deflateRawSync } from 'node:zlib'

/** One entry of a zip archive to make. Everything but the name has a default; what is given is written as it is, however wrong. */
export interface ZipParts {
  readonly name: string | Uint8Array
  readonly content?: string | Uint8Array
  readonly method?: number
  /** Written instead of what the method makes of the content. */
  readonly packed?: Uint8Array
  readonly flags?: number
  /** Of the central record: 3 Unix, 0 FAT. */
  readonly system?: number
  /** `st_mode`; moved up where the system is Unix. */
  readonly mode?: number
  readonly attributes?: number
  readonly crc?: number
  readonly size?: number
  readonly packedSize?: number
  /** Extra field of the central record. */
  readonly extra?: Uint8Array
  /** What the local header says otherwise. */
  readonly local?: Partial<Record<'method' | 'flags' | 'crc' | 'size' | 'packedSize', number>> & {
    readonly name?: string
    readonly extra?: Uint8Array
  }
  /** Where the central record says that the local header is. */
  readonly start?: number
  /** Written behind the content. */
  readonly descriptor?: Uint8Array
}

/** What the end record says otherwise, and what stands around everything. */
export interface ZipEndParts {
  readonly entries?: number
  readonly directoryBytes?: number
  readonly directoryStart?: number
  readonly comment?: string
  readonly before?: Uint8Array
  /** Between the directory and its end record. */
  readonly between?: Uint8Array
  readonly behind?: Uint8Array
}

/** Makes a zip archive, well-formed or not. For tests. */
export function zipArchive(entries: readonly ZipParts[], end: ZipEndParts = {}): Buffer {
  const parts: Uint8Array[] = [end.before ?? Buffer.alloc(0)]
  const records: Uint8Array[] = []
  let position = parts[0]?.length ?? 0
  for (const entry of entries) {
    const made = zipEntry(entry)
    records.push(centralRecord(entry, made, entry.start ?? position))
    const bytes = Buffer.concat([localHeader(entry, made), made.packed, entry.descriptor ?? Buffer.alloc(0)])
    parts.push(bytes)
    position += bytes.length
  }
  const directory = Buffer.concat(records)
  const record = Buffer.alloc(22)
  record.writeUInt32LE(0x06054b50, 0)
  record.writeUInt16LE(end.entries ?? entries.length, 8)
  record.writeUInt16LE(end.entries ?? entries.length, 10)
  record.writeUInt32LE(end.directoryBytes ?? directory.length, 12)
  record.writeUInt32LE(end.directoryStart ?? position, 16)
  record.writeUInt16LE(Buffer.byteLength(end.comment ?? ''), 20)
  return Buffer.concat([...parts, directory, end.between ?? Buffer.alloc(0), record, Buffer.from(end.comment ?? ''), end.behind ?? Buffer.alloc(0)])
}

interface Made {
  readonly packed: Uint8Array
  readonly method: number
  readonly crc: number
  readonly size: number
}

function zipEntry({ content = '', method = 8, packed, crc, size }: ZipParts): Made {
  const bytes = Buffer.from(content)
  return { method, packed: packed ?? (method === 8 ? deflateRawSync(bytes) : bytes), crc: crc ?? crc32(bytes), size: size ?? bytes.length }
}

function localHeader({ name, flags = 0, packedSize, local = {} }: ZipParts, made: Made): Buffer {
  const bytes = Buffer.from(local.name ?? name)
  const extra = Buffer.from(local.extra ?? [])
  const header = Buffer.alloc(30)
  header.writeUInt32LE(0x04034b50, 0)
  header.writeUInt16LE(20, 4)
  header.writeUInt16LE(local.flags ?? flags, 6)
  header.writeUInt16LE(local.method ?? made.method, 8)
  header.writeUInt32LE(local.crc ?? made.crc, 14)
  header.writeUInt32LE(local.packedSize ?? packedSize ?? made.packed.length, 18)
  header.writeUInt32LE(local.size ?? made.size, 22)
  header.writeUInt16LE(bytes.length, 26)
  header.writeUInt16LE(extra.length, 28)
  return Buffer.concat([header, bytes, extra])
}

function centralRecord(
  { name, flags = 0, system = 3, mode = 0o100644, attributes, packedSize, extra = Buffer.alloc(0) }: ZipParts,
  made: Made,
  start: number,
): Buffer {
  const bytes = Buffer.from(name)
  const record = Buffer.alloc(46)
  record.writeUInt32LE(0x02014b50, 0)
  record.writeUInt16LE((system << 8) | 20, 4)
  record.writeUInt16LE(20, 6)
  record.writeUInt16LE(flags, 8)
  record.writeUInt16LE(made.method, 10)
  record.writeUInt32LE(made.crc, 16)
  record.writeUInt32LE(packedSize ?? made.packed.length, 20)
  record.writeUInt32LE(made.size, 24)
  record.writeUInt16LE(bytes.length, 28)
  record.writeUInt16LE(extra.length, 30)
  record.writeUInt32LE(attributes ?? (mode << 16) >>> 0, 38)
  record.writeUInt32LE(start, 42)
  return Buffer.concat([record, bytes, extra])
}
