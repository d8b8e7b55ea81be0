const BLOCK = 512

/** One entry of an archive to make. Everything but the name has a default; what is given is written as it is, however wrong. */
export interface TarParts {
  readonly name: string | Uint8Array
  readonly type?: string
  readonly content?: string | Uint8Array
  /** Written instead of the content's length. */
  readonly size?: number
  readonly mode?: number
  readonly linkName?: string | Uint8Array
  /** Records of a pax header in front. */
  readonly pax?: Readonly<Record<string, string | Uint8Array>>
}

/** Makes an archive in the pax format, well-formed or not, with its end mark. For tests. */
export function tarArchive(entries: readonly TarParts[]): Buffer {
  return Buffer.concat([...entries.map(tarEntry), Buffer.alloc(2 * BLOCK)])
}

/** Makes one entry of an archive, with what comes before and after it. */
export function tarEntry({ name, type = '0', content = '', size, mode = 0o644, linkName = '', pax }: TarParts): Buffer {
  const bytes = Buffer.from(content)
  const block = Buffer.alloc(BLOCK)
  Buffer.from(name).copy(block, 0, 0, 100)
  block.write(`${mode.toString(8).padStart(7, '0')}\0`, 100)
  block.write('0000000\0'.repeat(2), 108)
  block.write(`${(size ?? bytes.length).toString(8).padStart(11, '0')}\0`, 124)
  block.write('00000000000\0', 136)
  block.write(type, 156)
  Buffer.from(linkName).copy(block, 157, 0, 100)
  block.write('ustar\x0000', 257)
  sealTarHeader(block)
  const padding = Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)
  return Buffer.concat([...(pax === undefined ? [] : [tarEntry({ name: 'pax', type: 'x', content: paxRecords(pax) })]), block, bytes, padding])
}

/** Writes the checksum of a header block. */
export function sealTarHeader(block: Buffer): void {
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
}

/** The content of a pax header. */
export function paxRecords(records: Readonly<Record<string, string | Uint8Array>>): Buffer {
  return Buffer.concat(
    Object.entries(records).map(([keyword, value]) => {
      const rest = Buffer.concat([Buffer.from(` ${keyword}=`), Buffer.from(value), Buffer.from('\n')])
      let length = rest.length + 1
      while (String(length).length + rest.length !== length) length++
      return Buffer.concat([Buffer.from(String(length)), rest])
    }),
  )
}
