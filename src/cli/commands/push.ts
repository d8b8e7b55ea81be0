import { parseRepositoryName } from '../../core/name.ts'
import { displayPath } from '../../core/path.ts'
import type { FinalizedPackage, OpenPackage } from '../../store/interface.ts'
import type { CommandContext, Define } from '../command-context.ts'
import { usageFailure } from '../command-failure.ts'
import { gather, parseFileSet, parseLink, readMetadata } from '../option-values.ts'
import { pushSource } from '../push-source.ts'
import { formatBytes, formatCount } from '../render/bytes.ts'
import { propertyLines } from '../render/table.ts'

interface PushOptions {
  readonly repository?: string
  readonly tag?: readonly string[]
  readonly runId?: string
  readonly type?: string
  readonly producer?: string
  readonly subject?: string
  readonly retention?: string
  readonly metadata?: readonly string[]
  readonly metadataFile?: string
  readonly schema?: string
  readonly link?: readonly string[]
  readonly fileSet?: readonly string[]
  readonly exclude?: readonly string[]
  readonly rehash?: true
}

/** `push PATH|-`: stores a tree, a file or an archive and seals it. */
export const define: Define = (command, act) => {
  command
    .description('Stores a folder, a file or an archive as one package, which can never change afterwards.')
    .argument('<path>', 'a folder, a file, or - for an archive (tar, also gzip or zstd, or zip) on standard input')
    .option('--repository <name>', 'the name the package is kept under, such as team/project (required)')
    .option('--tag <tag>', 'a name for the package in its repository, such as latest (repeatable)', gather)
    .option('--run-id <id>', "the producer's own name of this run; pushing it again continues or finds the same package")
    .option('--type <type>', 'what kind of package it is: a word, or a media type')
    .option('--producer <name>', 'who or what made the files')
    .option('--subject <name>', 'what the files are about: a product, a system under test')
    .option('--retention <class>', 'how long to keep it: transient, raw-evidence, summary-evidence, release-evidence, permanent-record')
    .option('--metadata <key=value>', 'a fact about the package; the value is a text (repeatable)', gather)
    .option('--metadata-file <file>', 'facts about the package, from a file that holds one JSON object')
    .option('--schema <schema>', 'name of the JSON Schema that the metadata follows')
    .option('--link <rel=url>', 'a link to something elsewhere, such as build=https://ci.example.org/1 (repeatable)', gather)
    .option(
      '--file-set <name=glob,…:class>',
      'a named part of the files, with a retention class of its own if one is given; write \\, and \\: for those characters in a pattern (repeatable)',
      gather,
    )
    .option('--exclude <glob>', 'leave out what matches, such as "tmp/**" (repeatable)', gather)
    .option('--rehash', 'read every file again, even if it looks unchanged since the last push')
    .addHelpText(
      'after',
      `
Prints the package id, the digest of its manifest, the number and size of its files, and whether
the repository held the very same content before. With --quiet it prints the package id only.
If a push is broken off, nothing of it is visible; with --run-id the same command continues it.

Examples:
  artifact-store push ./build --repository demo/app --tag latest
  artifact-store push ./results --repository demo/app --run-id run-17 --retention raw-evidence \\
    --metadata board=rev-b --file-set 'summary=*.json,report/**:summary-evidence'
  tar -c . | artifact-store push - --repository demo/app
  id=$(artifact-store push ./build --repository demo/app --quiet)`,
    )
    .action(
      act(async (context, path: string, options: PushOptions) => {
        if (path === '-' && options.exclude !== undefined)
          throw usageFailure('--exclude works on a folder, not on an archive', 'Leave files out when you make it.')
        const request = await openRequest(options)
        const pushed = await pushSource(context, path, request, options)
        await printReceipt(context, pushed, options.tag ?? [])
        return undefined
      }),
    )
}

async function openRequest(options: PushOptions): Promise<OpenPackage> {
  // Not commander's requiredOption, which would hide the better error when the option is there but misspelt.
  const { repository } = options
  if (repository === undefined) throw usageFailure('push wants --repository NAME', 'For example: --repository team/project')
  parseRepositoryName(repository)
  const metadata = await readMetadata(options.metadataFile, options.metadata ?? [])
  return {
    repository,
    ...(options.type !== undefined && { type: options.type }),
    ...(options.producer !== undefined && { producer: options.producer }),
    ...(options.subject !== undefined && { subject: options.subject }),
    ...(options.runId !== undefined && { runId: options.runId }),
    ...(options.retention !== undefined && { retentionClass: options.retention }),
    ...(options.fileSet !== undefined && { fileSets: options.fileSet.map(parseFileSet) }),
    ...(metadata !== undefined && { metadata }),
    ...(options.schema !== undefined && { metadataSchema: options.schema }),
    ...(options.link !== undefined && { links: options.link.map(parseLink) }),
    ...(options.tag !== undefined && { tags: options.tag }),
  }
}

async function printReceipt({ output }: CommandContext, pushed: FinalizedPackage, tags: readonly string[]): Promise<void> {
  const { id, repository, manifestDigest, fileCount, size, reusedExisting } = pushed
  if (output.mode.json) return output.json({ packageId: id, repository, tags, manifestDigest, fileCount, size, reusedExisting })
  if (output.mode.quiet) return output.line(id)
  const lines = propertyLines([
    ['package', id],
    ['repository', [repository, ...tags.map((tag) => `:${displayPath(tag)}`)].join(' ')],
    ['manifest', manifestDigest],
    ['files', formatCount(fileCount)],
    ['size', `${formatBytes(size)} (${formatCount(size)} bytes)`],
    ['reusedExisting', reusedExisting ? 'true (the repository held this very content before)' : 'false'],
  ])
  for (const line of lines) await output.line(line)
}
