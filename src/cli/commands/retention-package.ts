import type { RetentionMode } from '../../core/retention.ts'
import type { ExplanationStep } from '../../core/retention-explanation.ts'
import type { Certificate, RetentionInfo } from '../../store/retention-interface.ts'
import type { CommandContext, Define } from '../command-context.ts'
import { gather } from '../option-values.ts'
import type { Output } from '../output.ts'
import { formatCount } from '../render/bytes.ts'
import type { Column } from '../render/table.ts'
import { propertyLines, tableHead, tableLine } from '../render/table.ts'
import { formatTime } from '../render/time.ts'

const REF = 'the package: its id, NAME:TAG, or NAME@sha256:DIGEST'

const partColumns: readonly Column[] = [
  { title: 'STAGE', width: 8 },
  { title: 'KEPT UNTIL', width: 19 },
  { title: 'THEN', width: 9 },
  { title: 'CLASS', width: 17 },
  { title: 'FILE SET', width: 0 },
]

interface ChangeOptions {
  readonly until: string
  readonly reason: string
  readonly set?: readonly string[]
  readonly bypass?: true
}

/** `retention show`, `explain`, `extend`, `shorten` and `mode`. */
export const definePackageRetention: Define = (command, act) => {
  command
    .command('show')
    .summary('tell how long a package is kept')
    .description('Tells how far a package is, until when each of its file sets is kept, and which holds stand on it.')
    .argument('<ref>', REF)
    .addHelpText('after', '\nExamples:\n  artifact-store retention show demo/app:latest')
    .action(
      act(async ({ output, open }, ref: string) => {
        await using store = await open()
        await printRetention(output, await store.retention.show(ref))
        return undefined
      }),
    )
  command
    .command('explain')
    .summary('tell which rule keeps a package, step by step')
    .description('Tells step by step which rule keeps a package or lets it go: each file set, then what holds across them, then what follows.')
    .argument('<ref>', REF)
    .addHelpText(
      'after',
      '\nExamples:\n  artifact-store retention explain demo/app:latest\n  artifact-store retention explain demo/app:latest --json',
    )
    .action(
      act(async ({ output, open }, ref: string) => {
        await using store = await open()
        const explanation = await store.retention.explain(ref)
        if (output.mode.json) await output.json(explanation)
        else
          for (const step of explanation.steps)
            await output.line(
              explanationLine(
                step,
                explanation.steps.some(({ set = '' }) => set !== ''),
              ),
            )
        return undefined
      }),
    )
  command
    .command('extend')
    .summary('keep a package longer')
    .description('Keeps a package longer: strictly later than it is kept already, all its file sets unless some are named.')
    .argument('<ref>', REF)
    .requiredOption('--until <time>', 'the new end: a date, or RFC 3339')
    .requiredOption('--reason <text>', 'the reason, in words')
    .option('--set <name>', 'only this file set, as `retention show` names it; may be repeated', gather)
    .addHelpText('after', '\nExamples:\n  artifact-store retention extend demo/app:latest --until 2031-12-31 --reason "warranty claim"')
    .action(
      act(async ({ output, open }, ref: string, { until, reason, set }: ChangeOptions) => {
        await using store = await open()
        await printRetention(output, await store.retention.extend(ref, { expiresAt: until, reason, ...(set === undefined ? {} : { sets: set }) }))
        return undefined
      }),
    )
  command
    .command('shorten')
    .summary('keep a package shorter than promised')
    .description('Keeps a package shorter than it was promised. Only in governance mode, only with --bypass, and never below the minimum.')
    .argument('<ref>', REF)
    .requiredOption('--until <time>', 'the new end: a date, or RFC 3339')
    .requiredOption('--reason <text>', 'the reason, in words')
    .option('--bypass', 'say that you know that this bypasses governance')
    .option('--set <name>', 'only this file set, as `retention show` names it; may be repeated', gather)
    .addHelpText('after', '\nExamples:\n  artifact-store retention shorten demo/app:v1 --until 2027-01-31 --reason privacy --bypass')
    .action(
      act(async ({ output, open }, ref: string, { until, reason, set, bypass }: ChangeOptions) => {
        await using store = await open()
        const request = { expiresAt: until, reason, bypass: bypass === true, ...(set === undefined ? {} : { sets: set }) }
        await printRetention(output, await store.retention.shorten(ref, request))
        return undefined
      }),
    )
  command
    .command('mode')
    .summary('bind the retention of a package more strictly')
    .description('Binds the retention of a package more strictly. There is no way back.')
    .argument('<ref>', REF)
    .argument('<mode>', 'governance, or compliance: nobody can shorten it any more')
    .requiredOption('--reason <text>', 'the reason, in words')
    .addHelpText('after', '\nExamples:\n  artifact-store retention mode demo/app:latest compliance --reason "audit 2027"')
    .action(
      act(async ({ output, open }, ref: string, mode: RetentionMode, { reason }: { readonly reason: string }) => {
        await using store = await open()
        await printRetention(output, await store.retention.setMode(ref, { mode, reason }))
        return undefined
      }),
    )
}

/** Prints a package's retention. */
export async function printRetention(output: Output, info: RetentionInfo): Promise<void> {
  if (output.mode.json) return output.json(info)
  if (output.mode.quiet) return output.line(info.stage)
  const { packageId, repository, stage, mode, holds } = info
  const properties = [
    ['package', packageId],
    ['repository', repository],
    ['stage', stage],
    ['mode', mode],
    ...holds.map((id) => ['hold', id] as const),
  ] as const
  for (const line of propertyLines(properties)) await output.line(line)
  await output.line(output.style.faint(tableHead(partColumns)))
  for (const { set, stage: part, expiresAt, disposition, class: name } of info.parts) {
    const until = expiresAt === undefined ? (disposition === 'keep' ? 'for ever' : '') : formatTime(expiresAt)
    await output.line(
      tableLine(partColumns, [part, until, disposition, name ?? '', set === '' ? (info.parts.length === 1 ? '(all files)' : '(all others)') : set]),
    )
  }
}

/** @param hasSets whether the package has file sets that must be told apart */
function explanationLine({ set, effect, text, time }: ExplanationStep, hasSets: boolean): string {
  const mark = { keeps: 'keeps   ', releases: 'releases', notes: '        ' }[effect]
  const subject = set === undefined || !hasSets ? '' : set === '' ? 'other files: ' : `file set ${set}: `
  return `${mark}  ${subject}${text}${time === undefined ? '' : ` ${formatTime(time)}`}`
}

/** `retention certificate`. */
export const defineCertificate: Define = (command, act) => {
  command
    .command('certificate')
    .summary('tell what was deleted of a package, and what became of it')
    .description('Tells of each deletion of a package why it was, on whose word, and how far it is; --document prints the certificate itself.')
    .argument('<ref>', 'the package: its id, or NAME@sha256:DIGEST')
    .option('--document', 'print the certificate of the newest deletion: JSON, a line a digest')
    .addHelpText(
      'after',
      `
The certificate is written when every byte is destroyed, or is still needed by something else:
each line says which of both, and when the backend confirmed it.

Examples:
  artifact-store retention certificate 019ad3e0-5b7a-7000-8000-3f1d2c4b5a69
  artifact-store retention certificate 019ad3e0-5b7a-7000-8000-3f1d2c4b5a69 --document`,
    )
    .action(
      act(async (context, ref: string, options: { readonly document?: true }) => {
        await using store = await context.open()
        const certificates = await store.retention.certificates(ref)
        const [newest] = certificates
        if (options.document === true && newest !== undefined) {
          for await (const piece of store.retention.certificateDocument(newest.deletionId)) await context.output.bytes(piece)
        } else await printCertificates(context, certificates)
        return undefined
      }),
    )
}

async function printCertificates({ output }: CommandContext, certificates: readonly Certificate[]): Promise<void> {
  for (const [index, certificate] of certificates.entries()) {
    if (output.mode.json) {
      await output.json(certificate)
      continue
    }
    if (index > 0) await output.line()
    const {
      deletionId,
      sets,
      state,
      authority,
      deletedBy,
      reason,
      plan,
      deletedAt,
      releasedAt,
      certifiedAt,
      digests,
      certificate: digest,
    } = certificate
    const properties: (readonly [string, string])[] = [
      ['deletion', deletionId],
      ['state', state],
      ['deleted', `${formatTime(deletedAt)} by ${deletedBy}`],
      ['authority', plan === undefined ? authority : `plan ${plan}`],
    ]
    if (reason !== undefined) properties.push(['reason', reason])
    if (sets.some((set) => set !== '')) properties.push(['file sets', sets.map((set) => (set === '' ? '(all others)' : set)).join(', ')])
    if (releasedAt !== undefined) properties.push(['released', formatTime(releasedAt)])
    if (digests !== undefined) properties.push(['digests', formatCount(digests)])
    if (certifiedAt !== undefined) properties.push(['certified', formatTime(certifiedAt)])
    if (digest !== undefined) properties.push(['certificate', digest])
    for (const line of propertyLines(properties)) await output.line(line)
  }
}
