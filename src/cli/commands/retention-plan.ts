import type { DeletionPlan } from '../../store/retention-interface.ts'
import type { Define } from '../command-context.ts'
import type { Output } from '../output.ts'
import { formatBytes, formatCount, plural } from '../render/bytes.ts'
import type { Column } from '../render/table.ts'
import { propertyLines, tableHead, tableLine } from '../render/table.ts'
import { formatTime } from '../render/time.ts'
import { allPages } from '../repository-list.ts'

const itemColumns: readonly Column[] = [
  { title: 'PACKAGE', width: 36 },
  { title: 'ENDED', width: 19 },
  { title: 'FILES', width: 7, align: 'right' },
  { title: 'SIZE', width: 8, align: 'right' },
  { title: 'REPOSITORY AND FILE SETS', width: 0 },
]

const planColumns: readonly Column[] = [
  { title: 'CREATED', width: 19 },
  { title: 'STATE', width: 9 },
  { title: 'PACKAGES', width: 8, align: 'right' },
  { title: 'PLAN', width: 0 },
]

/** `retention plan`, with `list` and `show`. */
export const definePlan: Define = (command, act) => {
  const plan = command
    .command('plan')
    .summary('list what may be deleted, for somebody to approve')
    .description('Makes a plan: the packages whose time is over and whose class wants the deletion approved. Deletes nothing.')
    .usage('[options] [COMMAND …]')
    .helpCommand(false)
    .option('--repository <name>', 'only of this repository and those below it')
    .addHelpText(
      'after',
      `
The plan is named by its digest, and can be approved for a week: retention approve DIGEST.

Examples:
  artifact-store retention plan --repository demo
  artifact-store retention plan list
  artifact-store retention plan show sha256:…`,
    )
    .action(
      act(async ({ output, open }, options: { readonly repository?: string }) => {
        await using store = await open()
        const made = await store.retention.createPlan(options)
        await printPlan(output, made)
        if (made.more === true) output.note('There is more that may be deleted. Make another plan when this one is done.')
        output.note(`See what it names: artifact-store retention plan show ${made.digest}`)
        return undefined
      }),
    )
  plan
    .command('list')
    .summary('list plans, the newest first')
    .description('Lists the plans that were made, the newest first.')
    .addHelpText('after', '\nExamples:\n  artifact-store retention plan list')
    .action(
      act(async ({ output, open }) => {
        await using store = await open()
        let count = 0
        for await (const found of allPages((page) => store.retention.plans(page))) {
          if (output.mode.json) await output.json(found)
          else if (output.mode.quiet) await output.line(found.digest)
          else {
            if (count === 0) await output.line(output.style.faint(tableHead(planColumns)))
            await output.line(tableLine(planColumns, [formatTime(found.createdAt), found.state, formatCount(found.items), found.digest]))
          }
          count += 1
        }
        if (count === 0) output.note('No plan was made yet.')
        return undefined
      }),
    )
  plan
    .command('show')
    .summary('list what a plan names')
    .description('Lists the packages that a plan names.')
    .argument('<digest>', 'the plan')
    .addHelpText('after', '\nExamples:\n  artifact-store retention plan show sha256:…')
    .action(
      act(async ({ output, open }, digest: string) => {
        await using store = await open()
        const { json, quiet } = output.mode
        if (!json && !quiet) {
          await printPlan(output, await store.retention.plan(digest))
          await output.line(output.style.faint(tableHead(itemColumns)))
        }
        for await (const item of allPages((page) => store.retention.planItems(digest, page))) {
          const { packageId, expiresAt, files, size, repository, sets } = item
          if (json) await output.json(item)
          else if (quiet) await output.line(packageId)
          else {
            const names = [repository, ...sets.filter((set) => set !== '')].join(' ')
            await output.line(tableLine(itemColumns, [packageId, formatTime(expiresAt), formatCount(files), formatBytes(size), names]))
          }
        }
        return undefined
      }),
    )
}

/** `retention approve`. */
export const defineApprove: Define = (command, act) => {
  command
    .command('approve')
    .summary('approve a plan, which deletes what it names')
    .description('Approves exactly the plan of this digest, and deletes what of it may still go. What changed or is held is left out.')
    .argument('<digest>', 'the plan')
    .option('--reason <text>', 'the reason, in words')
    .addHelpText(
      'after',
      `
What is deleted can be taken back (undelete) until its grace ends; then gc, or a server, destroys
it. Where duties are separated, it takes another person than who made the plan.

Examples:
  artifact-store retention approve sha256:… --reason "yearly clean-up"`,
    )
    .action(
      act(async ({ output, open }, digest: string, options: { readonly reason?: string }) => {
        await using store = await open()
        const plan = await store.retention.approve(digest, options)
        await printPlan(output, plan)
        const { items, approvedItems = 0 } = plan
        if (approvedItems < items) output.note(`${plural(items - approvedItems, 'package')} had changed or is held, and was left out.`)
        return undefined
      }),
    )
}

async function printPlan(output: Output, plan: DeletionPlan): Promise<void> {
  if (output.mode.json) return output.json(plan)
  if (output.mode.quiet) return output.line(plan.digest)
  const { digest, state, repository, createdAt, createdBy, expiresAt, items, size, approvedAt, approvedBy, approvedItems } = plan
  const properties: (readonly [string, string])[] = [
    ['plan', digest],
    ['state', state],
    ...(repository === undefined ? [] : [['repository', repository] as const]),
    ['created', `${formatTime(createdAt)} by ${createdBy}`],
    ['packages', `${formatCount(items)} (${formatBytes(size)})`],
  ]
  if (state === 'open') properties.push(['approve until', formatTime(expiresAt)])
  if (approvedAt !== undefined) properties.push(['approved', `${formatTime(approvedAt)} by ${approvedBy ?? ''}`])
  if (approvedItems !== undefined) properties.push(['deleted', formatCount(approvedItems)])
  for (const line of propertyLines(properties)) await output.line(line)
}
