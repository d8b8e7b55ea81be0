import { parseDigest, type Digest } from '../core/digest-text.ts'

/** Hashes bytes as they pass by. */
export interface Sha256 {
  update(bytes: Uint8Array): void
  /** Ends the stream, repeatably. */
  digest(): Digest
}

/** Makes a stream that hashes. */
export type NewSha256 = () => Sha256

let loaded: Promise<NewSha256> | undefined

/** The fastest way to hash here: Node's, or else one of our own, as browsers hash only what is held whole. */
export function loadSha256(): Promise<NewSha256> {
  loaded ??= isNode() ? import('./node-sha256.ts').then(({ nodeSha256 }) => nodeSha256) : Promise.resolve(() => new PlainSha256())
  return loaded
}

/** Whether Node's modules can be loaded. */
function isNode(): boolean {
  return typeof process === 'object' && typeof process.versions === 'object' && typeof process.versions.node === 'string'
}

const BLOCK = 64
const ROUNDS = 64

/** First 32 bits of the fractional parts of the roots of the first primes, as FIPS 180-4 defines its constants. */
function fractionalRoots(count: number, root: (prime: number) => number): Uint32Array {
  const words = new Uint32Array(count)
  for (let candidate = 2, found = 0; found < count; candidate++) {
    if (!isPrime(candidate)) continue
    const value = root(candidate)
    words[found++] = (value - Math.floor(value)) * 2 ** 32
  }
  return words
}

function isPrime(candidate: number): boolean {
  for (let divisor = 2; divisor * divisor <= candidate; divisor++) if (candidate % divisor === 0) return false
  return true
}

const INITIAL = fractionalRoots(8, Math.sqrt)
const CONSTANTS = fractionalRoots(ROUNDS, Math.cbrt)

/** SHA-256 (FIPS 180-4, section 6.2) in plain JavaScript. */
export class PlainSha256 implements Sha256 {
  readonly #state = INITIAL.slice()
  readonly #schedule = new Uint32Array(ROUNDS)
  readonly #block = new Uint8Array(BLOCK)
  readonly #view = new DataView(this.#block.buffer)
  #length = 0
  #digest: Digest | undefined

  update(bytes: Uint8Array): void {
    for (let start = 0; start < bytes.length;) {
      const filled = this.#length % BLOCK
      const step = Math.min(BLOCK - filled, bytes.length - start)
      this.#block.set(bytes.subarray(start, start + step), filled)
      this.#length += step
      start += step
      if (filled + step === BLOCK) this.#compress()
    }
  }

  digest(): Digest {
    this.#digest ??= this.#end()
    return this.#digest
  }

  #end(): Digest {
    const bits = this.#length * 8
    this.update(Uint8Array.of(0x80))
    while (this.#length % BLOCK !== BLOCK - 8) this.update(Uint8Array.of(0))
    const length = new DataView(new ArrayBuffer(8))
    length.setBigUint64(0, BigInt(bits))
    this.update(new Uint8Array(length.buffer))
    return parseDigest(`sha256:${Array.from(this.#state, (word) => word.toString(16).padStart(8, '0')).join('')}`)
  }

  #compress(): void {
    const schedule = this.#schedule
    for (let index = 0; index < 16; index++) schedule[index] = this.#view.getUint32(index * 4)
    for (let index = 16; index < ROUNDS; index++) {
      const early = at(schedule, index - 15)
      const late = at(schedule, index - 2)
      const sigma0 = turn(early, 7) ^ turn(early, 18) ^ (early >>> 3)
      const sigma1 = turn(late, 17) ^ turn(late, 19) ^ (late >>> 10)
      schedule[index] = at(schedule, index - 16) + sigma0 + at(schedule, index - 7) + sigma1
    }
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = this.#state
    for (let index = 0; index < ROUNDS; index++) {
      const choice = (e & f) ^ (~e & g)
      const first = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + choice + at(CONSTANTS, index) + at(schedule, index)) | 0
      const majority = (a & b) ^ (a & c) ^ (b & c)
      const second = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + majority) | 0
      h = g
      g = f
      f = e
      e = (d + first) | 0
      d = c
      c = b
      b = a
      a = (first + second) | 0
    }
    for (const [index, word] of [a, b, c, d, e, f, g, h].entries()) this.#state[index] = at(this.#state, index) + word
  }
}

function at(words: Uint32Array, index: number): number {
  return words[index] ?? 0
}

function turn(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits))
}
