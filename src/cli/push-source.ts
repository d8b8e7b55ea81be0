import { stat } from 'node:fs/promises'
import { displayPath } from '../core/path.ts'
import type { Draft, FinalizedPackage, OpenPackage, Store } from '../store/interface.ts'
import type { CommandContext } from './command-context.ts'
import { usageFailure } from './command-failure.ts'
import { Progress } from './render/progress.ts'

/** What may be said about reading a source. */
export interface PushSourceOptions {
  readonly exclude?: readonly string[]
  readonly rehash?: true
}

/**
 * Fills and seals a package from a folder, a file, or an archive on standard input (`-`). If that fails nothing of it is visible; with a run id the
 * bytes of a folder or file that were stored so far are kept for the next push of that run.
 */
export async function pushSource(context: CommandContext, path: string, request: OpenPackage, options: PushSourceOptions): Promise<FinalizedPackage> {
  // Before the store is opened: opening a package leaves a trace, which a mistyped path must not.
  if (path !== '-') await assertReadable(path)
  await using store = await context.open()
  const draft = await openDraft(store, request)
  if (draft.status === 'finalized') {
    const { SealedRun } = await import('./sealed-run.ts')
    const run = await SealedRun.of(store, draft)
    await fill(context, run, path, options, 'comparing')
    run.assertSame(request.runId)
    return await draft.finalize()
  }
  try {
    await fill(context, draft, path, options, 'storing')
    return await draft.finalize()
  } catch (error) {
    await giveUp(context, draft, path, request)
    throw error
  }
}

async function assertReadable(path: string): Promise<void> {
  try {
    await stat(path)
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')) throw cause
    throw usageFailure(`there is no file or folder ${displayPath(path)}`)
  }
}

/**
 * Opens the package. What a broken-off push of the same run has left may hold files that the source has lost since, so it is given up; its bytes are
 * still in the store and need not be sent again.
 */
async function openDraft(store: Store, request: OpenPackage): Promise<Draft> {
  const draft = await store.packages.open(request)
  if (draft.status === 'finalized' || !draft.reusedExisting) return draft
  await draft.abort()
  return store.packages.open(request)
}

async function fill(context: CommandContext, draft: Draft, path: string, options: PushSourceOptions, verb: string): Promise<void> {
  const { output, signal, configuration } = context
  const progress = output.talkative ? new Progress(output.stderr, verb) : undefined
  const listing = output.talkative ? new Progress(output.stderr, 'listing') : undefined
  const onProgress = (state: {
    readonly phase: 'list' | 'send'
    readonly files: number
    readonly bytes: number
    readonly totalFiles?: number
    readonly totalBytes?: number
  }): void => (state.phase === 'list' ? listing : progress)?.update(state)
  try {
    if (path === '-') {
      await draft.putArchive(context.stdin, { signal, onProgress: (state) => progress?.update(state) })
      return
    }
    const { pushTree } = await import('../store/push-tree.ts')
    const { exclude, rehash } = options
    const chosen = { ...(exclude !== undefined && { exclude }), ...(rehash !== undefined && { rehash }) }
    await pushTree(draft, path, { ...chosen, cacheDir: configuration.cache, signal, onProgress })
  } finally {
    listing?.end()
    progress?.end()
  }
}

async function giveUp({ output }: CommandContext, draft: Draft, path: string, { runId }: OpenPackage): Promise<void> {
  if (runId !== undefined && path !== '-') {
    output.note(`What was stored so far is kept for run ${displayPath(runId)}: the same command continues it.`)
    return
  }
  // An open package that stays behind is invisible and expires by itself; the error that is told is the one that led here.
  await draft.abort().catch(() => undefined)
}
