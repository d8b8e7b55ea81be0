/** The one place that knows the SQLite driver: its class is being renamed, and everything else speaks {@link DatabaseFile}. */
export { DatabaseSync as DatabaseFile, type StatementSync as PreparedStatement } from 'node:sqlite'
