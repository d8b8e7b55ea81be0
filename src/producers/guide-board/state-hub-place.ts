import type { PackageDocument, PackageLink } from '../../core/package-document.ts'

/** What a run belongs to in State Hub. */
export interface StateHubPlace {
  readonly workstream?: string
  readonly task?: string
}

const RELATIONS = { workstream: 'state-hub-workstream', task: 'state-hub-task' } as const

/** The links by which a package remembers where its run belongs. */
export function linksOf(place: StateHubPlace): readonly PackageLink[] {
  return (['workstream', 'task'] as const).flatMap((kind) => {
    const id = place[kind]
    return id === undefined ? [] : [{ rel: RELATIONS[kind], url: `${prefix(kind)}${encodeURIComponent(id)}` }]
  })
}

/** Where a run belongs, by the links of its package. */
export function placeOf({ links = [] }: PackageDocument): StateHubPlace {
  const idOf = (kind: keyof StateHubPlace): string | undefined => {
    const url = links.find(({ rel }) => rel === RELATIONS[kind])?.url
    return url?.startsWith(prefix(kind)) === true ? decodeURIComponent(url.slice(prefix(kind).length)) : undefined
  }
  const [workstream, task] = [idOf('workstream'), idOf('task')]
  return { ...(workstream === undefined ? {} : { workstream }), ...(task === undefined ? {} : { task }) }
}

function prefix(kind: keyof StateHubPlace): string {
  return `urn:state-hub:${kind}:`
}
