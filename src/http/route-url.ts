/**
 * Names of repositories and paths of files contain slashes; a router's parameters do not. This writes both as one percent-encoded parameter, so that
 * routes read as the contract does: `/repositories/a/b/tags/t` becomes `/repositories/a%2Fb/tags/t`. Pure.
 */

/** A target as the router wants it, or why it is refused. */
export type RoutedTarget = { readonly target: string } | { readonly refused: string }

/** @param target the target of a request line in origin form, as it arrived */
export function routeTarget(target: string): RoutedTarget {
  const [path = '', ...query] = target.split('?')
  const routed = routePath(path)
  return 'refused' in routed || query.length === 0 ? routed : { target: `${routed.target}?${query.join('?')}` }
}

function routePath(path: string): RoutedTarget {
  const [root, first, ...rest] = path.split('/')
  if (root !== '') return { target: path }
  if (first === 'repositories' && rest.length > 0) return { target: `/repositories/${repositoryTail(rest)}` }
  const [id, part, ...below] = rest
  if (first !== 'packages' || part !== 'files' || below.length === 0) return { target: path }
  const components = below.map(decodeComponent)
  if (components.includes(undefined)) return { refused: 'a path in the target is not percent-encoded UTF-8, or encodes a slash' }
  return { target: `/packages/${id}/files/${encodeURIComponent(components.join('/'))}` }
}

/** `…/tags` and `…/tags/{tag}` belong to the contract; a repository whose name ends so is reached with its slashes encoded. */
function repositoryTail(components: readonly string[]): string {
  const tags = components.length > 1 && components.at(-1) === 'tags' ? 1 : components.length > 2 && components.at(-2) === 'tags' ? 2 : 0
  const name = components.slice(0, components.length - tags).join('%2F')
  return [name, ...components.slice(components.length - tags)].join('/')
}

/** Decodes one component, once. A slash that was encoded would change where the components end. */
function decodeComponent(component: string): string | undefined {
  try {
    const decoded = decodeURIComponent(component)
    return decoded.includes('/') ? undefined : decoded
  } catch {
    return undefined
  }
}
