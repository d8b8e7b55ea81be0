import { displayPath } from '../../core/path.ts'

/**
 * A message for people and terminals, on one line. Names in it are shown as `displayPath` shows them; names that were escaped already stay as they
 * are, which is why backslashes are not doubled.
 */
export function displayMessage(message: string): string {
  return message.split('\\').map(displayPath).join('\\')
}
