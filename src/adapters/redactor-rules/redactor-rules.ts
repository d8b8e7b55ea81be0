import type { Redactor } from '../../ports/redactor.ts'
import { CONTEXT_BYTES, LEAD_BYTES, type RedactionRule } from './redaction-rule.ts'

/** Makes a redactor that follows rules. */
export function createRuleRedactor(rules: readonly RedactionRule[]): Redactor {
  return new RuleRedactor(rules)
}

class RuleRedactor implements Redactor {
  readonly #rules: readonly RedactionRule[]
  readonly #matches = new Map<string, number>()

  constructor(rules: readonly RedactionRule[]) {
    this.#rules = rules
  }

  matches(): ReadonlyMap<string, number> {
    return this.#matches
  }

  async *redact(_path: string, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    const redaction = new Redaction(this.#rules, (rule) => this.#matches.set(rule, (this.#matches.get(rule) ?? 0) + 1))
    for await (const piece of source) {
      const text = redaction.push(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength).toString('latin1'))
      if (text.length > 0) yield Buffer.from(text, 'latin1')
    }
    const rest = redaction.end()
    if (rest.length > 0) yield Buffer.from(rest, 'latin1')
  }
}

/** One file on its way through. Text here has a character for each byte, so that whatever is not a secret stays as it is. */
class Redaction {
  readonly #rules: readonly RedactionRule[]
  readonly #matched: (rule: string) => void
  /** What may still become the lead of a secret, behind a little of what is decided already. */
  #held = ''
  /** How much of what is held is decided. */
  #decided = 0
  /** The secret that is being dropped. */
  #inside: RedactionRule | undefined

  constructor(rules: readonly RedactionRule[], matched: (rule: string) => void) {
    this.#rules = rules
    this.#matched = matched
  }

  push(text: string): string {
    return this.#run(this.#held + text, LEAD_BYTES)
  }

  end(): string {
    return this.#run(this.#held, 0)
  }

  /** @param keep how many characters at the end are not decided yet, as more may follow */
  #run(text: string, keep: number): string {
    let out = ''
    let at = this.#decided
    for (;;) {
      if (this.#inside !== undefined) {
        at = firstOf(text, this.#inside.endsAt, at) ?? text.length
        if (at === text.length) return this.#hold(text, at, out)
        this.#inside = undefined
      }
      const found = this.#nextLead(text, at, keep)
      if (found === undefined) {
        const decided = Math.max(at, text.length - keep)
        return this.#hold(text, decided, out + text.slice(at, decided))
      }
      out += text.slice(at, found.end)
      at = found.end
      // An empty value is no secret.
      if (at < text.length && found.rule.endsAt.includes(text.charAt(at))) continue
      out += `[redacted:${found.rule.name}]`
      this.#matched(found.rule.name)
      this.#inside = found.rule
    }
  }

  #hold(text: string, decided: number, out: string): string {
    const from = Math.max(0, decided - CONTEXT_BYTES)
    this.#held = text.slice(from)
    this.#decided = decided - from
    return out
  }

  /** The first lead that can be decided: one that reaches into what is held back may become longer, or another one. */
  #nextLead(text: string, from: number, keep: number): { readonly rule: RedactionRule; readonly end: number } | undefined {
    let first: { readonly rule: RedactionRule; readonly start: number; readonly end: number } | undefined
    for (const rule of this.#rules) {
      rule.lead.lastIndex = from
      const match = rule.lead.exec(text)
      if (match === null || (first !== undefined && match.index >= first.start)) continue
      first = { rule, start: match.index, end: match.index + match[0].length }
    }
    return first !== undefined && first.start < text.length - keep ? first : undefined
  }
}

function firstOf(text: string, characters: string, from: number): number | undefined {
  for (let at = from; at < text.length; at++) if (characters.includes(text.charAt(at))) return at
  return undefined
}
